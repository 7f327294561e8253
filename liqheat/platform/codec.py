"""Batches to Kafka messages and back: Arrow IPC streams with kind, version and venue in the headers.

The publisher, the processors and the sinks all speak through this module. Reading is forward compatible:
unknown columns are ignored, missing ones take the default of their field, and everything that is not a
sane batch raises `PoisonMessage` with a sentence. Version 1 messages, of one market named in the headers,
are read like the others. No byte of a message reaches polars before `arrow_stream` has checked the envelope.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from liqheat.domain.events import MARKET_COLUMNS, Batch, Column, Kind, Schema, schema_of
from liqheat.platform import arrow_stream
from liqheat.platform.arrow_stream import Table, Texts
from liqheat.platform.column_checks import DTYPES, check_values, sane_columns, typed_values
from liqheat.platform.errors import PoisonMessage

MAXIMUM_ROWS = 200_000
"""More rows than this in one message is a mistake upstream, not a batch."""
MAXIMUM_NAME = 64
"""Longest symbol or instrument name."""

Headers = list[tuple[str, bytes]]
Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]

_NAMES: dict[bytes, str] = {}
"""Names of up to 12 bytes by their Arrow views: the same ones come again and again."""
_REQUIRED_HEADERS = ("kind", "schema_version", "venue")


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A message's rows as numpy columns, for the processors: runs of rows of one market, in log order.

    Attributes:
        kind: what they are.
        venue: the venue of all of them.
        markets: (symbol, instrument) of each run.
        starts: first row of each run, ascending from 0, shape (runs,).
        columns: the kind's own columns, numbers and flags as arrays of shape (height,), texts as lists.
        height: number of rows.
        written_at: the broker's time of the message, ms; None where it is not known.
    """

    kind: Kind
    venue: str
    markets: tuple[tuple[str, str], ...]
    starts: IntArray
    columns: dict[str, Any]
    height: int
    written_at: int | None = None

    def select(self, rows: IntArray) -> "Rows":
        """Return the rows at the places `rows`, ascending."""
        run = np.searchsorted(self.starts, rows, side="right") - 1
        firsts = np.flatnonzero(np.diff(run, prepend=-1))
        columns = {
            name: values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows.tolist()]
            for name, values in self.columns.items()
        }
        markets = tuple(self.markets[each] for each in run[firsts].tolist())
        return Rows(self.kind, self.venue, markets, firsts, columns, len(rows), self.written_at)

    def batch(self) -> Batch:
        """Return the same as a batch."""
        counts = np.diff(self.starts, append=self.height)
        names = {
            name: pl.Series(name, [market[place] for market in self.markets], pl.String).gather(
                np.repeat(np.arange(len(self.markets)), counts)
            )
            for place, name in enumerate(MARKET_COLUMNS)
        }
        return Batch(self.kind, self.venue, pl.DataFrame({**names, **self.columns}, schema=schema_of(self.kind).wire))


def rows_of(batch: Batch) -> Rows:
    """Return a batch's rows as numpy columns."""
    frame = batch.frame
    names = [frame.get_column(name).to_list() for name in MARKET_COLUMNS]
    pairs = list(zip(*names, strict=True))
    starts = [row for row, pair in enumerate(pairs) if not row or pair != pairs[row - 1]]
    columns = {
        column.name: values.to_list() if column.dtype == pl.String() else values.to_numpy()
        for column in schema_of(batch.kind).columns
        for values in (frame.get_column(column.name),)
    }
    markets = tuple(pairs[start] for start in starts)
    return Rows(batch.kind, batch.venue, markets, np.array(starts, np.int64), columns, frame.height)


def encode(batch: Batch) -> tuple[Headers, bytes]:
    """Return headers and value of the message that carries `batch`."""
    schema = schema_of(batch.kind)
    buffer = io.BytesIO()
    batch.frame.write_ipc_stream(buffer)
    headers = [
        ("kind", batch.kind.value.encode()),
        ("schema_version", str(schema.version).encode()),
        ("venue", batch.venue.encode()),
    ]
    return headers, buffer.getvalue()


def read_headers(headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Return message headers as text.

    Raises:
        PoisonMessage: one that every batch has is missing, or is not UTF-8.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    try:
        texts = {name: value.decode() for name, value in pairs}
    except (UnicodeDecodeError, AttributeError) as error:
        raise PoisonMessage(f"A message header is not text: {error}") from error
    old = MARKET_COLUMNS if texts.get("schema_version") == "1" else ()
    for name in (*_REQUIRED_HEADERS, *old):
        if name not in texts:
            raise PoisonMessage(f"The header {name!r} is missing")
    return texts


def decode(headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]], value: bytes | None) -> Batch:
    """Read a message back into a batch whose frame has exactly the columns of its schema, all of them sane.

    Raises:
        PoisonMessage: headers missing, unknown kind or version, not an Arrow stream, no or too many rows, a required
            column missing or of another type, or a value outside its unit.
    """
    texts, kind = _texts_and_kind(headers)
    table = _checked(value)
    columns = sane_columns(table, schema_of(kind))
    _runs(table, texts)
    for values in table.columns.values():
        if isinstance(values, Texts):
            values.check()
    wire = schema_of(kind).wire
    try:
        frame = pl.read_ipc_stream(io.BytesIO(value or b""), use_pyarrow=False)
    except (pl.exceptions.PolarsError, OSError, ValueError, OverflowError) as error:
        raise PoisonMessage(f"Not an Arrow IPC stream: {error}") from error
    if frame.schema != wire:
        has_markets = all(name in frame.columns for name in MARKET_COLUMNS)
        market = {} if has_markets else {name: pl.lit(texts[name], pl.String) for name in MARKET_COLUMNS}
        missing = {
            column.name: pl.lit(column.default, dtype=column.dtype)
            for column in schema_of(kind).columns
            if column.name not in columns
        }
        frame = frame.with_columns(**market, **missing).select(list(wire))
    return Batch(kind, texts["venue"], frame)


