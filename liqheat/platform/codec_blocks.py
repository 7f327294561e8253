"""Many messages to rows at once: of each what `liqheat.platform.codec.decode_rows` gives, in a few numpy calls for all.

Messages of one kind whose streams have the same structure become a block. Nothing is refused here: messages
that are not alike enough, or of which one fails a check, are in no block, and `decode_rows` says what they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.domain.events import MARKET_COLUMNS, Kind, Schema, schema_of
from liqheat.platform.arrow_blocks import Block, Shape, Views, blocks_of, shape_of
from liqheat.platform.codec import MAXIMUM_ROWS, Rows, defaults_of, known_headers
from liqheat.platform.column_checks import check_values, is_of_type
from liqheat.platform.errors import PoisonMessage

LEAST_MESSAGES = 16
"""Fewer are read faster one by one."""
_MOST_MARKETS = 100_000

IntArray = npt.NDArray[np.int64]
HeaderPairs = Mapping[str, bytes] | Iterable[tuple[str, bytes]] | None

_MARKETS: dict[tuple[bytes, bytes], tuple[str, str]] = {}
"""Symbols and instruments by what tells them apart: the same ones come again and again."""


@dataclass(frozen=True, slots=True, eq=False)
class RowBlock:
    """The rows of several messages of one kind, end to end; values are within their units.

    Attributes:
        kind: what they are.
        venues: the venue of each message.
        places: where its messages are among those given, ascending, shape (messages,).
        heights: rows of each message.
        runs: runs of rows of one market in each message.
        markets: (symbol, instrument) of each run.
        starts: first row of each run among all rows, ascending from 0.
        columns: the kind's own columns, shape (rows,).
    """

    kind: Kind
    venues: list[str]
    places: IntArray
    heights: IntArray
    runs: IntArray
    markets: list[tuple[str, str]]
    starts: IntArray
    columns: dict[str, Any]

    def rows(self, written_at: Sequence[int]) -> list[Rows]:
        """Return the rows of each message; `written_at` is the broker's time of each, ms."""
        ends, last_runs = np.cumsum(self.heights), np.cumsum(self.runs)
        starts = self.starts - np.repeat(ends - self.heights, self.runs)
        names, values = tuple(self.columns), tuple(self.columns.values())
        found, row, run = [], 0, 0
        for venue, end, last_run, time in zip(self.venues, ends.tolist(), last_runs.tolist(), written_at, strict=True):
            columns = dict(zip(names, [each[row:end] for each in values], strict=True))
            markets = tuple(self.markets[run:last_run])
            found.append(Rows(self.kind, venue, markets, starts[run:last_run], columns, end - row, time))
            row, run = end, last_run
        return found


def decode_blocks(messages: Sequence[tuple[HeaderPairs, bytes | None]], least: int = LEAST_MESSAGES) -> list[RowBlock]:
    """Read those of `messages` (headers and value) of which `least` are alike; each is in one block at most."""
    if len(messages) < least:
        return []
    groups: dict[tuple[Kind, Shape], list[int]] = {}
    venues = [""] * len(messages)
    for place, (headers, value) in enumerate(messages):
        shape = shape_of(value)
        if shape is None:
            continue
        pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
        try:
            texts, kind = known_headers(tuple(pairs))
        except (PoisonMessage, TypeError):
            continue
        venues[place] = texts["venue"]
        groups.setdefault((kind, shape), []).append(place)
    found = []
    for (kind, shape), own in groups.items():
        if len(own) < least:
            continue
        values = [messages[place][1] or b"" for place in own]
        for block in blocks_of(values, shape, MAXIMUM_ROWS, least):
            places = np.array(own)[block.places]
            rows = _row_block(block, places, schema_of(kind), [venues[place] for place in places.tolist()])
            if rows is not None:
                found.append(rows)
    return found


def _row_block(block: Block, places: IntArray, schema: Schema, venues: list[str]) -> RowBlock | None:
    """Return the rows of a block; None where a column is missing or of another type, or a value is outside its unit."""
    total, columns = int(block.heights.sum()), {}
    for column in schema.columns:
        values = block.columns.get(column.name)
        if values is None:
            if column.default is None:
                return None
            columns[column.name] = defaults_of(column, total)
        elif isinstance(values, Views) or not is_of_type(values, column.dtype):
            return None
        else:
            columns[column.name] = values
    symbols, instruments = (block.columns.get(name) for name in MARKET_COLUMNS)
    if not isinstance(symbols, Views) or not isinstance(instruments, Views):
        return None
    try:
        for column in schema.columns:
            if column.dtype.is_numeric():
                check_values(column, columns[column.name], "Row")
        markets, starts = _runs(symbols, instruments, block.heights)
    except (PoisonMessage, UnicodeDecodeError):
        return None
    ends = np.cumsum(block.heights)
    runs = np.diff(np.searchsorted(starts, ends), prepend=0)
    return RowBlock(schema.kind, venues, places, block.heights, runs, markets, starts, columns)


def _runs(symbols: Views, instruments: Views, heights: IntArray) -> tuple[list[tuple[str, str]], IntArray]:
    """Return the markets of the runs of rows, and where each begins; no run goes on from one message to the next.

    Raises:
        UnicodeDecodeError: a name is not UTF-8.
    """
    changes = np.ones(len(symbols.words), np.bool_)
    changes[1:] = symbols.differ() | instruments.differ()
    heads = np.cumsum(heights) - heights
    changes[heads] = True
    starts = np.flatnonzero(changes)
    markets = _markets(symbols, instruments, starts)
    if symbols.any_long() or instruments.any_long():
        # Equal long names of one message may lie at different places.
        is_head = np.isin(starts, heads).tolist()
        kept = [run for run, pair in enumerate(markets) if is_head[run] or pair != markets[run - 1]]
        markets, starts = [markets[run] for run in kept], starts[kept]
    return markets, starts


def _markets(symbols: Views, instruments: Views, rows: IntArray) -> list[tuple[str, str]]:
    """Return the markets of `rows`.

    Raises:
        UnicodeDecodeError: a name is not UTF-8.
    """
    if len(_MARKETS) > _MOST_MARKETS:
        _MARKETS.clear()
    keys = list(zip(symbols.keys(rows), instruments.keys(rows), strict=True))
    unknown = [place for place, key in enumerate(keys) if key not in _MARKETS]
    for place, row in zip(unknown, rows[unknown].tolist(), strict=True):
        _MARKETS[keys[place]] = symbols.text(row), instruments.text(row)
    return [_MARKETS[key] for key in keys]
