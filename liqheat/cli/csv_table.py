"""A CSV file as a table: columns are found by name, values are numbers or times, or are refused by line."""

import codecs
import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from liqheat.cli.bad_lines import BadLines
from liqheat.cli.packed_files import contents_of
from liqheat.cli.times import EARLIEST_MS, UNITS
from liqheat.domain.units import LATEST_MS
from liqheat.platform.errors import ConfigurationError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
T = TypeVar("T")
_LONGEST_REASON = 200

TIME = ("t_start", "open_time", "timestamp", "datetime", "date", "time", "start", "t")
_USD_WORDS = frozenset({"usd", "usdt", "usdc", "quote", "value", "notional", "turnover"})
_NO_AMOUNT = frozenset({"time", "count", "number", "ratio", "change", "contracts", "pct", "percent", "accounts"})
_WORDS = re.compile(r"[^a-z0-9]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class RefusedRows(ConfigurationError):
    """Rows of a table, by place, that cannot be read, each with its reason; as an error it is the first one's sentence.

    `is_repeat` says that what they hold is in another row, so that nothing is lost without them.
    """

    def __init__(self, table: "CsvTable", reasons: dict[int, str], *, is_repeat: bool = False) -> None:
        row, reason = next(iter(reasons.items()))
        super().__init__(f"{table.file}, line {table.lines[row]}: {reason}")
        self.reasons, self.is_repeat = reasons, is_repeat


def read_rows(file: Path, read: Callable[["CsvTable"], T], bad_lines: BadLines | None) -> T:
    """Return what `read` makes of a file; `bad_lines` takes rows that it refuses, and it reads the others.

    Raises:
        ConfigurationError: the file is refused as a whole, most of its rows are, or any and there are no `bad_lines`.
    """
    table = CsvTable.read(file, bad_lines)
    most = table.frame.height / 2
    while True:
        try:
            return read(table)
        except RefusedRows as refused:
            if bad_lines is None or len(refused.reasons) > most:
                raise
            for row, reason in refused.reasons.items():
                bad_lines.add(int(table.lines[row]), reason, what=f"{file}, line")
            table = table.without(list(refused.reasons), is_repeat=refused.is_repeat)


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
    """The rows of a file, in its order; names of columns in small letters and with underscores.

    `lines` are their numbers in the file; `is_beside_lost` says which had a neighbour in the file that was left out.
    """

    file: Path
    frame: pl.DataFrame
    lines: IntArray
    is_beside_lost: BoolArray

    @classmethod
    def read(cls, file: Path, bad_lines: BadLines | None = None) -> "CsvTable":
        """Read a file; `bad_lines` takes rows of more fields than the header has, and what is damaged.

        Raises:
            ConfigurationError: it is no CSV, or has no rows.
        """
        data = _as_utf_8(contents_of(file, bad_lines))
        if not data.strip():
            raise ConfigurationError(f"{file}: expected a header and rows below it, found nothing")
        lines = None
        try:
            try:
                frame = pl.read_csv(data, infer_schema_length=None)
            except pl.exceptions.PolarsError:
                if bad_lines is None:
                    raise
                data, lines = _of_as_many_fields(file, data, bad_lines)
                frame = pl.read_csv(data, infer_schema_length=None)
            frame = frame.rename(
                {name: _HUMP.sub("_", name.strip()).lower().replace(" ", "_") for name in frame.columns}
            )
        except pl.exceptions.PolarsError as error:
            # The error of a quote holds all that comes after it.
            reason = str(error).partition("\n")[0][:_LONGEST_REASON]
            raise ConfigurationError(f"{file}: cannot be read as CSV: {reason}") from error
        if not frame.height:
            raise ConfigurationError(f"{file}: expected rows below the header, found none")
        if lines is None or len(lines) != frame.height:
            lines = np.arange(frame.height, dtype=np.int64) + 2
        return cls(file, frame, lines, np.zeros(frame.height, dtype=np.bool_))

    def without(self, rows: list[int], *, is_repeat: bool) -> "CsvTable":
        """Return the table without some rows, by place; what they held is lost, unless it is a repeat."""
        kept, beside = np.ones(len(self.lines), dtype=np.bool_), self.is_beside_lost.copy()
        kept[rows] = False
        if not is_repeat:
            # Rows next to each other may be lost together, so their neighbours are the nearest that are kept.
            places = np.flatnonzero(kept)
            after = np.searchsorted(places, rows)
            beside[places[after[after < len(places)]]] = True
            beside[places[(after - 1)[after > 0]]] = True
        return CsvTable(self.file, self.frame.filter(pl.Series(kept)), self.lines[kept], beside[kept])

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

    def refusal(self, what: str, is_wrong: BoolArray, name: str) -> RefusedRows:
        """Return the complaint about the values of a column that are wrong."""
        column = self.frame[name]
        rows = np.flatnonzero(is_wrong).tolist()
        return RefusedRows(self, {row: f"expected {what} in {name!r}, was {column[row]!r}" for row in rows})

    def numbers(self, name: str) -> FloatArray:
        """Return a column as numbers, NaN where it is empty.

        Raises:
            RefusedRows: a value is no finite number.
        """
        column = self.frame[name]
        values = column.cast(pl.Float64, strict=False)
        wrong = (values.is_null() & column.is_not_null()) | ~values.is_finite().fill_null(True)
        if wrong.any():
            raise self.refusal("a finite number", wrong.to_numpy(), name)
        return values.fill_null(float("nan")).to_numpy().astype(np.float64)

    def amounts(self, name: str) -> FloatArray:
        """Return a column of numbers of at least 0, NaN where it is empty.

        Raises:
            RefusedRows: a value is negative or no number.
        """
        values = self.numbers(name)
        if (values < 0).any():
            raise self.refusal("a number of at least 0", values < 0, name)
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
        """Return a column of times, s, ms, µs, ns or ISO 8601, in ms; each by its own size, for units may change.

        Raises:
            RefusedRows: a value is none from 2010 to 2100.
        """
        column = self.frame[name]
        # A column with one text in it is text altogether.
        whole = column.cast(pl.Int64, strict=False)
        exact, is_fraction = whole.fill_null(0).to_numpy(), whole.is_null().to_numpy()
        number = column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        ms = _moments(column) if column.dtype == pl.String else np.zeros(len(number), dtype=np.int64)
        at_least = 0
        for below, times, over in UNITS:
            of_unit = (number >= at_least) & (number < below)
            rounded = np.floor(np.where(of_unit, number, 0) * times / over).astype(np.int64)
            ms = np.where(of_unit, np.where(is_fraction, rounded, exact * times // over), ms)
            at_least = below
        outside = (ms < EARLIEST_MS) | (ms >= LATEST_MS)
        if outside.any():
            raise self.refusal("a time from 2010 to 2100 (s, ms, µs, ns or ISO 8601)", outside, name)
        return ms


def _moments(column: pl.Series) -> IntArray:
    """Return times written as text in ms, 0 where it is none; each may be written in a way of its own."""
    try:
        found = column.str.to_datetime(time_unit="ms", time_zone="UTC", strict=False).dt.timestamp("ms")
    except pl.exceptions.PolarsError:
        # The first is written as no time.
        found = pl.Series([None] * len(column), dtype=pl.Int64)
    ms = np.asarray(found.fill_null(0).to_numpy()).astype(np.int64)
    for row in np.flatnonzero(found.is_null().to_numpy()).tolist():
        try:
            moment = datetime.fromisoformat((column[row] or "").strip())
            ms[row] = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
        except (ValueError, OverflowError):
            continue
    return ms


def _as_utf_8(data: bytes) -> bytes:
    """Return a text as UTF-8 that a spreadsheet has written as UTF-16."""
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data
    return data.decode("utf-16", errors="replace").encode()


def _of_as_many_fields(file: Path, data: bytes, bad_lines: BadLines) -> tuple[bytes, IntArray]:
    """Return the lines of a file of no more fields than its header has, and their numbers; others are bad lines.

    So are lines with a quote that does not end: it would take all that follows with it.
    """
    header, *rows = data.splitlines(keepends=True)
    most = len(_fields_of(header) or ())
    kept, numbers = [header], []
    for number, row in enumerate(rows, start=2):
        found = _fields_of(row)
        if found is None:
            bad_lines.add(number, "expected fields whose quotes end on their line", what=f"{file}, line")
        elif len(found) > most:
            bad_lines.add(number, f"expected at most {most} fields, were {len(found)}", what=f"{file}, line")
        elif found:
            kept.append(row)
            numbers.append(number)
    return b"".join(kept), np.array(numbers, dtype=np.int64)


def _fields_of(row: bytes) -> list[str] | None:
    """Return the fields of a line, none of an empty one, and None where they cannot be told apart."""
    try:
        return next(csv.reader([row.decode(errors="replace").rstrip("\r\n")], strict=True), [])
    except csv.Error:
        return None
