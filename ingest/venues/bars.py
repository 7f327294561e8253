"""One-minute bars of REST: which to ask for after a hole, and what they become where they split no taker volume.

Bars are an approximation: a bar's volume becomes one trade per taker side, half each, at its average price in
mid-bar; a mark bar becomes four marks on the shorter way through its prices.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ingest.venues.wire import timely
from liqheat.domain.events import Mark, Trade
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import TakerSide
from liqheat.domain.windows import MINUTE_MS, window_start
from liqheat.platform.errors import PoisonMessage

T = TypeVar("T")

_ROUNDING = 1e-6
"""Venues round the prices of a bar each by itself."""
_MARK_OFFSETS_MS = (0, MINUTE_MS // 3, 2 * MINUTE_MS // 3, MINUTE_MS - 1)
"""Where in its minute each of a bar's four prices is put: the open first, the close last."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One minute's prices, USD per coin; `start` in ms."""

    start: int
    open: float
    high: float
    low: float
    close: float


def bar_of(instrument: Instrument, start: int, prices: tuple[float, ...], received_at: int) -> Bar:
    """Return the bar that starts at `start` (ms), with its open, high, low and close, USD per quoted unit.

    Raises:
        PoisonMessage: it starts at a time in another unit, or after `received_at` (ms), see `timely`; or its prices
            contradict each other.
    """
    coins = instrument.coins_per_unit
    check_prices(*prices)
    return Bar(timely(start, received_at), *(price / coins for price in prices))


def check_prices(opened: float, high: float, low: float, closed: float) -> None:
    """Refuse a bar whose prices contradict each other.

    Raises:
        PoisonMessage: open or close lies outside low and high.
    """
    if not low * (1 - _ROUNDING) <= min(opened, closed) or not max(opened, closed) <= high * (1 + _ROUNDING):
        raise PoisonMessage(f"Expected open and close within low and high, were {opened}, {high}, {low}, {closed}")


def whole_minutes(start: int, end: int, at_most: int) -> tuple[int, int] | None:
    """Return start and end (ms) of the whole minutes of a hole from `start` to `end`, which bars can fill.

    Of a longer hole the latest `at_most` ms, as many as a venue sends on one page; None where there is none.
    """
    first, last = -(-start // MINUTE_MS) * MINUTE_MS, window_start(end)
    return (max(first, last - at_most), last) if first < last else None


def distinct(rows: Sequence[T], key_of: Callable[[T], Hashable]) -> list[T]:
    """Return the first row of each key, in order: a bar that is sent twice counts once."""
    first: dict[Hashable, T] = {}
    for row in rows:
        first.setdefault(key_of(row), row)
    return list(first.values())


def trades_of(instrument: Instrument, bar: Bar, quantity: float, average_price: float) -> Iterator[Trade]:
    """Yield the bar's volume (coins) as one trade per taker side; nothing where it is 0."""
    if quantity <= 0:
        return
    # Rounding of the venue's sums must not put a trade outside the prices of its bar.
    price = min(max(average_price, bar.low), bar.high)
    at = bar.start + MINUTE_MS // 2
    for side in (TakerSide.BUY, TakerSide.SELL):
        yield Trade(instrument.venue, instrument.symbol, instrument.name, at, price, quantity / 2, int(side))


def marks_of(instrument: Instrument, bar: Bar) -> Iterator[Mark]:
    """Yield four marks: a rising bar saw its low first, a falling one its high."""
    turns = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
    for offset, price in zip(_MARK_OFFSETS_MS, (bar.open, *turns, bar.close), strict=True):
        yield Mark(instrument.venue, instrument.symbol, instrument.name, bar.start + offset, price)
