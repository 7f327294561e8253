"""Rows into the minutes that they belong to: sums, extremes, first and last values, for all markets at once.

The engine calls these with rows of one kind in market order, each market's in log order, and the slot (open minute
or next) that each belongs to. Sums of money are integers; sums of coins are added row by row in log order, so that
the result never depends on how the log was cut.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.domain.events import Kind
from liqheat.domain.money import MAXIMUM_NOTIONAL_USD, MICRO_USD_PER_USD
from liqheat.domain.order_book import DEPTH_ASKS, DEPTH_BIDS
from liqheat.domain.price_grid import FloatArray, IntArray, bucket_of
from liqheat.platform.errors import PoisonMessage
from processors.heatmap.minutes import running_maximum

Array = npt.NDArray[Any]
Columns = dict[str, Any]

MAXIMUM_MINUTE_MICRO_USD = 4_000_000_000_000_000_000
"""Most that one market's minute may sum to, so that no sum leaves 64 bits."""


def micro_usd(prices: FloatArray, quantities: FloatArray) -> IntArray:
    """Return notionals in micro-USD.

    Raises:
        PoisonMessage: one is beyond all reason.
    """
    notionals = np.multiply(prices, quantities)
    if not notionals.max() <= MAXIMUM_NOTIONAL_USD:
        raise PoisonMessage(f"Expected notionals of at most {MAXIMUM_NOTIONAL_USD:.0e} USD, was {notionals.max():g}")
    notionals *= MICRO_USD_PER_USD
    amounts: IntArray = np.rint(notionals, out=notionals).astype(np.int64)
    return amounts


class Cells:
    """Rows grouped by the minute (a row of dtype `SLOT`) that they belong to.

    `cells` are the minutes' numbers in `slots`, each once; `first` and `last` the places of their first and last rows.
    """

    __slots__ = ("cells", "first", "last", "of_row", "slots")

    def __init__(self, slots: Array, of_row: IntArray) -> None:
        """Group rows of shape (n,), n > 0, whose equal numbers are side by side."""
        self.slots = slots
        self.of_row = of_row
        changed = np.flatnonzero(of_row[1:] != of_row[:-1])
        self.first = np.concatenate(([0], changed + 1))
        self.last = np.concatenate((changed, [len(of_row) - 1]))
        self.cells = of_row[self.first]

    def least(self, name: str, values: FloatArray) -> None:
        """Lower `name` to the least of each minute's values."""
        self.slots[name][self.cells] = np.fmin(self.slots[name][self.cells], np.minimum.reduceat(values, self.first))

    def most(self, name: str, values: FloatArray) -> None:
        """Raise `name` to the greatest of each minute's values."""
        self.slots[name][self.cells] = np.fmax(self.slots[name][self.cells], np.maximum.reduceat(values, self.first))

    def begin(self, name: str, values: FloatArray) -> None:
        """Set `name` to the first value where it has none."""
        before = self.slots[name][self.cells]
        self.slots[name][self.cells] = np.where(np.isnan(before), values[self.first], before)

    def end(self, name: str, values: Array) -> None:
        """Set `name` to the last value."""
        self.slots[name][self.cells] = values[self.last]

    def add(self, name: str, amounts: IntArray) -> None:
        """Add integer amounts.

        Raises:
            PoisonMessage: a minute's sum is beyond all reason.
        """
        if float(amounts.sum(dtype=np.float64)) > MAXIMUM_MINUTE_MICRO_USD:
            raise PoisonMessage("The notionals of one message sum to more than any market trades")
        sums = self.slots[name][self.cells] + np.add.reduceat(amounts, self.first)
        if (sums > MAXIMUM_MINUTE_MICRO_USD).any():
            raise PoisonMessage("The notionals of one minute sum to more than any market trades")
        self.slots[name][self.cells] = sums

    def add_in_order(self, name: str, amounts: FloatArray) -> None:
        """Add fractions one after the other, in the order of the rows."""
        np.add.at(self.slots[name], self.of_row, amounts)

    def count(self, name: str) -> None:
        """Count the rows."""
        self.slots[name][self.cells] += self.last - self.first + 1


def gather_trades(slots: Array, cells: IntArray, columns: Columns, late: npt.NDArray[np.bool_] | None) -> None:
    """Add trades: flows by taker side and their coins; of those in time also the range and the last price."""
    amounts, quantities = columns["micro_usd"], columns["quantity"]
    groups = Cells(slots, cells)
    bought = columns["taker_side"] > 0
    groups.add("buy_usd", np.where(bought, amounts, 0))
    groups.add("sell_usd", np.where(bought, 0, amounts))
    groups.add_in_order("buy_coins", np.where(bought, quantities, 0.0))
    groups.add_in_order("sell_coins", np.where(bought, 0.0, quantities))
    prices = columns["price"]
    if late is not None:
        if late.all():
            return
        groups, prices = Cells(slots, cells[~late]), prices[~late]
    groups.least("trade_low", prices)
    groups.most("trade_high", prices)
    groups.end("trade_price", prices)


