"""A message of which some rows are not sane, as two: the sane rows to go on with, and the others for a dead letter.

Called by the worker, the sink and the webhook once `codec` has refused a message, so that one odd row never costs
its neighbours. What is wrong with the message itself (its envelope, a missing column, a type) stays wrong with all.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from liqheat.domain.events import MARKET_COLUMNS, Batch, Column
from liqheat.domain.units import MAXIMUM_LIST, Unit
from liqheat.platform.codec import MAXIMUM_NAME, decode, read_envelope
from liqheat.platform.errors import PoisonMessage


@dataclass(frozen=True, slots=True)
class SplitMessage:
    """The two halves of a message's value, each an Arrow IPC stream that goes with the message's own headers."""

    sane: bytes
    odd: bytes


@dataclass(frozen=True, slots=True)
class SaneBatch:
    """The sane rows of a message; `odd` is the value that has the others, None where all are sane, and `reason` why."""

    batch: Batch
    odd: bytes | None = None
    reason: str = ""


def decode_sane_rows(headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]], value: bytes | None) -> SaneBatch:
    """Read a message as `codec.decode` does, but leave out the rows that are not sane.

    Raises:
        PoisonMessage: no row is sane, or the message cannot be read at all.
    """
    try:
        return SaneBatch(decode(headers, value))
    except PoisonMessage as error:
        parts = split_odd_rows(headers, value)
        if parts is None:
            raise
        return SaneBatch(decode(headers, parts.sane), parts.odd, error.reason)


def split_odd_rows(
    headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]], value: bytes | None
) -> SplitMessage | None:
    """Return the sane and the odd rows of a message apart; None where it has not both, or cannot be read at all."""
    try:
        schema, table = read_envelope(headers, value)
        known = [column for column in schema.columns if column.name in table.columns]
        frame = pl.read_ipc_stream(io.BytesIO(value or b""), use_pyarrow=False)
    except (PoisonMessage, pl.exceptions.PolarsError, OSError, ValueError, OverflowError):
        return None
    odd = frame.select(
        pl.any_horizontal(
            *(_is_odd(column) for column in known),
            *(_is_odd_name(name) for name in MARKET_COLUMNS if name in frame.columns),
            *_are_not_parallel(schema.lists),
        )
    ).to_series()
    if not odd.any() or odd.all():
        return None
    return SplitMessage(_stream(frame.filter(~odd)), _stream(frame.filter(odd)))


def _is_odd(column: Column) -> pl.Expr:
    """Whether a row has no value in `column`, or one outside its unit."""
    values = pl.col(column.name)
    if isinstance(column.dtype, pl.List):
        element = _is_outside(pl.element(), column.unit, column.dtype.inner == pl.Float64())
        any_outside = values.list.eval(element).list.any()
        return values.is_null() | (values.list.len() > MAXIMUM_LIST) | any_outside.fill_null(False)
    if not column.dtype.is_numeric():
        return values.is_null()
    return _is_outside(values, column.unit, column.dtype.is_float())


def _is_outside(values: pl.Expr, unit: Unit, is_float: bool) -> pl.Expr:
    """Whether values are missing or outside `unit`; polars takes NaN for larger than any number."""
    lowest, highest = unit.limits()
    sane = (values >= lowest) & (values <= highest)
    if unit.nullable and is_float:
        sane = sane | values.is_nan()
    if unit.nonzero:
        sane = sane & (values != 0)
    return values.is_null() | ~sane.fill_null(False)


def _is_odd_name(name: str) -> pl.Expr:
    return pl.col(name).is_null() | (pl.col(name).str.len_chars() > MAXIMUM_NAME)


def _are_not_parallel(names: tuple[str, ...]) -> list[pl.Expr]:
    """Whether a row's parallel lists differ in length, or the first does not rise."""
    if not names:
        return []
    first = pl.col(names[0])
    lengths = [(pl.col(name).list.len() != first.list.len()).fill_null(True) for name in names[1:]]
    falls = first.list.eval(pl.element().diff() <= 0).list.any().fill_null(False)
    return [*lengths, falls]


def _stream(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer)
    return buffer.getvalue()
