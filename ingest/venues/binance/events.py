"""Binance's trades, open interest and turnover as events, in single coins and USD. Pure; used by the mapper.

A quoted unit of `1000PEPEUSDT` is a thousand coins.
"""

from collections.abc import Iterable

from ingest.venues.values import amount_or_nan
from ingest.venues.wire import Number
from liqheat.domain.events import Event, OpenInterest, Trade, Turnover
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import TakerSide, Venue


def trade_of(
    instrument: Instrument, event_time: int, price: float, quantity: float, is_sell: bool, trade_id: int
) -> Trade:
    """Return a trade of a price (USD per quoted unit) and a quantity (quoted units)."""
    coins = instrument.coins_per_unit
    side = TakerSide.SELL if is_sell else TakerSide.BUY
    return Trade(
        Venue.BINANCE, instrument.symbol, instrument.name, event_time, price / coins, quantity * coins, side, trade_id
    )


def open_interest_of(instrument: Instrument, event_time: int, units: Number) -> Iterable[Event]:
    """Return open interest of an amount in quoted units, one-sided; nothing where it is not known."""
    quantity = amount_or_nan(units) * instrument.coins_per_unit
    where = (Venue.BINANCE, instrument.symbol, instrument.name, event_time)
    return (OpenInterest(*where, quantity),) if quantity >= 0 else ()


def turnover_of(instrument: Instrument, event_time: int, usd: Number) -> Iterable[Event]:
    """Return turnover of 24 hours (USD); nothing where it is not known."""
    quote_volume = amount_or_nan(usd)
    where = (Venue.BINANCE, instrument.symbol, instrument.name, event_time)
    return (Turnover(*where, quote_volume),) if quote_volume >= 0 else ()
