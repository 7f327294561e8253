"""A checked reader of Arrow IPC streams: the envelope of a message before anything else trusts it.

Polars aborts the process on a corrupt length, and takes a gigabyte for a small compressed body; no exception
handler can catch either. This reader follows every length and offset inside the message with plain integer
comparisons, accepts only the types that batches use, no body compression and no dictionaries, and returns numpy
views of the columns. `liqheat.platform.codec` reads every message through it.

The layout is that of Arrow's format specification (Message.fbs and Schema.fbs, metadata version 5).
"""

import struct
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
_CACHED_TEXTS = 100_000

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
            return [_decoded(self._between(row)) for row in range(self.height)]
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

    def _between(self, row: int) -> bytes:
        assert self.offsets is not None
        return bytes(self.data[0][int(self.offsets[row]) : int(self.offsets[row + 1])])

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
            schema, length = _schema(metadata)
        else:
            if table is not None:
                raise PoisonMessage("Expected one Arrow record batch, was more")
            parts = _parts(schema, metadata)
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

    def scalar(self, slot: int, width: int) -> tuple[int, int]:
        """Return where the scalar in `slot` stands: first place and the one behind it; the same where it has none."""
        if slot >= len(self.slots) or not self.slots[slot]:
            raise PoisonMessage("Not an Arrow IPC stream: a length is missing")
        place = self.place + self.slots[slot]
        if place + width > len(self.data):
            raise PoisonMessage("Not an Arrow IPC stream: an offset leaves the metadata")
        return place, place + width

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


@dataclass(slots=True, eq=False)
class _Schema:
    """The fields of a stream, and the places of the numbers in its latest record batch's metadata."""

    fields: tuple[Field, ...]
    by_name: dict[str, Field]
    places: "_Places | None" = None


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the numbers of a record batch stand in its metadata, and `rest`: all bytes that are none of them.

    Metadata with the same `rest` has the same structure: its offsets need not be followed again.
    """

    size: int
    cuts: tuple[tuple[int, int], ...]
    rest: bytes
    form: struct.Struct


@dataclass(frozen=True, slots=True)
class _Parts:
    """The numbers of one record batch: rows, nodes (rows, nulls) and buffers (offset, size) in order."""

    body_length: int
    height: int
    nodes: tuple[int, ...]
    buffers: tuple[int, ...]
    variadic: tuple[int, ...]


_NO_ROWS = _Parts(0, 0, (), (), ())


@lru_cache(maxsize=256)
def _schema(metadata: bytes) -> tuple[_Schema, int]:
    """Return the schema in a message, and its body's length; cached, for a kind's messages all begin with the same one."""
    message = _Flat(metadata, struct.unpack_from("<I", metadata, 0)[0])
    schema = message.table(2)
    if message.number(1, "B") != _SCHEMA or schema is None:
        raise PoisonMessage("Not an Arrow IPC stream: it does not begin with a schema")
    if schema.number(0, "h"):
        raise PoisonMessage("Expected a little-endian Arrow stream")
    fields = tuple(_field(each) for each in schema.tables(1))
    by_name = {field.name: field for field in fields}
    if len(by_name) != len(fields):
        raise PoisonMessage("Expected Arrow columns of different names")
    return _Schema(fields, by_name), message.number(3, "q")


def _field(flat: _Flat, *, is_item: bool = False) -> Field:
    name, kind, of = flat.text(0), flat.number(2, "B"), flat.table(3)
    if flat.table(4) is not None:
        raise PoisonMessage(f"The Arrow column {name!r} is dictionary-encoded, which batches are not")
    if kind == _INT and of is not None:
        bits = of.number(0, "i")
        if bits in (8, 16, 32, 64):
            return Field(name, "number", np.dtype(f"<{'i' if of.number(1, '?') else 'u'}{bits // 8}").str)
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


def _parts(schema: _Schema, metadata: bytes) -> _Parts:
    """Return the numbers of a record batch, by the places of the one before if it has the same structure."""
    places = schema.places
    if places is None or len(metadata) != places.size or _without(metadata, places.cuts) != places.rest:
        places = schema.places = _places(metadata)
        if places is None:
            return _NO_ROWS
    numbers = places.form.unpack(b"".join([metadata[start:end] for start, end in places.cuts]))
    (_, body), (_, rows), (nodes, nodes_end), (first, last), _ = places.cuts
    del body, rows
    count, buffers = (nodes_end - nodes) // 8, (last - first) // 8
    return _Parts(
        numbers[0],
        numbers[1],
        numbers[2 : 2 + count],
        numbers[2 + count : 2 + count + buffers],
        numbers[2 + count + buffers :],
    )


def _without(metadata: bytes, cuts: tuple[tuple[int, int], ...]) -> bytes:
    kept, place = [], 0
    for start, end in sorted(cuts):
        kept.append(metadata[place:start])
        place = end
    return b"".join([*kept, metadata[place:]])


def _places(metadata: bytes) -> _Places | None:
    """Return the places of the numbers of a record batch, None of one without rows."""
    message = _Flat(metadata, struct.unpack_from("<I", metadata, 0)[0])
    batch = message.table(2)
    if message.number(1, "B") != _RECORD_BATCH or batch is None:
        raise PoisonMessage(f"Not an Arrow IPC stream of one batch: a message of type {message.number(1, 'B')}")
    if batch.table(3) is not None:
        raise PoisonMessage("The Arrow body is compressed, which batches are not")
    if not batch.number(0, "q"):
        return None
    cuts = [message.scalar(3, 8), batch.scalar(0, 8)]
    for slot, width in ((1, 16), (2, 16), (4, 8)):
        start, count = batch.vector(slot, width)
        if count > 8 * MAXIMUM_COLUMNS:
            raise PoisonMessage("Not an Arrow IPC stream: too many buffers")
        cuts.append((start, start + count * width))
    ordered = sorted(cuts)
    if any(end > start for (_, end), (start, _) in zip(ordered, ordered[1:], strict=False)):
        raise PoisonMessage("Not an Arrow IPC stream: parts of its metadata overlap")
    form = struct.Struct(f"<{sum(end - start for start, end in cuts) // 8}q")
    return _Places(len(metadata), tuple(cuts), _without(metadata, tuple(cuts)), form)


class _Buffers:
    """The nodes and buffers of one record batch, handed out in order, each checked to lie in the body."""

    __slots__ = ("_buffer", "_node", "_parts", "_text", "body", "size")

    def __init__(self, parts: _Parts, body: memoryview) -> None:
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


def _record_batch(parts: _Parts, body: memoryview, schema: _Schema, maximum_rows: int) -> Table:
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
