"""A symbol's map as it is stored, and what pictures take of it: columns of cells, and the map at one time.

Reads the view `heatmap_levels`: whole series of buckets as Arrow, which costs a fraction of a row per bucket; they are
filtered and summed here. A map is a level, so a column that is wider than a minute shows the last minute of each venue
in it, never a sum over minutes. Amounts are whole micro-USD, so that sums are the same in any order.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from liqheat.domain.steps import level_micro_usd
from liqheat.domain.windows import MINUTE_MS
from liqheat.viewer.columns import Cells, Current, Ints, Texts
from liqheat.viewer.queries import COLUMN, STRETCH, Client, stretch
from liqheat.viewer.request import Shape

WHOLE_MS = 5 * MINUTE_MS
"""Of how much time before now all minutes of the map are read."""

_AMOUNTS = level_micro_usd()

_LEVELS = f"""
SELECT symbol, toUnixTimestamp(window_start) AS seconds, venue, side, basis, leverage_band,
       bucket, at_risk_steps, expected_steps, at_risk_micro_usd
FROM heatmap_levels
WHERE {STRETCH}
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

# A minute without levels is known by the markets' minutes alone.
_LAST_OF_COLUMNS = f"""{_LEVELS}
  AND (symbol, venue, window_start) IN (
      SELECT symbol, venue, max(window_start) FROM market_minutes
      WHERE {STRETCH}
      GROUP BY symbol, venue, {COLUMN})
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters

_LAST_OF_VENUES = f"""{_LEVELS}
  AND (symbol, venue, window_start) IN (
      SELECT symbol, venue, max(window_start) FROM heatmap_levels
      WHERE {STRETCH} AND notEmpty(bucket)
      GROUP BY symbol, venue)
