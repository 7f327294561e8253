"""Whether the columns of a message are those of its kind: types, nulls, values within their units, parallel lists.

Part of `liqheat.platform.codec`; works on what `arrow_stream` has read.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from liqheat.domain.events import Column, Kind, Schema
from liqheat.domain.units import MAXIMUM_LIST
from liqheat.platform import arrow_stream
from liqheat.platform.arrow_stream import Lists, Table, Texts
from liqheat.platform.errors import PoisonMessage

Array = npt.NDArray[Any]

DTYPES: dict[Any, str] = {
    pl.Int64(): "<i8",
    pl.Float64(): "<f8",
    pl.Int8(): "|i1",
    pl.Int32(): "<i4",
    pl.Float32(): "<f4",
}
"""Numpy's name of each polars type that columns have."""
_VERIFIED: dict[tuple[Kind, int], tuple[dict[str, Any], tuple[str, ...]]] = {}
"""Arrow schemas (kept alive here) whose types are those of a kind, and which of its columns they have."""
_VERIFIED_SCHEMAS = 1_000


def sane_columns(table: Table, schema: Schema, *, check: bool = True) -> dict[str, Any]:
    """Return the columns of `schema` that the table has, each of its type and, with `check`, within its unit.

    Raises:
        PoisonMessage: one is not, or one that has no default is missing.
    """
    known = _VERIFIED.get((schema.kind, id(table.fields)))
    if not check and known is not None and known[0] is table.fields and not any(table.nulls.values()):
        return {name: table.columns[name] for name in known[1]}
    columns: dict[str, Any] = {}
    for column in schema.columns:
        values = typed_values(table, column)
        if values is None:
            continue
        if table.nulls[column.name]:
            raise PoisonMessage(f"The column {column.name!r} has {table.nulls[column.name]} nulls")
        if isinstance(values, Lists):
            _check_list(column, values)
        elif check and isinstance(values, np.ndarray) and values.dtype != np.bool_:
            check_values(column, values, "Row")
        columns[column.name] = values
    if schema.lists:
        _check_parallel(schema.lists, columns)
    elif len(_VERIFIED) < _VERIFIED_SCHEMAS:
        _VERIFIED[schema.kind, id(table.fields)] = table.fields, tuple(columns)
    return columns


def typed_values(table: Table, column: Column) -> Any:
    """Return the values that a table has of `column`, whatever they are; None where it has none and needs none.

    Raises:
        PoisonMessage: they are of another type, or missing from a column that has no default.
    """
    values = table.columns.get(column.name)
    if values is None:
        if column.default is None:
            raise PoisonMessage(f"The column {column.name!r} is missing")
        return None
    if not is_of_type(values, column.dtype):
        raise PoisonMessage(f"Expected the column {column.name!r} as {column.dtype}, was {_type_name(table, column)}")
    return values


def _check_list(column: Column, lists: Lists) -> None:
    lengths = np.diff(lists.offsets)
    if lengths.max(initial=0) > MAXIMUM_LIST:
        raise PoisonMessage(f"The column {column.name!r} has a list of {lengths.max()} elements, over {MAXIMUM_LIST}")
    if lists.nulls:
        raise PoisonMessage(f"The column {column.name!r} has {lists.nulls} nulls in its lists")
    check_values(column, lists.values[lists.offsets[0] : lists.offsets[-1]], "Element")


def _check_parallel(names: tuple[str, ...], columns: Mapping[str, Any]) -> None:
    """Refuse a row whose parallel lists differ in length, or whose first list, the buckets, does not rise."""
    first, *others = names
    lists: Lists = columns[first]
    lengths = np.diff(lists.offsets)
    for name in others:
        if not np.array_equal(np.diff(columns[name].offsets), lengths):
            raise PoisonMessage(f"The lists {first!r} and {name!r} of a row differ in length")
    begin, end = int(lists.offsets[0]), int(lists.offsets[-1])
    falls = np.diff(lists.values[begin:end]) <= 0
    seams = lists.offsets[1:-1] - begin
    falls[seams[(seams > 0) & (seams < end - begin)] - 1] = False
    if falls.any():
        raise PoisonMessage(f"The list {first!r} of a row does not rise")


def is_of_type(values: arrow_stream.Column, dtype: pl.DataType) -> bool:
    """Whether `values` are what a column of `dtype` holds."""
    if isinstance(values, Texts):
        return dtype == pl.String()
    if isinstance(values, Lists):
        return isinstance(dtype, pl.List) and values.values.dtype.str == DTYPES[dtype.inner]
    if values.dtype == np.bool_:
        return dtype == pl.Boolean()
    return DTYPES.get(dtype) == values.dtype.str


def _type_name(table: Table, column: Column) -> str:
    field = table.fields[column.name]
    return np.dtype(field.dtype).name if field.form == "number" else field.form


def check_values(column: Column, values: Array, what: str) -> None:
    """Refuse a value outside its unit.

    Raises:
        PoisonMessage: names the first one, which is a row or, in a list, an element (`what`).
    """
    if not values.size:
        return
    unit = column.unit
    lowest, highest = unit.limits()
    # NaN makes both of these false, so only a column that has some takes the slower way.
    if values.min() >= lowest and values.max() <= highest and not (unit.nonzero and (values == 0).any()):
        return
    sane = (values >= lowest) & (values <= highest)
    if unit.nonzero:
        sane &= values != 0
    if unit.nullable:
        sane |= np.isnan(values)
    if not sane.all():
        place = int(np.argmin(sane))
        raise PoisonMessage(f"{what} {place} of the column {column.name!r} ({unit.name}) is {values[place]}")
