"""A CSV file as a table: columns are found by name, values are numbers or times, or are refused by line."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from liqheat.cli.packed_files import contents_of
from liqheat.cli.times import EARLIEST_MS, scale_of
from liqheat.domain.units import LATEST_MS
from liqheat.platform.errors import ConfigurationError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TIME = ("t_start", "open_time", "timestamp", "datetime", "date", "time", "start", "t")
_USD_WORDS = frozenset({"usd", "usdt", "usdc", "quote", "value", "notional", "turnover"})
_NO_AMOUNT = frozenset({"time", "count", "number", "ratio", "change", "contracts", "pct", "percent", "accounts"})
_WORDS = re.compile(r"[^a-z0-9]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def is_usd(name: str) -> bool:
    """Return whether a column's name says that it is in USD."""
    return not _USD_WORDS.isdisjoint(_WORDS.split(name))


def is_coins(name: str) -> bool:
    """Return whether a column's name leaves it to be an amount of coins."""
    return not is_usd(name)


def any_unit(_: str) -> bool:
    """Return that a column's unit does not matter."""
    return True


@dataclass(frozen=True, slots=True)
class CsvTable:
    """The rows of a file, in its order; names of columns in small letters and with underscores."""

    file: Path
    frame: pl.DataFrame

    @classmethod
    def read(cls, file: Path) -> "CsvTable":
        """Read a file.

        Raises:
            ConfigurationError: it is no CSV, or has no rows.
        """
        try:
            frame = pl.read_csv(contents_of(file), infer_schema_length=None)
            frame = frame.rename(
                {name: _HUMP.sub("_", name.strip()).lower().replace(" ", "_") for name in frame.columns}
            )
        except pl.exceptions.PolarsError as error:
            raise ConfigurationError(f"{file}: cannot be read as CSV: {error}") from error
        if not frame.height:
            raise ConfigurationError(f"{file}: expected rows below the header, found none")
        return cls(file, frame)

    def exact(self, *names: str) -> str | None:
        """Return the first of `names` that is a column."""
        return next((name for name in names if name in self.frame.columns), None)

    def beginning(self, *beginnings: str, unit: Callable[[str], bool] = any_unit) -> str | None:
        """Return the column of one of these names, else the first that begins so, of the unit and an amount."""
        for beginning in beginnings:
            fits = [name for name in self.frame.columns if name.startswith(beginning) and unit(name)]
            fits = [name for name in fits if _NO_AMOUNT.isdisjoint(_WORDS.split(name))]
            if fits:
                return beginning if beginning in fits else fits[0]
        return None

    def refuse_missing(self, wanted: str) -> ConfigurationError:
        """Return the complaint that a column is missing."""
        return ConfigurationError(f"{self.file}: expected {wanted}, found {', '.join(self.frame.columns)}")

    def refusal(self, what: str, row: int, name: str) -> ConfigurationError:
        """Return the complaint about one value, with the line of the file."""
        return ConfigurationError(
            f"{self.file}, line {row + 2}: expected {what} in {name!r}, was {self.frame[name][row]!r}"
        )

    def numbers(self, name: str) -> FloatArray:
        """Return a column as numbers, NaN where it is empty.

        Raises:
            ConfigurationError: a value is no finite number.
        """
        column = self.frame[name]
        values = column.cast(pl.Float64, strict=False)
        wrong = (values.is_null() & column.is_not_null()) | values.is_infinite().fill_null(False)
        if wrong.any():
            raise self.refusal("a finite number", int(wrong.arg_max() or 0), name)
        return values.fill_null(float("nan")).to_numpy().astype(np.float64)

    def amounts(self, name: str) -> FloatArray:
        """Return a column of numbers of at least 0, NaN where it is empty.

        Raises:
            ConfigurationError: a value is negative or no number.
        """
        values = self.numbers(name)
        if (values < 0).any():
            raise self.refusal("a number of at least 0", int(np.argmax(values < 0)), name)
        return values

    def times(self) -> IntArray:
        """Return the first column of times, ms.

        Raises:
            ConfigurationError: there is none, or a value is none.
        """
        name = self.exact(*TIME)
        if name is None:
            raise self.refuse_missing(f"a column of times ({', '.join(TIME)})")
        return self.ms(name)

    def ms(self, name: str) -> IntArray:
        """Return a column of times, s, ms, µs, ns or ISO 8601, in ms.

        Raises:
            ConfigurationError: a value is none from 2010 to 2100.
        """
        column, what = self.frame[name], "a time from 2010 to 2100 (s, ms, µs, ns or ISO 8601)"
        if column.dtype == pl.String:
            try:
                read = column.str.to_datetime(time_unit="ms", time_zone="UTC", strict=False).dt.timestamp("ms")
            except pl.exceptions.PolarsError as error:
                raise self.refusal(what, 0, name) from error
        else:
            read = column if column.dtype.is_integer() else column.cast(pl.Float64, strict=False)
        if read.is_null().any() or (read.dtype.is_float() and not read.is_finite().all()):
            odd = read.is_null() | ~read.cast(pl.Float64).is_finite().fill_null(False)
            raise self.refusal(what, int(odd.arg_max() or 0), name)
        values = read.to_numpy()
        if column.dtype != pl.String:
            try:
                times, over = scale_of(float(values.max()))
            except ConfigurationError as error:
                raise self.refusal(what, int(values.argmax()), name) from error
            values = (
                np.floor(values * times / over) if values.dtype.kind == "f" else values.astype(np.int64) * times // over
            )
        ms = np.asarray(values).astype(np.int64)
        outside = (ms < EARLIEST_MS) | (ms >= LATEST_MS)
        if outside.any():
            raise self.refusal(what, int(np.argmax(outside)), name)
        return np.asarray(ms)