def decode_rows(
    headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]], value: bytes | None, *, check: bool = True
) -> Rows:
    """Read a message as numpy columns, with the same checks as `decode`; a fraction of its cost for small messages.

    Without `check` the values are not compared with their units; see `check_rows`.

    Raises:
        PoisonMessage: as `decode`.
    """
    texts, kind = _texts_and_kind(headers)
    table = _checked(value)
    schema = schema_of(kind)
    columns = sane_columns(table, schema, check=check)
    markets, starts = _runs(table, texts)
    decoded: dict[str, Any] = {}
    for column in schema.columns:
        values = columns.get(column.name)
        if values is None:
            decoded[column.name] = defaults_of(column, table.height)
        elif isinstance(values, Texts):
            decoded[column.name] = values.texts({})
        else:
            decoded[column.name] = values
    return Rows(kind, texts["venue"], markets, starts, decoded, table.height)


def read_envelope(
    headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]], value: bytes | None
) -> tuple[Schema, Table]:
    """Read what a message is, with the types of its columns checked but none of their values.

    Raises:
        PoisonMessage: as `decode`, but for values outside their unit, nulls and lists that are not parallel.
    """
    _, kind = _texts_and_kind(headers)
    table, schema = _checked(value), schema_of(kind)
    for column in schema.columns:
        typed_values(table, column)
    for name in MARKET_COLUMNS:
        if name in table.columns and not isinstance(table.columns[name], Texts):
            raise PoisonMessage(f"Expected the column {name!r} as text, was {table.fields[name].form}")
    for values in table.columns.values():
        if isinstance(values, Texts):
            values.texts({})
    return schema, table


def check_rows(messages: Sequence[Rows]) -> None:
    """Compare the values of many messages with their units, all together.

    Raises:
        PoisonMessage: a value of one of them is outside its unit.
    """
    kinds: dict[Kind, list[Rows]] = {}
    for rows in messages:
        kinds.setdefault(rows.kind, []).append(rows)
    for kind, parts in kinds.items():
        for column in schema_of(kind).columns:
            if column.dtype.is_numeric():
                check_values(column, np.concatenate([part.columns[column.name] for part in parts]), "Row")


def _texts_and_kind(headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> tuple[dict[str, str], Kind]:
    pairs = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    try:
        return known_headers(pairs)
    except TypeError as error:
        raise PoisonMessage(f"A message header is not text: {error}") from error


@lru_cache(maxsize=4_096)
def known_headers(pairs: tuple[tuple[str, bytes], ...]) -> tuple[dict[str, str], Kind]:
    """Return the headers as text and the kind; the same few headers come with every message.

    Raises:
        PoisonMessage: one is missing or not UTF-8, or the kind or its version is unknown.
    """
    texts = read_headers(pairs)
    try:
        kind = Kind(texts["kind"])
    except ValueError as error:
        raise PoisonMessage(f"Expected a known kind, was {texts['kind']!r}") from error
    newest, version = schema_of(kind).version, texts["schema_version"]
    if version not in map(str, range(1, newest + 1)):
        # The same columns may mean something else in it.
        raise PoisonMessage(f"Expected a schema version from 1 to {newest} of {kind.value}, was {version[:20]!r}")
    return texts, kind


def _checked(value: bytes | None) -> Table:
    if not value:
        raise PoisonMessage("The message is empty")
    table = arrow_stream.read(value, MAXIMUM_ROWS)
    if not table.height:
        raise PoisonMessage(f"Expected 1 to {MAXIMUM_ROWS} rows, was 0")
    return table


def defaults_of(column: Column, height: int) -> Any:
    """Return `height` times the default of a column that a message does not have."""
    if column.dtype == pl.String():
        return [column.default] * height
    return np.full(height, column.default, dtype=np.bool_ if column.dtype == pl.Boolean() else DTYPES[column.dtype])


def _runs(table: Table, texts: Mapping[str, str]) -> tuple[tuple[tuple[str, str], ...], IntArray]:
    """Return the markets of the runs of rows, and where each run begins."""
    names = [table.columns.get(name) for name in MARKET_COLUMNS]
    if any(name is None for name in names):
        if "symbol" not in texts or "instrument" not in texts:
            raise PoisonMessage("The columns 'symbol' and 'instrument' are missing")
        return ((texts["symbol"], texts["instrument"]),), np.zeros(1, np.int64)
    columns = []
    for name, values in zip(MARKET_COLUMNS, names, strict=True):
        if not isinstance(values, Texts):
            raise PoisonMessage(f"Expected the column {name!r} as text, was {table.fields[name].form}")
        if table.nulls[name]:
            raise PoisonMessage(f"The column {name!r} has {table.nulls[name]} nulls")
        columns.append(values.texts(_NAMES))
    markets, starts, before = [], [], None
    for row, pair in enumerate(zip(*columns, strict=True)):
        if pair != before:
            markets.append(pair)
            starts.append(row)
            before = pair
    for symbol, instrument in markets:
        if len(symbol) > MAXIMUM_NAME or len(instrument) > MAXIMUM_NAME:
            raise PoisonMessage(f"A symbol or instrument is longer than {MAXIMUM_NAME} characters")
    return tuple(markets), np.array(starts, np.int64)
