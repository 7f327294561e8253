"""A checked reader of Arrow IPC streams: the envelope of a message before anything else trusts it.

Polars aborts the process on a corrupt length, and takes a gigabyte for a small compressed body; no exception
handler can catch either. This reader follows every length and offset inside the message with plain integer
comparisons, accepts only the types that batches use, no body compression and no dictionaries, and returns numpy
views of the columns. `liqheat.platform.codec` reads every message through it.

The layout is that of Arrow's format specification (Message.fbs and Schema.fbs, metadata version 5).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.platform.errors import PoisonMessage

MAXIMUM_COLUMNS = 128
_CONTINUATION = 0xFFFFFFFF
_SCHEMA, _RECORD_BATCH = 1, 3
"""Values of `MessageHeader` in Message.fbs."""
_INT, _FLOAT, _UTF8, _BOOL, _LIST, _LARGE_UTF8, _LARGE_LIST, _UTF8_VIEW = 2, 3, 5, 6, 12, 20, 21, 24
"""Values of `Type` in Schema.fbs."""
_FLOATS = {1: "<f4", 2: "<f8"}
_VIEW_BYTES = 16
_INLINE_BYTES = 12

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the schema: `form` is number, flag, text, view or list; `dtype` numpy's name of a number."""

    name: str
    form: str
    dtype: str = ""
    is_large: bool = False
    child: "Field | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """A text column: `views` of shape (n, 2) uint64 (Arrow's Utf8View) or `offsets` (n + 1), and the text itself.

    Equal neighbouring texts of up to 12 bytes have equal views, so that runs are found without decoding.
    """

    data: tuple[memoryview, ...]
    views: Array | None = None
    offsets: Array | None = None

    def __len__(self) -> int:
        if self.views is not None:
            return len(self.views)
        assert self.offsets is not None
        return len(self.offsets) - 1

    def raw(self, row: int) -> bytes:
        """Return the bytes of one text."""
        if self.offsets is not None:
            return bytes(self.data[0][int(self.offsets[row]) : int(self.offsets[row + 1])])
        assert self.views is not None
        view = self.views[row].tobytes()
        length = int.from_bytes(view[:4], "little")
        if length <= _INLINE_BYTES:
            return view[4 : 4 + length]
        place, start = struct.unpack_from("<II", view, 8)
        return bytes(self.data[place][start : start + length])

    def changes(self) -> npt.NDArray[np.bool_]:
        """Return of each row but the first whether it may differ from the one before, shape (n - 1,)."""
        if self.views is not None:
            return np.asarray((self.views[1:] != self.views[:-1]).any(axis=1))
        return np.array([self.raw(row) != self.raw(row - 1) for row in range(1, len(self))], dtype=np.bool_)


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
    place, fields, table = 0, None, None
    while place < len(value):
        first, size = struct.unpack_from("<II", value, place)
        if first != _CONTINUATION:
            raise PoisonMessage("Not an Arrow IPC stream: the message does not begin with Arrow's marker")
        if size == 0:
            break
        start = place + 8
        if size > len(value) - start:
            raise PoisonMessage("Not an Arrow IPC stream: its metadata is longer than the message")
        metadata = value[start : start + size]
        kind, body_length = _message_kind(metadata)
        body = start + size
        if not 0 <= body_length <= len(value) - body:
            raise PoisonMessage("Not an Arrow IPC stream: its body is longer than the message")
        if kind == _SCHEMA and fields is None:
            fields = _schema(metadata)
        elif kind == _RECORD_BATCH and fields is not None:
            if table is not None:
                raise PoisonMessage("Expected one Arrow record batch, was more")
            table = _record_batch(metadata, memoryview(value)[body : body + body_length], fields, maximum_rows)
        else:
            raise PoisonMessage(f"Not an Arrow IPC stream of one batch: a message of type {kind}")
        place = body + body_length
    if table is None:
        raise PoisonMessage("Not an Arrow IPC stream: it has no record batch")
    return table


class _Flat:
    """One table of a flatbuffer, read with bounds checks."""

    __slots__ = ("data", "place", "slots")

    def __init__(self, data: bytes, place: int) -> None:
        self.data = data
        self.place = place
        if not 0 <= place <= len(data) - 4:
            raise PoisonMessage("Not an Arrow IPC stream: an offset leaves the metadata")
        start = place - struct.unpack_from("<i", data, place)[0]
        if not 0 <= start <= len(data) - 4:
            raise PoisonMessage("Not an Arrow IPC stream: an offset leaves the metadata")
        (size,) = struct.unpack_from("<H", data, start)
        if size < 4 or size % 2 or start + size > len(data):
            raise PoisonMessage("Not an Arrow IPC stream: a table is longer than the metadata")
        self.slots = struct.unpack_from(f"<{size // 2 - 2}H", data, start + 4)

    def number(self, slot: int, form: str, default: int = 0) -> int:
        """Return the scalar in `slot`, of struct format `form`."""
        if slot >= len(self.slots) or not self.slots[slot]:
            return default
        return int(struct.unpack_from("<" + form, self.data, self.place + self.slots[slot])[0])

    def _target(self, slot: int) -> int | None:
        if slot >= len(self.slots) or not self.slots[slot]:
            return None
        place = self.place + self.slots[slot]
        return int(place + struct.unpack_from("<I", self.data, place)[0])

    def table(self, slot: int) -> "_Flat | None":
        """Return the table that `slot` refers to."""
        target = self._target(slot)
        return None if target is None else _Flat(self.data, target)

    def vector(self, slot: int, width: int) -> tuple[int, int]:
        """Return first place and length of a vector of items of `width` bytes, all inside the metadata."""
        target = self._target(slot)
        if target is None:
            return 0, 0
        (length,) = struct.unpack_from("<I", self.data, target)
        if length * width > len(self.data) - target - 4:
            raise PoisonMessage("Not an Arrow IPC stream: a vector is longer than the metadata")
        return target + 4, length

    def tables(self, slot: int) -> "list[_Flat]":
        """Return the tables of a vector of tables."""
        start, length = self.vector(slot, 4)
        if length > MAXIMUM_COLUMNS:
            raise PoisonMessage(f"Expected at most {MAXIMUM_COLUMNS} Arrow columns, was {length}")
        places = [start + 4 * number for number in range(length)]
        return [_Flat(self.data, place + struct.unpack_from("<I", self.data, place)[0]) for place in places]

    def text(self, slot: int) -> str:
        """Return a string."""
        start, length = self.vector(slot, 1)
        return self.data[start : start + length].decode()


def _root(metadata: bytes) -> _Flat:
    return _Flat(metadata, struct.unpack_from("<I", metadata, 0)[0])


def _message_kind(metadata: bytes) -> tuple[int, int]:
    message = _root(metadata)
    return message.number(1, "B"), message.number(3, "q")


@lru_cache(maxsize=256)
def _schema(metadata: bytes) -> tuple[Field, ...]:
    """Return the fields of a schema message; cached, since a kind's messages all begin with the same one."""
    schema = _root(metadata).table(2)
    if schema is None:
        raise PoisonMessage("Not an Arrow IPC stream: the schema is missing")
    if schema.number(0, "h"):
        raise PoisonMessage("Expected a little-endian Arrow stream")
    fields = tuple(_field(each) for each in schema.tables(1))
    if len({field.name for field in fields}) != len(fields):
        raise PoisonMessage("Expected Arrow columns of different names")
    return fields


def _field(flat: _Flat, *, is_item: bool = False) -> Field:
    name, kind, of = flat.text(0), flat.number(2, "B"), flat.table(3)
    if flat.table(4) is not None:
        raise PoisonMessage(f"The Arrow column {name!r} is dictionary-encoded, which batches are not")
    if kind == _INT and of is not None:
        bits = of.number(0, "i")
        if bits in (8, 16, 32, 64):
            return Field(name, "number", f"<{'i' if of.number(1, '?') else 'u'}{bits // 8}")
    elif kind == _FLOAT and of is not None and of.number(0, "h") in _FLOATS:
        return Field(name, "number", _FLOATS[of.number(0, "h")])
    elif not is_item:
        if kind == _BOOL:
            return Field(name, "flag")
        if kind in (_UTF8, _LARGE_UTF8):
            return Field(name, "text", is_large=kind == _LARGE_UTF8)
        if kind == _UTF8_VIEW:
            return Field(name, "view")
        children = flat.tables(5)
        if kind in (_LIST, _LARGE_LIST) and len(children) == 1:
            return Field(name, "list", is_large=kind == _LARGE_LIST, child=_field(children[0], is_item=True))
    raise PoisonMessage(f"The Arrow column {name!r} has type {kind}, which batches do not use")


class _Buffers:
    """The nodes and buffers of one record batch, handed out in order, each checked to lie in the body."""

    def __init__(self, metadata: bytes, body: memoryview) -> None:
        batch = _root(metadata).table(2)
        if batch is None:
            raise PoisonMessage("Not an Arrow IPC stream: the record batch is missing")
        if batch.table(3) is not None:
            raise PoisonMessage("The Arrow body is compressed, which batches are not")
        self.body = body
        self.length = batch.number(0, "q")
        self._nodes = _pairs(metadata, *batch.vector(1, 16))
        self._buffers = _pairs(metadata, *batch.vector(2, 16))
        start, count = batch.vector(4, 8)
        self._variadic = iter(struct.unpack_from(f"<{count}q", metadata, start))

    def node(self, expected: int | None) -> tuple[int, int]:
        """Return rows and nulls of the next field, of `expected` rows."""
        rows, nulls = next(self._nodes, (-1, 0))
        if rows < 0 or not 0 <= nulls <= rows or (expected is not None and rows != expected):
            raise PoisonMessage(f"An Arrow column has {rows} rows of {expected}")
        return rows, nulls

    def take(self, least: int) -> memoryview:
        """Return the next buffer, which holds at least `least` bytes."""
        start, size = next(self._buffers, (-1, 0))
        if start < 0 or size < 0 or start + size > len(self.body) or size < least:
            raise PoisonMessage("Not an Arrow IPC stream: a buffer leaves the body")
        return self.body[start : start + size]

    def variadic(self) -> int:
        """Return how many text buffers the next view column has."""
        count = next(self._variadic, -1)
        if not 0 <= count <= 1_024:
            raise PoisonMessage(f"An Arrow text column has {count} buffers")
        return count


def _pairs(metadata: bytes, start: int, count: int) -> Iterator[tuple[int, int]]:
    if count > 8 * MAXIMUM_COLUMNS:
        raise PoisonMessage("Not an Arrow IPC stream: too many buffers")
    return iter(list(struct.iter_unpack("<qq", metadata[start : start + 16 * count])))


def _record_batch(metadata: bytes, body: memoryview, fields: tuple[Field, ...], maximum_rows: int) -> Table:
    buffers = _Buffers(metadata, body)
    height = buffers.length
    if not 0 <= height <= maximum_rows:
        raise PoisonMessage(f"Expected 1 to {maximum_rows} rows, was {height}")
    columns: dict[str, Column] = {}
    nulls: dict[str, int] = {}
    for field in fields:
        columns[field.name], nulls[field.name] = _column(field, buffers, height)
    return Table(height, columns, nulls, {field.name: field for field in fields})


def _column(field: Field, buffers: _Buffers, height: int | None) -> tuple[Column, int]:
    rows, nulls = buffers.node(height)
    buffers.take(-(-rows // 8) if nulls else 0)
    if field.form == "number":
        dtype = np.dtype(field.dtype)
        return np.frombuffer(buffers.take(rows * dtype.itemsize), dtype, rows), nulls
    if field.form == "flag":
        packed = np.frombuffer(buffers.take(-(-rows // 8)), np.uint8)
        return np.unpackbits(packed, bitorder="little", count=rows).astype(np.bool_), nulls
    if field.form == "view":
        return _views(buffers, rows), nulls
    offsets = _offsets(buffers, rows, is_large=field.is_large)
    end = int(offsets[-1])
    if field.form == "text":
        return Texts((buffers.take(end),), offsets=offsets), nulls
    assert field.child is not None
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


def _views(buffers: _Buffers, rows: int) -> Texts:
    raw = buffers.take(rows * _VIEW_BYTES)
    data = tuple(buffers.take(0) for _ in range(buffers.variadic()))
    parts = np.frombuffer(raw, "<u4", rows * 4).reshape(rows, 4)
    long = np.flatnonzero(parts[:, 0] > _INLINE_BYTES)
    if long.size:
        sizes = np.array([len(each) for each in data] or [0], np.int64)
        lengths, places, starts = (parts[long, number].astype(np.int64) for number in (0, 2, 3))
        if (places >= len(data)).any() or (starts + lengths > sizes[np.minimum(places, len(sizes) - 1)]).any():
            raise PoisonMessage("Not an Arrow IPC stream: a text leaves its buffer")
    return Texts(data, views=np.frombuffer(raw, "<u8", rows * 2).reshape(rows, 2))
