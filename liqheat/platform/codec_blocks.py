"""Many messages to rows at once: of each what `liqheat.platform.codec.decode_rows` gives, in a few numpy calls for all.

Messages of one kind whose streams have the same structure become a block. Nothing is refused here: messages
that are not alike enough, or of which one fails a check, are in no block, and `decode_rows` says what they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.domain.events import MARKET_COLUMNS, Kind, Schema, schema_of
from liqheat.platform import arrow_blocks
from liqheat.platform.arrow_blocks import Block, Shape, Views, shape_of
from liqheat.platform.codec import MAXIMUM_ROWS, Rows, defaults_of, known_headers
from liqheat.platform.column_checks import check_values, is_of_type
from liqheat.platform.errors import PoisonMessage

LEAST_MESSAGES = 16
"""Fewer are read faster one by one."""
_MOST_MARKETS = 100_000

IntArray = npt.NDArray[np.int64]
HeaderPairs = Mapping[str, bytes] | Iterable[tuple[str, bytes]] | None

_MARKETS: dict[bytes, tuple[str, str]] = {}
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
        markets: (symbol, instrument), in no order.
        market: which of `markets` each run is of, shape (runs,).
        starts: first row of each run among all rows, ascending from 0.
        columns: the kind's own columns: numbers and flags as arrays of shape (rows,), texts as lists.
        written_at: the broker's time of each message, ms; None where it is not known.
    """

    kind: Kind
    venues: list[str]
    places: IntArray
    heights: IntArray
    runs: IntArray
    markets: list[tuple[str, str]]
    market: IntArray
    starts: IntArray
    columns: dict[str, Any]
    written_at: IntArray | None = None

    @classmethod
    def of(cls, rows: Rows, place: int) -> "RowBlock":
        """Return one message as a block, at `place` among those that are applied with it."""
        return cls(
            rows.kind,
            [rows.venue],
            np.array([place]),
            np.array([rows.height]),
            np.array([len(rows.markets)]),
            list(rows.markets),
            np.arange(len(rows.markets)),
            rows.starts,
            rows.columns,
            None if rows.written_at is None else np.array([rows.written_at], np.int64),
        )

    @property
    def height(self) -> int:
        """Number of rows."""
        return sum(self.heights.tolist())

    def rows(self) -> list[Rows]:
        """Return the rows of each message."""
        ends, last_runs = np.cumsum(self.heights), np.cumsum(self.runs)
        starts = self.starts - np.repeat(ends - self.heights, self.runs)
        times = [None] * len(self.venues) if self.written_at is None else self.written_at.tolist()
        markets = [self.markets[each] for each in self.market.tolist()]
        found, row, run = [], 0, 0
        for venue, end, last_run, time in zip(self.venues, ends.tolist(), last_runs.tolist(), times, strict=True):
            columns = {name: values[row:end] for name, values in self.columns.items()}
            own = slice(run, last_run)
            found.append(Rows(self.kind, venue, tuple(markets[own]), starts[own], columns, end - row, time))
            row, run = end, last_run
        return found


def blocks_of(messages: Iterable[Rows]) -> list[RowBlock]:
    """Return messages, in log order, as blocks."""
    return [RowBlock.of(rows, place) for place, rows in enumerate(messages)]


def messages_of(blocks: Iterable[RowBlock]) -> dict[int, Rows]:
    """Return the messages of blocks by their places, in log order."""
    found = [each for block in blocks for each in zip(block.places.tolist(), block.rows(), strict=True)]
    return dict(sorted(found, key=itemgetter(0)))


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
        for block in arrow_blocks.blocks_of(values, shape, MAXIMUM_ROWS, least):
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
        markets, market, starts = _runs(symbols, instruments, block.heights)
    except (PoisonMessage, UnicodeDecodeError):
        return None
    ends = np.cumsum(block.heights)
    runs = np.diff(np.searchsorted(starts, ends), prepend=0)
    return RowBlock(schema.kind, venues, places, block.heights, runs, markets, market, starts, columns)


def _runs(symbols: Views, instruments: Views, heights: IntArray) -> tuple[list[tuple[str, str]], IntArray, IntArray]:
    """Return markets, which of them each run of rows is of, and where it begins; a run lies in one message.

    Raises:
        UnicodeDecodeError: a name is not UTF-8.
    """
    is_head = np.zeros(len(symbols.words), np.bool_)
    is_head[np.cumsum(heights) - heights] = True
    changes = is_head.copy()
    changes[1:] |= symbols.differ() | instruments.differ()
    starts = np.flatnonzero(changes)
    names = np.concatenate([symbols.names(starts), instruments.names(starts)], axis=1)
    # Each line as one item of fixed length, so that numpy compares it whole.
    lines = names.view(f"V{names.shape[1]}").ravel()
    found, firsts, market = np.unique(lines, return_index=True, return_inverse=True)
    markets = _markets(symbols, instruments, found.tolist(), starts[firsts].tolist())
    # Equal names of one message may have different views: a long one says where the text is.
    kept = is_head[starts]
    kept[1:] |= market[1:] != market[:-1]
    return markets, market[kept], starts[kept]


def _markets(symbols: Views, instruments: Views, keys: list[bytes], rows: list[int]) -> list[tuple[str, str]]:
    """Return the markets of `rows`, which `keys` tell apart.

    Raises:
        UnicodeDecodeError: a name is not UTF-8.
    """
    if len(_MARKETS) > _MOST_MARKETS:
        _MARKETS.clear()
    for key, row in zip(keys, rows, strict=True):
        if key not in _MARKETS:
            _MARKETS[key] = symbols.text(row), instruments.text(row)
    return [_MARKETS[key] for key in keys]
