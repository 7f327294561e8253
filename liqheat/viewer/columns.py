"""What the page reads of a symbol as columns of numpy arrays: small to keep, and quick to cut and to join.

`queries` makes them of ClickHouse's answers, `stored` keeps and joins them, `picture` draws with them. A picture's
column is numbered by its start over its width, from 1970 on; a bucket by `liqheat.domain.price_grid`, at level 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

from liqheat.domain.price_grid import bucket_of

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Parallel arrays of one length, in the order of the query."""

    dtypes: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def of(cls, result: Any) -> Self:
        """Return the rows of a structured array; a bucket is named by a price in it there."""
        arrays = {}
        for each, dtype in zip(fields(cls), cls.dtypes, strict=True):
            if not len(result):
                arrays[each.name] = np.empty(0, dtype)
            elif each.name == "bucket":
                arrays[each.name] = bucket_of(result["price"].astype("f8")).astype(dtype)
            else:
                arrays[each.name] = result[each.name].astype(dtype)
        return cls(**arrays)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of all parts, in their order."""
        return cls(**{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)})

    def where(self, chosen: Any) -> Self:
        """Return the rows that are chosen, by a mask, numbers or a slice."""
        return type(self)(**{each.name: getattr(self, each.name)[chosen] for each in fields(self)})

    def between(self, step: int, start: int, end: int) -> Self:
        """Return the rows of the columns of width `step` from `start` to before `end`, all in ms."""
        column: Ints = self.column  # type: ignore[attr-defined]
        return self.where((column >= start // step) & (column < end // step))

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(int(getattr(self, each.name).nbytes) for each in fields(self))


@dataclass(frozen=True, slots=True, eq=False)
class Columns(Table):
    """Mark prices (USD), open interest (USD) and executed liquidations (USD) by column and venue; NaN is unknown."""

    dtypes = ("i8", "U", *("f8",) * 7)
    column: Ints
    venue: Texts
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    open_interest: Floats
    liquidated_long: Floats
    liquidated_short: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Cells(Table):
    """Notional (micro-USD) by column and bucket, only where there is some."""

    dtypes = ("i4", "i4", "i8", "i8")
    column: npt.NDArray[np.int32]
    bucket: npt.NDArray[np.int32]
    long_micro_usd: Ints
    short_micro_usd: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Current(Table):
    """Notional (micro-USD) of the map at one time by bucket, venue and basis, only where there is some."""

    dtypes = ("i4", "U", "U", "i8", "i8")
    bucket: npt.NDArray[np.int32]
    venue: Texts
    basis: Texts
    long_micro_usd: Ints
    short_micro_usd: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Executed(Table):
    """Executed liquidations: time (ms), venue, side of the position, price (USD per coin), USD."""

    dtypes = ("i8", "U", "U", "f8", "f8")
    time: Ints
    venue: Texts
    side: Texts
    price: Floats
    notional_usd: Floats

    def between(self, step: int, start: int, end: int) -> Self:  # noqa: ARG002 - the columns' width is no matter here
        """Return the rows from `start` to before `end`, ms."""
        return self.where((self.time >= start) & (self.time < end))


AnyTable = TypeVar("AnyTable", bound=Table)


def by_symbol(kind: type[AnyTable], symbols: Sequence[str], result: Any) -> dict[str, AnyTable]:
    """Return the rows of each of `symbols` in a structured array with the column `symbol`, sorted by it."""
    if len(symbols) == 1 or not len(result):
        return {symbol: kind.of(result) for symbol in symbols}
    names = result["symbol"].astype(str)
    begins = np.searchsorted(names, np.array(symbols), side="left")
    ends = np.searchsorted(names, np.array(symbols), side="right")
    return {symbol: kind.of(result[first:last]) for symbol, first, last in zip(symbols, begins, ends, strict=True)}
