"""Which markets the load has and how busy each is: the first stage of the market bench, pure.

Turnover and open interest by rank are those of a recorded frame of a whole venue: all perpetuals of Hyperliquid
(`tests/data/recorded/hyperliquid/ws_all_dexs_asset_ctxs.json`, 230 listed, 183 with trades in 24 h: the busiest
3,990 times the median). The other venues publish the same ranking; each gets this shape by quantile.
Trades per second follow turnover to the power 2/3: the arrival rate of trades over trading activity in Kyle,
Obizhaeva and Tuzun, "Microstructure Invariance in U.S. Stock Market Trades" (2016): 0.666 measured, 2/3 predicted.
The mean is 30 trades per minute and market, so that the busiest market has 21 per second, the median one in 12 s.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from liqheat.domain.instruments import parse_instrument
from liqheat.domain.margin_tiers import MarginTiers, shipped_tables
from liqheat.domain.market import Venue

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

RECORDED = Path(__file__).parents[2] / "data" / "recorded" / "hyperliquid" / "ws_all_dexs_asset_ctxs.json"

LISTED: dict[Venue, int] = {Venue.BINANCE: 570, Venue.BYBIT: 600, Venue.OKX: 300, Venue.HYPERLIQUID: 230}
"""Linear perpetuals per venue at full size, 1,700 in all: Hyperliquid's as recorded, the others rounded (mid-2026)."""

MEAN_TRADES_PER_SECOND = 0.5
TRADES_EXPONENT = 2 / 3
LIQUIDATED_PER_DAY = 0.005
"""Share of open interest that is liquidated in a day, in pieces of `LIQUIDATION_USD`."""
LIQUIDATION_USD = 3_000.0
PROBE = "PROBE"
"""Symbol of one more market on Binance, whose rising mark times the way to a row; not counted as a market."""
PROBE_PRICE = 100.0

_KNOWN_PRICES = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0}
_CONTRACT_USD = 10.0


@dataclass(frozen=True, slots=True)
class Market:
    """One perpetual of one venue.

    `unit_price` (USD) is what the venue quotes: a coin, a thousand for 1000PEPE; sizes on the wire are quoted units
    (OKX: contracts of `contract_value` coins), written with `size_decimals`, prices with `price_decimals`.
    """

    venue: Venue
    name: str
    symbol: str
    coin: int
    """Number of the coin, shared by its markets on all venues."""
    unit_price: float
    contract_value: float
    price_decimals: int
    size_decimals: int
    turnover_usd: float
    """Per day."""
    open_interest_usd: float
    trades_per_second: float
    tiers: MarginTiers

    @property
    def size_usd(self) -> float:
        """What one unit on the wire is worth."""
        return self.unit_price * self.contract_value


@dataclass(frozen=True, slots=True)
class _Coin:
    symbol: str
    name: str
    coins_per_unit: float
    tiers: MarginTiers


def recorded_ranking() -> tuple[FloatArray, FloatArray]:
    """Return turnover of 24 h and open interest (USD) of the recorded venue's markets that have any, largest first."""
    frame = json.loads(RECORDED.read_bytes())
    contexts = next(rows for exchange, rows in frame["data"]["ctxs"] if not exchange)
    turnover = np.array([float(row["dayNtlVlm"]) for row in contexts])
    open_interest = np.array([float(row["openInterest"]) * float(row["markPx"]) for row in contexts])
    return np.sort(turnover[turnover > 0])[::-1], np.sort(open_interest[open_interest > 0])[::-1]


def by_quantile(ranking: FloatArray, count: int) -> FloatArray:
    """Return `count` values with the distribution of `ranking` (largest first), interpolated in logarithms."""
    known = (np.arange(len(ranking)) + 0.5) / len(ranking)
    wanted = (np.arange(count) + 0.5) / count
    return np.exp(np.interp(wanted, known, np.log(ranking)))


