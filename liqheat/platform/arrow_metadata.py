"""The metadata of Arrow IPC messages: schemas, and where a record batch keeps its buffers, read with bounds checks.

Part of `liqheat.platform.arrow_stream`. Metadata are flatbuffers; a kind's messages all begin with the same schema and
their record batches have the same structure, so most are recognised by their bytes and only their numbers are read.
"""

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from liqheat.platform.errors import PoisonMessage

MAXIMUM_COLUMNS = 128
_SCHEMA, _RECORD_BATCH = 1, 3
"""Values of `MessageHeader` in Message.fbs."""
_INT, _FLOAT, _UTF8, _BOOL, _LIST, _LARGE_UTF8, _LARGE_LIST, _UTF8_VIEW = 2, 3, 5, 6, 12, 20, 21, 24
"""Values of `Type` in Schema.fbs."""
_FLOATS = {1: "<f4", 2: "<f8"}
_KEPT_SIZES = 64
"""Sizes of metadata of one schema whose places are kept: they differ with the number of text buffers."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the schema: `form` is number, flag, text, view or list; `dtype` numpy's name of a number."""

    name: str
    form: str
    dtype: str = ""
    is_large: bool = False
    child: "Field | None" = None


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
        """Return where the scalar in `slot` is: first place and the one behind it; the same where it has none."""
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
class Schema:
    """The fields of a stream, and the places of the numbers in its record batches' metadata, by its size."""

    fields: tuple[Field, ...]
    by_name: dict[str, Field]
    places: "dict[int, Places]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where the numbers of a record batch are in its metadata, and `rest`: all bytes that are none of them.

    Metadata with the same `rest` has the same structure: its offsets need not be followed again. `numbers_at` and
    `rest_at` are the same places byte by byte. Of the numbers (body length, rows, then nodes, buffers and text buffers
    per view column) those from `nodes_from`, `buffers_from` and `variadic_from` on are nodes, buffers, text buffers.
    """

    cuts: tuple[tuple[int, int], ...]
    rest: bytes
    form: struct.Struct
    numbers_at: IntArray
    rest_at: IntArray
    rest_bytes: npt.NDArray[np.uint8]
    nodes_from: int
    buffers_from: int
    variadic_from: int


@dataclass(frozen=True, slots=True)
class Parts:
    """The numbers of one record batch: rows, nodes (rows, nulls) and buffers (offset, size) in order."""

    body_length: int
    height: int
    nodes: tuple[int, ...]
    buffers: tuple[int, ...]
    variadic: tuple[int, ...]


_NO_ROWS = Parts(0, 0, (), (), ())


@lru_cache(maxsize=256)
def schema_of(metadata: bytes) -> tuple[Schema, int]:
    """Return the schema in a message, and the length of its body; cached, for a kind's messages share it."""
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
    return Schema(fields, by_name), message.number(3, "q")


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


def parts_of(schema: Schema, metadata: bytes) -> Parts:
    """Return the numbers of a record batch, by the places of one before if it has the same structure."""
    places = places_of(schema, metadata)
    if places is None:
        return _NO_ROWS
    numbers = places.form.unpack(b"".join([metadata[start:end] for start, end in places.cuts]))
    return Parts(
        numbers[0],
        numbers[1],
        numbers[places.nodes_from : places.buffers_from],
        numbers[places.buffers_from : places.variadic_from],
        numbers[places.variadic_from :],
    )


def places_of(schema: Schema, metadata: bytes) -> Places | None:
    """Return the places of the numbers of a record batch, None of one without rows.

    Raises:
        PoisonMessage: it is no record batch, is compressed, or is broken.
    """
    places = schema.places.get(len(metadata))
    if places is None or _without(metadata, places.cuts) != places.rest:
        places = _places(metadata)
        if places is not None and (len(metadata) in schema.places or len(schema.places) < _KEPT_SIZES):
            schema.places[len(metadata)] = places
    return places


def _without(metadata: bytes, cuts: tuple[tuple[int, int], ...]) -> bytes:
    kept, place = [], 0
    for start, end in sorted(cuts):
        kept.append(metadata[place:start])
        place = end
    return b"".join([*kept, metadata[place:]])


def _places(metadata: bytes) -> Places | None:
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
    if any(end > start for (_, end), (start, _) in pairwise(ordered)):
        raise PoisonMessage("Not an Arrow IPC stream: parts of its metadata overlap")
    sizes = [(end - start) // 8 for start, end in cuts]
    numbers_at = np.concatenate([np.arange(start, end) for start, end in cuts])
    rest_at = np.setdiff1d(np.arange(len(metadata)), numbers_at)
    rest = _without(metadata, tuple(cuts))
    return Places(
        tuple(cuts),
        rest,
        struct.Struct(f"<{sum(sizes)}q"),
        numbers_at,
        rest_at,
        np.frombuffer(rest, np.uint8),
        sum(sizes[:2]),
        sum(sizes[:3]),
        sum(sizes[:4]),
    )
