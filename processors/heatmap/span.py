"""Messages of the log as one span: which row is of which market, and each kind's columns end to end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from liqheat.domain.events import Kind
from liqheat.domain.price_grid import IntArray
from liqheat.platform.codec import Rows
from processors.heatmap import gathering
from processors.heatmap.minutes import UNTIMED
from processors.heatmap.state import PartitionState

TIMED_KINDS = (Kind.TRADES, Kind.MARKS, Kind.OPEN_INTEREST, Kind.LIQUIDATIONS)
"""Kinds that move the watermark. The others are absolute facts, often read when a service starts and older or newer
than its history: they hold from their place in the log, whatever their time."""


@dataclass(slots=True, eq=False)
class Gathered:
    """The rows of a span: market, symbol and rank of each row in log order, shape (n,), and each kind's columns.

    `kind` is a code per row, `source` the row's place in the columns of its kind.
    """

    market: IntArray
    symbol: IntArray
    rank: IntArray
    times: IntArray
    kind: IntArray
    source: IntArray
    columns: dict[Kind, dict[str, Any]]
    instruments: dict[int, str]
    markets: IntArray
    symbols: IntArray
    counts: IntArray
    written_at: IntArray | None


KIND_CODES = {kind: code for code, kind in enumerate(Kind)}


def gathered_of(state: PartitionState, span: Sequence[Rows]) -> Gathered:
    """Return the rows of `span`; markets never seen are added to `state`, which changes in nothing else.

    Raises:
        PoisonMessage: a notional is beyond all reason.
    """
    instruments: dict[int, str] = {}
    numbers: list[int] = []
    known = state.numbers
    for rows in span:
        venue = rows.venue
        for symbol, instrument in rows.markets:
            number = known.get((venue, symbol))
            if number is None:
                number = state.number_of(venue, symbol)
            numbers.append(number)
            instruments[number] = instrument
    heights = np.array([rows.height for rows in span])
    begins = np.cumsum(heights) - heights
    starts = np.concatenate([rows.starts + begin for rows, begin in zip(span, begins.tolist(), strict=True)])
    total = int(heights.sum())
    market = np.repeat(np.array(numbers), np.diff(starts, append=total))
    kind = np.repeat(np.array([KIND_CODES[rows.kind] for rows in span]), heights)
    pieces: dict[Kind, list[Rows]] = {}
    for rows in span:
        pieces.setdefault(rows.kind, []).append(rows)
    source, times = np.empty(total, np.int64), np.full(total, UNTIMED)
    for each, parts in pieces.items():
        own = np.flatnonzero(kind == KIND_CODES[each])
        source[own] = np.arange(len(own))
        if each in TIMED_KINDS:
            times[own] = np.concatenate([part.columns["event_time"] for part in parts])
    columns = {kind: _columns_of(kind, parts) for kind, parts in pieces.items()}
    symbol = state.symbol_of[market]
    order = np.argsort(symbol, kind="stable")
    ordered = symbol[order]
    heads = np.flatnonzero(np.diff(ordered, prepend=-1))
    counts = np.diff(heads, append=len(ordered))
    rank = np.empty(len(ordered), np.int64)
    rank[order] = np.arange(len(ordered)) - np.repeat(heads, counts)
    return Gathered(
        market,
        symbol,
        rank,
        times,
        kind,
        source,
        columns,
        instruments,
        np.unique(market),
        ordered[heads],
        counts,
        None if any(rows.written_at is None for rows in span) else _written_at(span, heights),
    )


def _written_at(span: Sequence[Rows], heights: IntArray) -> IntArray:
    return np.repeat(np.array([rows.written_at for rows in span], np.int64), heights)


def _columns_of(kind: Kind, parts: list[Rows]) -> dict[str, Any]:
    first = parts[0].columns
    if len(parts) == 1:
        columns = dict(first)
    else:
        columns = {
            name: np.concatenate([part.columns[name] for part in parts])
            if isinstance(values, np.ndarray)
            else [value for part in parts for value in part.columns[name]]
            for name, values in first.items()
        }
    if kind in (Kind.TRADES, Kind.LIQUIDATIONS):
        columns["micro_usd"] = gathering.micro_usd(columns["price"], columns["quantity"])
    return columns