def gather_marks(slots: Array, cells: IntArray, columns: Columns) -> Cells:
    """Add marks that are in time: range, first and last; of index, funding and settlement the last that is known."""
    groups = Cells(slots, cells)
    marks = columns["mark_price"]
    groups.begin("mark_open", marks)
    groups.least("mark_low", marks)
    groups.most("mark_high", marks)
    groups.end("mark_price", marks)
    for name in ("index_price", "funding_rate"):
        values = columns[name]
        known = ~np.isnan(values)
        _end_known(slots, cells, name, values, known)
    times = columns["next_funding_time"]
    _end_known(slots, cells, "next_funding_time", times, times > 0)
    return groups


def _end_known(slots: Array, cells: IntArray, name: str, values: Array, known: npt.NDArray[np.bool_]) -> None:
    if known.all():
        Cells(slots, cells).end(name, values)
    elif known.any():
        Cells(slots, cells[known]).end(name, values[known])


def gather_open_interest(
    slots: Array, cells: IntArray, times: IntArray, quantities: FloatArray, since: IntArray
) -> None:
    """Take open interest that is in time; a reading older than one before it is late.

    `since` is the time (ms) of the last reading of each row's market before this minute, shape (n,).
    """
    groups = Cells(slots, cells)
    sizes = groups.last - groups.first + 1
    number = np.repeat(np.arange(len(sizes)), sizes)
    before = np.maximum(slots["open_interest_time"][cells], since)
    newest = running_maximum(number, times, before)
    good = times == newest
    late = np.add.reduceat((~good).astype(np.int64), groups.first)
    slots["late_rows"][groups.cells] += late
    if good.any():
        taken = Cells(slots, cells[good])
        taken.end("open_interest", quantities[good])
        taken.end("open_interest_time", times[good])


def gather_liquidations(slots: Array, cells: IntArray, columns: Columns) -> None:
    """Add executed liquidations by the side of the position that died."""
    groups, amounts = Cells(slots, cells), columns["micro_usd"]
    longs = columns["side"] > 0
    groups.add("executed_long", np.where(longs, amounts, 0))
    groups.add("executed_short", np.where(longs, 0, amounts))
    groups.count("executed_count")


def gather_depth(table: Array, market: IntArray, columns: Columns, source: IntArray) -> None:
    """Put the latest reading of each market's order book into `table` (dtype `MARKET`); rows are in log order."""
    table["depth_time"][market] = columns["event_time"][source]
    for name in ("bid_reach", "ask_reach"):
        table[name][market] = columns[name][source]
    for side, names in (("bid", DEPTH_BIDS), ("ask", DEPTH_ASKS)):
        table[f"{side}_depth_usd"][market] = np.stack([columns[name][source] for name in names], axis=1)


def gather(
    slots: Array, kind: Kind, columns: Columns, cells: IntArray, late: npt.NDArray[np.bool_], since: IntArray
) -> None:
    """Add rows of one timed kind to the minutes that they belong to.

    Args:
        slots: rows of dtype `SLOT`; changed.
        kind: one that moves the watermark.
        columns: of shape (n,), each market's rows in log order.
        cells: number of each row's minute in `slots`; equal ones side by side.
        late: whether the row's own minute has closed already: it is counted, and no price is taken from it.
        since: time (ms) of the last open interest before the minute of each row.
    """
    Cells(slots, cells).count("rows")
    is_late = bool(late.any())
    if is_late:
        Cells(slots, cells[late]).count("late_rows")
    if kind is Kind.TRADES:
        gather_trades(slots, cells, columns, late if is_late else None)
        return
    if kind is Kind.LIQUIDATIONS:
        gather_liquidations(slots, cells, columns)
        return
    if is_late:
        if late.all():
            return
        columns = {name: values[~late] for name, values in columns.items()}
        cells, since = cells[~late], since[~late]
    if kind is Kind.MARKS:
        gather_marks(slots, cells, columns)
    else:
        gather_open_interest(slots, cells, columns["event_time"], columns["quantity"], since)


def count_held(slots: Array, markets: IntArray) -> None:
    """Count rows of `markets` that are held as implausible: like late ones they change nothing."""
    np.add.at(slots["late_rows"], 2 * markets, 1)


def gather_executed(
    executed: dict[int, dict[tuple[int, int], int]], cells: IntArray, columns: Columns, source: IntArray, factor: int
) -> None:
    """Add executed liquidations by side and published bucket; those of shape (n,) at `source` in `columns`."""
    buckets = bucket_of(columns["price"][source], factor).tolist()
    sides, amounts = columns["side"][source].tolist(), columns["micro_usd"][source].tolist()
    for cell, side, bucket, amount in zip(cells.tolist(), sides, buckets, amounts, strict=True):
        if amount:
            of_cell = executed.setdefault(cell, {})
            of_cell[side, bucket] = of_cell.get((side, bucket), 0) + amount