def per_venue(count: int) -> dict[Venue, int]:
    """Spread `count` markets over the venues as at full size, by largest remainder."""
    whole = sum(LISTED.values())
    exact = {venue: count * listed / whole for venue, listed in LISTED.items()}
    counts = {venue: int(share) for venue, share in exact.items()}
    for venue in sorted(exact, key=lambda each: counts[each] - exact[each])[: count - sum(counts.values())]:
        counts[venue] += 1
    return counts


def markets_of(count: int, seed: int = 1) -> list[Market]:
    """Return `count` markets over the four venues, then the probe.

    Coins are those of Binance's shipped margin tiers, the one with the largest last tier first.

    Raises:
        ValueError: fewer than one market per venue, or more than there are coins for.
    """
    counts = per_venue(count)
    coins = _coins()
    if min(counts.values()) < 1 or max(counts.values()) > len(coins):
        raise ValueError(f"Expected from 8 markets to about {2 * len(coins):,}, was {count}")
    random = np.random.default_rng(seed)
    prices = [_KNOWN_PRICES.get(coin.symbol, 10 ** random.uniform(-1.0, 2.0)) for coin in coins]
    turnover, open_interest = recorded_ranking()
    result = []
    for venue, listed in counts.items():
        shares = by_quantile(turnover, listed)
        weights = shares**TRADES_EXPONENT
        trades = MEAN_TRADES_PER_SECOND * weights / weights.mean()
        held = by_quantile(open_interest, listed)
        for number in range(listed):
            numbers = (float(shares[number]), float(held[number]), float(trades[number]))
            result.append(_market(venue, coins[number], number, prices[number], *numbers))
    return [*result, _probe(coins[0].tiers, max(counts.values()))]


def _coins() -> list[_Coin]:
    found: dict[str, _Coin] = {}
    for name, tiers in shipped_tables(Venue.BINANCE).items():
        instrument = parse_instrument(Venue.BINANCE, name) if name.endswith("USDT") else None
        if instrument is not None:
            coin = _Coin(instrument.symbol, name, instrument.coins_per_unit, tiers)
            found.setdefault(instrument.symbol, coin)
    return sorted(found.values(), key=lambda coin: (-coin.tiers.rows()[-1][1], coin.symbol))


def _market(
    venue: Venue, coin: _Coin, number: int, price: float, turnover: float, open_interest: float, trades: float
) -> Market:
    units = coin.coins_per_unit
    if venue is Venue.OKX:
        name, units = f"{coin.symbol}-USDT-SWAP", 1.0
    elif venue is Venue.HYPERLIQUID:
        # Hyperliquid quotes thousands as kPEPE, and no other multiples.
        units = units if units == 1_000.0 else 1.0
        name = f"k{coin.symbol}" if units == 1_000.0 else coin.symbol
    else:
        name = coin.name
    unit_price = price * units / coin.coins_per_unit
    contract = float(10.0 ** round(np.log10(_CONTRACT_USD / unit_price))) if venue is Venue.OKX else 1.0
    mean_units = turnover / 86_400 / trades / unit_price / contract
    return Market(
        venue,
        name,
        coin.symbol,
        number,
        unit_price,
        contract,
        decimals_for(unit_price, 5),
        decimals_for(mean_units, 4),
        turnover,
        open_interest,
        trades,
        coin.tiers,
    )


def _probe(tiers: MarginTiers, coin: int) -> Market:
    return Market(
        Venue.BINANCE, f"{PROBE}USDT", PROBE, coin, PROBE_PRICE, 1.0, 6, 3, 1e5, 1e6, 0.01, tiers
    )  # fmt: skip


def decimals_for(value: float, digits: int) -> int:
    """Return how many decimals show `digits` significant digits of `value`, none for large values."""
    return max(0, min(12, digits - 1 - int(np.floor(np.log10(value)))))


def trades_per_second(markets: Sequence[Market]) -> FloatArray:
    """Return each market's mean rate."""
    return np.array([market.trades_per_second for market in markets])
