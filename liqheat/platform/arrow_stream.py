"""A checked reader of Arrow IPC streams: the envelope of a message before anything else trusts it.

Polars aborts the process on a corrupt length, and takes a gigabyte for a small compressed body; no exception
handler can catch either. This reader follows every length and offset inside the message with plain integer
comparisons, accepts only the types that batches use, no body compression and no dictionaries, and returns numpy
views of the columns. `liqheat.platform.codec` reads every message through it.

The layout is that of Arrow's format specification (Message.fbs and Schema.fbs, metadata version 5).
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.platform.arrow_metadata import Field, Parts, Schema, parts_of, schema_of
from liqheat.platform.errors import PoisonMessage

_CONTINUATION = 0xFFFFFFFF
_VIEW_BYTES = 16
_INLINE_BYTES = 12
_CACHED_TEXTS = 100_000

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """A text column of `height` rows: `views` of 16 bytes (Arrow's Utf8View) or `offsets` (n + 1), and the text."""

    height: int
    data: tuple[memoryview, ...]
    views: memoryview | None = None
    offsets: Array | None = None

    def texts(self, cache: dict[bytes, str]) -> list[str]:
        """Return the texts of all rows; those of up to 12 bytes are looked up in `cache` by their view.

        Raises:
            PoisonMessage: a text leaves its buffer or is not UTF-8.
        """
        if self.views is None:
            ends = pairwise(self.offsets.tolist() if self.offsets is not None else ())
            return [_decoded(bytes(self.data[0][start:end])) for start, end in ends]
        raw, found = bytes(self.views), []
        for place in range(0, _VIEW_BYTES * self.height, _VIEW_BYTES):
            view = raw[place : place + _VIEW_BYTES]
            text = cache.get(view)
            if text is None:
                text = _decoded(self._viewed(view))
                if view[1] == 0 and view[0] <= _INLINE_BYTES and len(cache) < _CACHED_TEXTS:
                    cache[view] = text
            found.append(text)
        return found

    def check(self) -> None:
        """Refuse texts that leave their buffer.

        Raises:
            PoisonMessage: one does.
        """
        if self.views is None:
            return
        parts = np.frombuffer(self.views, "<u4", self.height * 4).reshape(self.height, 4)
        long = np.flatnonzero(parts[:, 0] > _INLINE_BYTES)
        if long.size:
            sizes = np.array([len(each) for each in self.data] or [0], np.int64)
            lengths, places, starts = (parts[long, number].astype(np.int64) for number in (0, 2, 3))
            inside = starts + lengths <= sizes[np.minimum(places, len(sizes) - 1)]
            if not (inside & (places < len(self.data))).all():
                raise PoisonMessage("Not an Arrow IPC stream: a text leaves its buffer")

    def _viewed(self, view: bytes) -> bytes:
        length, _, place, start = struct.unpack("<IIII", view)
        if length <= _INLINE_BYTES:
            return view[4 : 4 + length]
        if place >= len(self.data) or start + length > len(self.data[place]):
            raise PoisonMessage("Not an Arrow IPC stream: a text leaves its buffer")
        return bytes(self.data[place][start : start + length])


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise PoisonMessage(f"A text of an Arrow column is not UTF-8: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """A list column: rows are `values[offsets[i]:offsets[i + 1]]`, `offsets` of shape (n + 1,); `nulls` in `values`."""

    offsets: Array
    values: Array
    nulls: int


Column = Array | Texts | Lists


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The one record batch of a stream: its columns by name, all of `height` rows, and how many nulls each has."""

    height: int
    columns: dict[str, Column]
    nulls: dict[str, int]
    fields: dict[str, Field]


def read(value: bytes, maximum_rows: int) -> Table:
    """Return the table in an Arrow IPC stream of exactly one record batch; numbers are views of `value`.

    Raises:
        PoisonMessage: not such a stream, a length or offset outside the message, a type that batches do not use,
            a compressed body, more than `maximum_rows` rows.
    """
    try:
        return _read(value, maximum_rows)
    except (struct.error, IndexError, UnicodeDecodeError, OverflowError, ValueError) as error:
        raise PoisonMessage(f"Not an Arrow IPC stream: {error}") from error


def _read(value: bytes, maximum_rows: int) -> Table:
    place, schema, table = 0, None, None
    end = len(value)
    while place < end:
        first, size = struct.unpack_from("<II", value, place)
        if first != _CONTINUATION:
            raise PoisonMessage("Not an Arrow IPC stream: the message does not begin with Arrow's marker")
        if size == 0:
            break
        body = place + 8 + size
        if body > end:
            raise PoisonMessage("Not an Arrow IPC stream: its metadata is longer than the message")
        metadata = value[place + 8 : body]
        if schema is None:
            schema, length = schema_of(metadata)
        else:
            if table is not None:
                raise PoisonMessage("Expected one Arrow record batch, was more")
            parts = parts_of(schema, metadata)
            length = parts.body_length
            if not 0 <= length <= end - body:
                raise PoisonMessage("Not an Arrow IPC stream: its body is longer than the message")
            if not parts.height:
                return Table(0, {}, {}, schema.by_name)
            table = _record_batch(parts, memoryview(value)[body : body + length], schema, maximum_rows)
        if not 0 <= length <= end - body:
            raise PoisonMessage("Not an Arrow IPC stream: its body is longer than the message")
        place = body + length
    if table is None:
        raise PoisonMessage("Not an Arrow IPC stream: it has no record batch")
    return table


class _Buffers:
    """The nodes and buffers of one record batch, handed out in order, each checked to lie in the body."""

    __slots__ = ("_buffer", "_node", "_parts", "_text", "body", "size")

    def __init__(self, parts: Parts, body: memoryview) -> None:
        self.body, self.size = body, len(body)
        self._parts = parts
        self._node = self._buffer = self._text = 0

    def node(self, expected: int | None) -> tuple[int, int]:
        """Return rows and nulls of the next field, of `expected` rows."""
        place = self._node
        self._node = place + 2
        rows, nulls = self._parts.nodes[place], self._parts.nodes[place + 1]
        if rows < 0 or not 0 <= nulls <= rows or (expected is not None and rows != expected):
            raise PoisonMessage(f"An Arrow column has {rows} rows of {expected}")
        return rows, nulls

    def place(self, least: int) -> tuple[int, int]:
        """Return offset and size of the next buffer, which holds at least `least` bytes."""
        place = self._buffer
        self._buffer = place + 2
        start, size = self._parts.buffers[place], self._parts.buffers[place + 1]
        if start < 0 or size < least or start + size > self.size:
            raise PoisonMessage("Not an Arrow IPC stream: a buffer leaves the body")
        return start, size

    def take(self, least: int) -> memoryview:
        """Return the next buffer, which holds at least `least` bytes."""
        start, size = self.place(least)
        return self.body[start : start + size]

    def variadic(self) -> int:
        """Return how many text buffers the next view column has."""
        count = self._parts.variadic[self._text]
        self._text += 1
        if not 0 <= count <= 1_024:
            raise PoisonMessage(f"An Arrow text column has {count} buffers")
        return count


def _record_batch(parts: Parts, body: memoryview, schema: Schema, maximum_rows: int) -> Table:
    height = parts.height
    if not 0 <= height <= maximum_rows:
        raise PoisonMessage(f"Expected 1 to {maximum_rows} rows, was {height}")
    buffers = _Buffers(parts, body)
    columns: dict[str, Column] = {}
    nulls: dict[str, int] = {}
    for field in schema.fields:
        columns[field.name], nulls[field.name] = _column(field, buffers, height)
    return Table(height, columns, nulls, schema.by_name)


def _column(field: Field, buffers: _Buffers, height: int | None) -> tuple[Column, int]:
    rows, nulls = buffers.node(height)
    buffers.place(-(-rows // 8) if nulls else 0)
    if field.form == "number":
        # The last character of a dtype's name is its size.
        start, _ = buffers.place(rows * int(field.dtype[-1]))
        return np.frombuffer(buffers.body, field.dtype, rows, start), nulls
    if field.form == "flag":
        packed = np.frombuffer(buffers.take(-(-rows // 8)), np.uint8)
        return np.unpackbits(packed, bitorder="little", count=rows).astype(np.bool_), nulls
    if field.form == "view":
        views = buffers.take(rows * _VIEW_BYTES)
        return Texts(rows, tuple([buffers.take(0) for _ in range(buffers.variadic())]), views=views), nulls
    offsets = _offsets(buffers, rows, is_large=field.is_large)
    end = int(offsets[-1])
    if field.form == "text":
        return Texts(rows, (buffers.take(end),), offsets=offsets), nulls
    if field.child is None:
        raise PoisonMessage(f"The Arrow column {field.name!r} is a list of nothing")
    values, item_nulls = _column(field.child, buffers, None)
    if not isinstance(values, np.ndarray) or end > len(values):
        raise PoisonMessage(f"The lists of the Arrow column {field.name!r} leave their values")
    return Lists(offsets, values, item_nulls), nulls


def _offsets(buffers: _Buffers, rows: int, *, is_large: bool) -> Array:
    dtype = np.dtype("<i8" if is_large else "<i4")
    data = buffers.take(0)
    if not rows and len(data) < dtype.itemsize:
        return np.zeros(1, np.int64)
    if len(data) < (rows + 1) * dtype.itemsize:
        raise PoisonMessage("Not an Arrow IPC stream: a buffer leaves the body")
    offsets = np.frombuffer(data, dtype, rows + 1).astype(np.int64)
    if offsets[0] < 0 or (np.diff(offsets) < 0).any():
        raise PoisonMessage("Not an Arrow IPC stream: offsets do not rise")
    return offsets
