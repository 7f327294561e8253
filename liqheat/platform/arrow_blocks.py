"""Many small Arrow IPC streams of the same structure, read at once: numpy works on the rows of all of them together.

A message of a quiet market has a few rows, and following its metadata costs more than its rows do. Streams whose
schema is the same, and whose record batches' metadata differ in numbers only, are read here in one go, with the
checks of `liqheat.platform.arrow_stream`. Nothing is refused here: what fails a check, or has a column that is neither
a number nor a text view, is left to that module, one by one.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.platform.arrow_metadata import Field, Places, Schema, places_of, schema_of
from liqheat.platform.errors import PoisonMessage

_CONTINUATION = 0xFFFFFFFF
_HEAD = struct.Struct("<II")
_END = _HEAD.pack(_CONTINUATION, 0)
_VIEW_BYTES = 16
INLINE_BYTES = 12
"""Longest text that an Arrow view holds itself."""
MAXIMUM_TEXT = 64
"""Longest text, in bytes, of a stream that is read here."""
_NAME_BYTES = _VIEW_BYTES - INLINE_BYTES + MAXIMUM_TEXT

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]
Shape = tuple[bytes, int]
"""The encoded schema of a stream, and the size of its record batch's metadata."""


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """A text column of all rows: Arrow's views as two words each, shape (rows, 2), and the texts' `lengths` in bytes.

    Texts of more than `INLINE_BYTES` begin at `starts` in `bodies`.
    """

    words: Array
    lengths: IntArray
    starts: IntArray
    bodies: bytes

    def differ(self) -> Array:
        """Return of each row but the first whether its view is another than that of the row before."""
        return np.asarray((self.words[1:] != self.words[:-1]).any(axis=1))

    def any_long(self) -> bool:
        """Whether a text is not in its view: the same text may then have different views."""
        return bool(self.lengths.max() > INLINE_BYTES)

    def names(self, rows: IntArray) -> Array:
        """Return the texts of `rows` as lines of bytes that are equal where the texts are, shape (rows, bytes)."""
        lengths = self.lengths[rows][:, None]
        names = np.zeros((len(rows), _NAME_BYTES if self.any_long() else _VIEW_BYTES), np.uint8)
        names[:, :_VIEW_BYTES] = self.words[rows].view(np.uint8)
        texts = names[:, _VIEW_BYTES - INLINE_BYTES :]
        places = np.arange(texts.shape[1])
        long = np.flatnonzero(lengths > INLINE_BYTES)
        if long.size:
            bodies = np.frombuffer(self.bodies, np.uint8)
            texts[long] = bodies[np.minimum(self.starts[rows[long]][:, None] + places, len(bodies) - 1)]
        # What is behind a text, the padding of its view for one, is no part of it.
        texts *= places < lengths
        return names

    def text(self, row: int) -> str:
        """Return the text of a row.

        Raises:
            UnicodeDecodeError: it is not UTF-8.
        """
        length, start = int(self.lengths[row]), int(self.starts[row])
        if length > INLINE_BYTES:
            return self.bodies[start : start + length].decode()
        view: bytes = self.words[row].tobytes()
        return view[4 : 4 + length].decode()


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Record batches end to end: rows of the stream at `places[i]` are the next `heights[i]`, shape (streams,)."""

    places: IntArray
    heights: IntArray
    columns: dict[str, Array | Views]
    fields: dict[str, Field]


class _NotAlikeError(Exception):
    """A check failed, or a column is of a form that is not read here."""


def shape_of(value: bytes | None) -> Shape | None:
    """Return what streams must have in common to be read together; None of one that cannot be."""
    if value is None or len(value) < _HEAD.size:
        return None
    first, size = _HEAD.unpack_from(value)
    place = _HEAD.size + size
    if first != _CONTINUATION or not size or len(value) < place + _HEAD.size:
        return None
    second, length = _HEAD.unpack_from(value, place)
    return (value[:place], length) if second == _CONTINUATION and length else None


def blocks_of(values: Sequence[bytes], shape: Shape, maximum_rows: int, least: int) -> list[Block]:
    """Read streams of one `shape`, those of the same structure together; fewer than `least` are left out.

    So are streams with more than `maximum_rows` rows, without any, with nulls, and those that a check finds wanting.
    """
    encoded, size = shape
    begin = len(encoded) + _HEAD.size
    heads = b"".join([value[begin : begin + size] for value in values])
    if len(heads) != len(values) * size:
        return []
    try:
        schema, length = schema_of(encoded[_HEAD.size :])
        matrix = np.frombuffer(heads, np.uint8).reshape(len(values), size)
        left, blocks = np.arange(len(values)), []
        while not length and len(left) >= least:
            places = places_of(schema, matrix[left[0]].tobytes())
            if places is None:
                break
            numbers = np.take(matrix[left], places.numbers_at, axis=1).view("<i8")
            alike = (np.take(matrix[left], places.rest_at, axis=1) == places.rest_bytes).all(axis=1)
            texts = places.variadic_from
            alike &= (numbers[:, texts:] == numbers[0, texts:]).all(axis=1)
            if not alike[0]:
                break
            own = left[alike]
            block = _block(values, own, begin + size, numbers[alike], places, schema, maximum_rows)
            if len(own) >= least and block is not None:
                blocks.append(block)
            left = left[~alike]
    except (PoisonMessage, struct.error, IndexError, UnicodeDecodeError, OverflowError, ValueError):
        return []
    return blocks


def _block(
    values: Sequence[bytes],
    own: IntArray,
    body: int,
    numbers: IntArray,
    places: Places,
    schema: Schema,
    maximum_rows: int,
) -> Block | None:
    """Read the streams at `own`, whose bodies begin at `body`; None where one fails a check."""
    lengths, heights = numbers[:, 0], numbers[:, 1]
    if (lengths < 0).any() or (lengths % 8).any() or (heights < 1).any() or (heights > maximum_rows).any():
        return None
    pieces = []
    for place, length in zip(own.tolist(), lengths.tolist(), strict=True):
        value, end = values[place], body + length
        if len(value) != end and value[end:] != _END:
            return None
        pieces.append(value[body:end])
    bodies = b"".join(pieces)
    if len(bodies) != int(lengths.sum()):
        return None
    try:
        columns = _Columns(bodies, lengths, heights, numbers, places)
        found = {field.name: columns.column(field.form, field.dtype) for field in schema.fields}
    except _NotAlikeError:
        return None
    return Block(own, heights, found, schema.by_name)


class _Columns:
    """The columns of many record batches, handed out in order, each checked to lie in its own body."""

    def __init__(self, bodies: bytes, lengths: IntArray, heights: IntArray, numbers: IntArray, places: Places) -> None:
        """Take bodies end to end of `lengths` bytes, and the numbers of each record batch, shape (streams, numbers).

        Raises:
            _NotAlikeError: there are nulls, a column has other rows than the batch, or a buffer leaves its body.
        """
        self._bodies, self._heights = bodies, heights
        nodes = numbers[:, places.nodes_from : places.buffers_from]
        buffers = numbers[:, places.buffers_from : places.variadic_from]
        starts, self._sizes = buffers[:, ::2], buffers[:, 1::2]
        limits = lengths[:, None]
        if (nodes[:, ::2] != heights[:, None]).any() or nodes[:, 1::2].any() or buffers.min() < 0:
            raise _NotAlikeError
        if (starts > limits).any() or (self._sizes > limits - starts).any():
            raise _NotAlikeError
        self._starts = starts + (np.cumsum(lengths) - lengths)[:, None]
        self._variadic = numbers[0, places.variadic_from :].tolist()
        self._buffer = self._text = 0
        self._stream = np.repeat(np.arange(len(heights)), heights)
        self._in_stream = np.arange(len(self._stream)) - np.repeat(np.cumsum(heights) - heights, heights)

    def column(self, form: str, dtype: str) -> Array | Views:
        """Return the next column.

        Raises:
            _NotAlikeError: a buffer is too short or not aligned, or the form is neither number nor view.
        """
        # A column without nulls has no use for its validity.
        self._buffer += 1
        if form == "number":
            return self._numbers(np.dtype(dtype))
        if form == "view":
            return self._views()
        raise _NotAlikeError

    def _begins(self, item_bytes: int, unit: int) -> IntArray:
        """Return where the items of the next buffer begin in all bodies, counted in units of `unit` bytes."""
        begins, sizes = self._starts[:, self._buffer], self._sizes[:, self._buffer]
        self._buffer += 1
        if (sizes < self._heights * item_bytes).any() or (begins & (unit - 1)).any():
            raise _NotAlikeError
        return np.asarray(begins // unit)

    def _numbers(self, dtype: "np.dtype[Any]") -> Array:
        begins = self._begins(dtype.itemsize, dtype.itemsize)
        whole = np.frombuffer(self._bodies, dtype, len(self._bodies) // dtype.itemsize)
        return np.asarray(whole[begins[self._stream] + self._in_stream])

    def _views(self) -> Views:
        begins = self._begins(_VIEW_BYTES, 8)
        words = np.frombuffer(self._bodies, "<u8", len(self._bodies) // 8)
        first = begins[self._stream] + 2 * self._in_stream
        views = words[np.stack([first, first + 1], axis=1)]
        count = self._variadic[self._text]
        self._text += 1
        texts = slice(self._buffer, self._buffer + count)
        self._buffer = texts.stop
        if count < 0 or texts.stop > self._starts.shape[1]:
            raise _NotAlikeError
        parts = views.view("<u4")
        lengths = parts[:, 0].astype(np.int64)
        starts = np.zeros(len(lengths), np.int64)
        long = np.flatnonzero(lengths > INLINE_BYTES)
        if long.size:
            number, begin = parts[long, 2].astype(np.int64), parts[long, 3].astype(np.int64)
            if (number >= count).any() or (lengths[long] > MAXIMUM_TEXT).any():
                raise _NotAlikeError
            stream = self._stream[long]
            if (begin + lengths[long] > self._sizes[:, texts][stream, number]).any():
                raise _NotAlikeError
            starts[long] = self._starts[:, texts][stream, number] + begin
        return Views(views, lengths, starts, self._bodies)