"""  # noqa: S608 - joined of constants only; what a reader asks for is bound as parameters


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Series of one symbol, one for each minute (start, ms), venue, side, basis and band, none of them empty.

    `length` is how many buckets each has; `bucket` and what follows are those of all series, one after the other.
    `exact` is what is at risk (micro-USD) in those of model version 1, which have no steps, and 0 in others.
    """

    minute: Ints
    venue: Texts
    is_long: npt.NDArray[np.bool_]
    basis: Texts
    band: Texts
    length: Ints
    bucket: npt.NDArray[np.int32]
    at_risk: npt.NDArray[np.uint16]
    expected: npt.NDArray[np.uint16]
    exact: Ints

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Self:
        """Return the rows of the view."""
        frame = frame.filter(pl.col("bucket").list.len() > 0)
        length = frame["bucket"].list.len().to_numpy().astype("i8")
        exact = np.zeros(int(length.sum()), dtype="i8")
        is_exact = frame["at_risk_micro_usd"].list.len().to_numpy() > 0
        exact[np.repeat(is_exact, length)] = _flat(frame["at_risk_micro_usd"])
        return cls(
            frame["seconds"].to_numpy().astype("i8") * 1_000,
            frame["venue"].to_numpy().astype("U"),
            frame["side"].to_numpy() == "long",
            frame["basis"].to_numpy().astype("U"),
            frame["leverage_band"].to_numpy().astype("U"),
            length,
            _flat(frame["bucket"]),
            _flat(frame["at_risk_steps"]),
            _flat(frame["expected_steps"]),
            exact,
        )

    @classmethod
    def joined(cls, one: Self, other: Self) -> Self:
        """Return the series of both."""
        return cls(*(np.concatenate([getattr(one, name), getattr(other, name)]) for name in cls.__slots__))

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(int(getattr(self, name).nbytes) for name in self.__slots__)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Self:
        """Return the series that are chosen."""
        if chosen.all():
            return self
        inside = np.repeat(chosen, self.length)
        return type(self)(
            *(getattr(self, name)[chosen] for name in self.__slots__[:6]),
            *(getattr(self, name)[inside] for name in self.__slots__[6:]),
        )

    def last_of_venues(self, step: int = 0) -> Self:
        """Return the series of each venue's last minute, of each column that is `step` (ms) wide if given."""
        column = self.minute // step if step else np.zeros(len(self.minute), dtype="i8")
        _, venue = np.unique(self.venue, return_inverse=True)
        _, group = np.unique(np.stack([venue, column]), axis=1, return_inverse=True)
        last = np.zeros(len(self.minute), dtype="i8")
        np.maximum.at(last, group, self.minute)
        return self.where(self.minute == last[group])

    def _filtered(self, shape: Shape) -> Self:
        chosen = np.isin(self.venue, shape.venues) & np.isin(self.basis, shape.bases) & np.isin(self.band, shape.bands)
        return self.where(chosen)

    def cells(self, shape: Shape) -> Cells:
        """Return the sums by column and bucket of what `shape` shows."""
        found = self._filtered(shape)
        column = np.repeat(found.minute // shape.step, found.length)
        columns, buckets, sums = found._sums(column, shape.measure)
        return Cells(columns.astype("i4"), buckets, sums[:, 0], sums[:, 1])

    def current(self, shape: Shape) -> Current:
        """Return the sums by bucket, venue and basis of what `shape` shows."""
        found = self._filtered(shape)
        venues, venue = np.unique(found.venue, return_inverse=True)
        bases, basis = np.unique(found.basis, return_inverse=True)
        number = np.repeat(venue * len(bases) + basis, found.length)
        groups, buckets, sums = found._sums(number, shape.measure)
        order = np.lexsort((groups, buckets))
        group = groups[order]
        return Current(
            buckets[order],
            venues[group // max(len(bases), 1)],
            bases[group % max(len(bases), 1)],
            sums[order, 0],
            sums[order, 1],
        )

    def _sums(self, group: Ints, measure: str) -> tuple[Ints, npt.NDArray[np.int32], Ints]:
        """Return group, bucket, and the sums of long and short, where there are any: by group, then bucket."""
        amounts = _AMOUNTS[self.at_risk] + self.exact if measure == "at_risk" else _AMOUNTS[self.expected]
        groups, buckets = _Numbers(group), _Numbers(self.bucket)
        place = 2 * (groups.of(group) * buckets.count + buckets.of(self.bucket)) + ~np.repeat(self.is_long, self.length)
        # Whole numbers below 2^53, so that the sum of them as floats is exact.
        size = 2 * groups.count * buckets.count
        sums = np.bincount(place, amounts, minlength=size).reshape(-1, 2)
        filled = np.flatnonzero(sums.any(axis=1))
        return (
            groups.values[filled // max(buckets.count, 1)],
            buckets.values[filled % max(buckets.count, 1)].astype("i4"),
            sums[filled].astype("i8"),
        )


class _Numbers:
    """The values of an array of integers, rising, and the place of each among them: for arrays of few values."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._low = int(array.min()) if len(array) else 0
        there = np.bincount(array - self._low) > 0
        self.values = np.flatnonzero(there) + self._low
        self._places = np.cumsum(there) - 1

    @property
    def count(self) -> int:
        """How many values."""
        return len(self.values)

    def of(self, array: npt.NDArray[Any]) -> Ints:
        """Return the place of each value of `array`."""
        places: Ints = self._places[array - self._low]
        return places


def levels(client: Client, symbols: Sequence[str], start: int, end: int) -> dict[str, Levels]:
    """Return all series of the minutes from `start` to before `end` (ms), per symbol."""
    return _asked(client, _LEVELS, symbols, start, end)


def last_of_columns(client: Client, symbols: Sequence[str], step: int, start: int, end: int) -> dict[str, Levels]:
    """Return the series of each venue's last minute in each column from `start` to `end` (ms), all closed."""
    if step == MINUTE_MS:
        return _asked(client, _LEVELS, symbols, start, end)
    return _asked(client, _LAST_OF_COLUMNS, symbols, start, end, step)


def last_of_venues(client: Client, symbols: Sequence[str], start: int, end: int) -> dict[str, Levels]:
    """Return the series of each venue's last minute with any, from `start` to before `end` (ms), per symbol."""
    return _asked(client, _LAST_OF_VENUES, symbols, start, end)


def of_time(client: Client, symbol: str, end: int, stale: int) -> Levels:
    """Return series in which each venue's last before `end` (ms) is, if it has any in the `stale` (ms) before."""
    # To look which is the last costs more than to read a few.
    start = end - min(stale, WHOLE_MS)
    found = levels(client, [symbol], start, end)[symbol]
    if start == end - stale:
        return found
    return Levels.joined(last_of_venues(client, [symbol], end - stale, start)[symbol], found)


def _asked(
    client: Client, query: str, symbols: Sequence[str], start: int, end: int, step: int = MINUTE_MS
) -> dict[str, Levels]:
    parameters = stretch(symbols, start, end) | {"step": step}
    frame = pl.read_ipc_stream(io.BytesIO(client.raw_query(query, parameters=parameters, fmt="ArrowStream")))
    if len(symbols) == 1:
        return {symbols[0]: Levels.of(frame)}
    found = frame.partition_by("symbol", as_dict=True)
    return {symbol: Levels.of(found.get((symbol,), frame.clear())) for symbol in symbols}


def _flat(lists: pl.Series) -> npt.NDArray[Any]:
    return lists.explode(empty_as_null=False).to_numpy()
