"""From an order book's levels to one `Depth` event: what rests within each distance of mid. Pure.

Mappers hand over levels as their venue sends them, best first. Sizes may count coins, thousands of coins or
contracts; the mapper says what a quoted unit is worth.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from ingest.venues.wire import Report, RowReader, WirePrice, WireQuantity
from liqheat.domain.events import Depth
from liqheat.domain.instruments import Instrument
from liqheat.domain.order_book import DEPTH_DISTANCES

DEPTH = "depth"
"""Name of the polls of order books, and of their streams: `<instrument>@depth`, `@depth-3` of an aggregation."""

WHOLE_SIDE = 100.0
"""The reach (%) of a side that was read to its last order."""

Level = tuple[float, float]
"""Price and size, in the venue's units."""

_FloatArray = npt.NDArray[np.float64]
# A level at exactly a distance counts, although the division may round it a little beyond.
_ROUNDING = 1e-9


class Book(NamedTuple):
    """One reading of an order book: levels best first, and how many levels were asked for per side.

    A side that holds fewer levels than asked for was read whole; `limit` 0 means that everything was asked for.
    """

    bids: Sequence[Level]
    asks: Sequence[Level]
    limit: int = 0


class WireLevel(msgspec.Struct, gc=False, array_like=True):
    """A level as most venues send it: price and size first."""

    price: WirePrice
    size: WireQuantity


class _Priced(Protocol):
    price: float
    size: float


L = TypeVar("L", bound=_Priced)


def read_book(
    bids: msgspec.Raw, asks: msgspec.Raw, reader: RowReader[L], report: Report, name: str, limit: int | None = None
) -> Book:
    """Read both sides level by level; a level of `name` that cannot be read goes to `report`, the others count.

    Where a venue does not say how many levels were asked for (`limit`), the longer side does.

    Raises:
        PoisonMessage: a side is no list.
    """
    refused = len(report.refused)
    first, second = (
        [(level.price, level.size) for level in reader.read(side, report, name=name)] for side in (bids, asks)
    )
    if len(report.refused) > refused:
        # A side that was shortened here would look as if it had been read to its end.
        limit = 1
    return Book(first, second, max(len(first), len(second)) if limit is None else limit)


class _Side(NamedTuple):
    """Amounts (USD) within each of `DEPTH_DISTANCES` of mid, and how far the reading goes (%)."""

    amounts: _FloatArray
    reach: float


def depth_of(
    instrument: Instrument, event_time: int, books: Sequence[Book], units_per_size: float = 1.0
) -> Depth | None:
    """Return the depth of one market; None where a side of the finest book is empty, for then there is no mid.

    Args:
        instrument: whose book it is.
        event_time: when the book stood so, ms.
        books: readings of the same book, the finest first. Of each distance the finest reading that reaches it
            is taken, or of those up to it the one that saw most.
        units_per_size: quoted units that a size of 1 means (coins per contract on OKX).
    """
    finest = books[0]
    if not finest.bids or not finest.asks:
        return None
    best_bid, best_ask = finest.bids[0][0], finest.asks[0][0]
    mid = (best_bid + best_ask) / 2
    bids = _joined([_side(book.bids, mid, -1, book.limit) for book in books])
    asks = _joined([_side(book.asks, mid, 1, book.limit) for book in books])
    coins = instrument.coins_per_unit
    return Depth(
        instrument.venue,
        instrument.symbol,
        instrument.name,
        event_time,
        mid / coins,
        best_bid / coins,
        best_ask / coins,
        bids.reach,
        asks.reach,
        *(bids.amounts * units_per_size).tolist(),
        *(asks.amounts * units_per_size).tolist(),
    )


def _side(levels: Sequence[Level], mid: float, direction: int, limit: int) -> _Side:
    if not levels:
        return _Side(np.zeros(len(DEPTH_DISTANCES)), WHOLE_SIDE)
    table = np.array(levels, dtype=np.float64)
    # Where bids and asks cross, the crossed levels lie at mid.
    distance = np.maximum.accumulate(np.maximum(direction * (table[:, 0] / mid - 1) * 100, 0.0))
    total = np.concatenate(([0.0], np.cumsum(table[:, 0] * table[:, 1])))
    within = np.searchsorted(distance, np.array(DEPTH_DISTANCES) + _ROUNDING, side="right")
    is_whole = limit == 0 or len(levels) < limit
    return _Side(total[within], WHOLE_SIDE if is_whole else min(float(distance[-1]), WHOLE_SIDE))


def _joined(sides: Sequence[_Side]) -> _Side:
    furthest = max(sides, key=lambda side: side.reach)
    amounts = np.zeros(len(DEPTH_DISTANCES))
    for index, distance in enumerate(DEPTH_DISTANCES):
        for side in sides:
            # Coarse levels are rounded away from mid, so a coarse reading may hold less than a finer one saw.
            amounts[index] = max(amounts[index], side.amounts[index])
            if side.reach >= distance:
                break
    return _Side(np.maximum.accumulate(amounts), furthest.reach)
