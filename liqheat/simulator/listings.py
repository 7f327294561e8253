"""What the simulated exchanges list: prices, sizes and books of each coin, steps and margin tiers of each venue.

Orders of magnitude follow the real markets of mid-2026; the Binance tiers are the shipped real ones, those of
the other venues are plausible tables of the same form (OKX without deductions, Hyperliquid by margin table).
"""

from dataclasses import dataclass

from liqheat.domain.margin_tiers import MarginTiers, shipped_tables, with_deductions
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.platform.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Coin:
    """One canonical symbol: start price, tick and lot, and how much money is in it.

    `open_interest_usd` is one-sided and summed over the venues; `depth_usd` is what moves the price by 1%.
    """

    symbol: str
    price: float
    tick_size: float
    lot: float
    open_interest_usd: float
    depth_usd: float
    volatility: float
    """Standard deviation of the log price over an hour."""
    okx_contract: float | None
    """Coins a contract on OKX; None where OKX does not list the coin."""
    hyperliquid_leverage: int
    is_thin: bool = True


COINS: dict[str, Coin] = {
    coin.symbol: coin
    for coin in (
        Coin("VIRTUAL", 1.20, 0.0001, 0.1, 120e6, 2.5e6, 0.016, 1.0, 5),
        Coin("FET", 0.60, 0.0001, 1.0, 60e6, 1.5e6, 0.014, None, 5),
        Coin("AIXBT", 0.080, 0.00001, 1.0, 30e6, 0.7e6, 0.019, 10.0, 3),
        Coin("TAO", 300.0, 0.01, 0.001, 150e6, 3e6, 0.013, 0.01, 5),
        Coin("WLD", 0.90, 0.0001, 1.0, 150e6, 3e6, 0.014, 1.0, 10),
        Coin("FARTCOIN", 0.70, 0.0001, 0.1, 150e6, 2.5e6, 0.020, 1.0, 10),
        Coin("KAITO", 1.10, 0.0001, 0.1, 30e6, 0.7e6, 0.017, 1.0, 5),
        Coin("GRASS", 0.80, 0.0001, 0.1, 25e6, 0.6e6, 0.017, 1.0, 3),
        Coin("RENDER", 3.00, 0.001, 0.1, 50e6, 1.2e6, 0.013, 1.0, 5),
        Coin("BTC", 46_000.0, 0.1, 0.001, 8e9, 150e6, 0.006, 0.01, 40, is_thin=False),
    )
}

# Rows floor, cap, maximum leverage, maintenance margin rate.
_BYBIT_THIN = [
    (0, 10e3, 50, 0.015),
    (10e3, 25e3, 25, 0.02),
    (25e3, 75e3, 16, 0.03),
    (75e3, 150e3, 10, 0.05),
    (150e3, 500e3, 5, 0.1),
    (500e3, 2e6, 3, 0.1667),
    (2e6, 5e6, 2, 0.25),
    (5e6, 15e6, 1, 0.5),
]
_BYBIT_DEEP = [
    (0, 2e6, 100, 0.005),
    (2e6, 10e6, 50, 0.01),
    (10e6, 40e6, 25, 0.02),
    (40e6, 150e6, 10, 0.05),
    (150e6, 600e6, 2, 0.25),
]
_OKX_THIN = [
    (0, 10e3, 50, 0.01),
    (10e3, 50e3, 20, 0.02),
    (50e3, 200e3, 10, 0.04),
    (200e3, 1e6, 5, 0.08),
    (1e6, 15e6, 2, 0.2),
]
_OKX_DEEP = [(0, 5e6, 100, 0.004), (5e6, 40e6, 50, 0.01), (40e6, 200e6, 20, 0.025), (200e6, 1e9, 5, 0.1)]
_HYPERLIQUID_STEPS: dict[int, float] = {10: 20e6, 40: 150e6}
"""Notional (USD) above which a margin table halves its maximum leverage (real tables 52 and 56)."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One coin on one venue: its name there, steps, tiers, fee and funding interval (ms)."""

    venue: Venue
    symbol: str
    instrument: str
    tick_size: float
    quantity_step: float
    contract_value: float
    tiers: MarginTiers
    taker_fee_rate: float
    """The fee that the venue's liquidation rule counts; 0 where it counts none."""
    funding_interval: int
    share: float


def instrument_name(venue: Venue, symbol: str) -> str:
    """Return what `venue` calls the perpetual of `symbol`."""
    return VENUE_FACTS[venue].name_of(symbol)


def coin_of(symbol: str) -> Coin:
    """Return the coin of a canonical symbol.

    Raises:
        ConfigurationError: the simulator does not list it.
    """
    if symbol not in COINS:
        raise ConfigurationError(f"The simulator lists {', '.join(COINS)}; {symbol} is none of them")
    return COINS[symbol]


def listings_of(coin: Coin, venues: tuple[Venue, ...]) -> tuple[Listing, ...]:
    """Return the listings of `coin` on those of `venues` that list it, their shares summing to 1."""
    present = [venue for venue in venues if venue is not Venue.OKX or coin.okx_contract is not None]
    whole = sum(VENUE_FACTS[venue].trader_share for venue in present)
    return tuple(_listing(venue, coin, VENUE_FACTS[venue].trader_share / whole) for venue in present)


def _listing(venue: Venue, coin: Coin, share: float) -> Listing:
    contract = (coin.okx_contract or 1.0) if venue is Venue.OKX else 1.0
    return Listing(
        venue=venue,
        symbol=coin.symbol,
        instrument=instrument_name(venue, coin.symbol),
        tick_size=coin.tick_size,
        quantity_step=contract if venue is Venue.OKX else coin.lot,
        contract_value=contract,
        tiers=_tiers(venue, coin),
        taker_fee_rate=VENUE_FACTS[venue].taker_fee_in_margin,
        funding_interval=VENUE_FACTS[venue].funding_interval,
        share=share,
    )


def _tiers(venue: Venue, coin: Coin) -> MarginTiers:
    if venue is Venue.BINANCE:
        return shipped_tables(venue)[instrument_name(venue, coin.symbol)]
    if venue is Venue.BYBIT:
        return with_deductions(_BYBIT_THIN if coin.is_thin else _BYBIT_DEEP)
    if venue is Venue.OKX:
        return MarginTiers.of([(*row, 0.0) for row in (_OKX_THIN if coin.is_thin else _OKX_DEEP)])
    leverage = coin.hyperliquid_leverage
    step = _HYPERLIQUID_STEPS.get(leverage) if venue is Venue.HYPERLIQUID else None
    if step is None:
        # A venue of which nothing is said here has one tier.
        return MarginTiers.single(leverage, 0.5 / leverage)
    return with_deductions([(0, step, leverage, 0.5 / leverage), (step, 1e15, leverage / 2, 1 / leverage)])
