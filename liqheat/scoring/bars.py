"""One market's history as bars and executed liquidations: what `liqheat backtest` walks through.

Files are read into these by the command; measures, rivals and the model itself see nothing else.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.windows import HOUR_MS
from liqheat.scoring.coverage import Coverage

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar as a method sees it at its close; `executed`, USD, became known by then; None: nothing is recorded."""

    start: int
    step_ms: int
    open: float
    high: float
    low: float
    close: float
    buy_usd: float
    sell_usd: float
    interest: float
    executed: tuple[float, float] | None


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """n bars in order, every array of shape (n,); a gap between two is allowed. Prices USD per coin, USD notionals."""

    start: IntArray
    """ms."""
    step_ms: int
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    buy_usd: FloatArray
    """Taker buys; half of turnover where the file doesn't part it."""
    sell_usd: FloatArray
    interest: FloatArray
    """Open interest at the close, coins, NaN where unknown."""

    def __len__(self) -> int:
        return len(self.start)

    def at(self, place: int, executed: tuple[float, float] | None) -> Bar:
        """Return the bar at `place`, with what became known by its close."""
        return Bar(
            int(self.start[place]),
            self.step_ms,
            float(self.open[place]),
            float(self.high[place]),
            float(self.low[place]),
            float(self.close[place]),
            float(self.buy_usd[place]),
            float(self.sell_usd[place]),
            float(self.interest[place]),
            executed,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Executed:
    """Liquidations by interval, at most an hour, arrays of shape (m,); a row becomes known at its end."""

    start: IntArray
    end: IntArray
    usd: FloatArray
    """(m, 2), longs first."""
    known_from: int
    """ms: before it none were recorded, which is not the same as none."""
    known_until: int

    def by_bar(self, bars: Bars) -> tuple[FloatArray, BoolArray]:
        """Return what becomes known by the close of each bar, (n, 2), and whether any is recorded then, (n,)."""
        whole, known = self._seen(bars)
        usd = np.zeros((len(bars), 2))
        np.add.at(usd, np.searchsorted(bars.start + bars.step_ms, self.end[whole]), self.usd[whole])
        return usd, known

    def within(self, bars: Bars) -> "Executed":
        """Return the rows of which every bar is there and known."""
        whole, _ = self._seen(bars)
        return Executed(self.start[whole], self.end[whole], self.usd[whole], self.known_from, self.known_until)

    def _seen(self, bars: Bars) -> tuple[BoolArray, BoolArray]:
        """Return which rows count, (m,), and at which bars all that was liquidated is known, (n,).

        A time that no row covers is unknown, not without liquidations. The bar after a hole in the bars is unknown
        too: its path from the last close before goes over ground whose liquidations nobody gives.
        """
        ends = bars.start + bars.step_ms
        recorded = self.start >= self.known_from
        rows = Coverage(self.start[recorded], self.end[recorded])
        known = (bars.start >= self.known_from) & (ends <= self.known_until)
        known &= rows.within(bars.start, ends) == bars.step_ms
        known[1:] &= bars.start[1:] == ends[:-1]
        first, after = np.searchsorted(ends, self.start, "right"), np.searchsorted(bars.start, self.end)
        upto = np.r_[0, np.cumsum(known)]
        whole = recorded & (Coverage(bars.start, ends).within(self.start, self.end) == self.end - self.start)
        whole &= upto[after] - upto[first] == after - first
        broken = np.zeros(len(bars) + 1, dtype=np.int64)
        cut = recorded & ~whole & (after > first)
        np.add.at(broken, first[cut], 1)
        np.add.at(broken, after[cut], -1)
        return np.asarray(whole), np.asarray(known & (np.cumsum(broken)[:-1] == 0))


@dataclass(frozen=True, slots=True, eq=False)
class Hours:
    """The whole hours of bars, h in all: first and one past the last bar of each, its range and what was executed."""

    start: IntArray
    first: IntArray
    after: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    executed: FloatArray
    """USD, (h, 2), longs first."""
    is_known: BoolArray

    @property
    def move(self) -> FloatArray:
        """Move against each side in % of the hour's open, (h, 2): down for longs, up for shorts."""
        return 100 * np.stack([self.open - self.low, self.high - self.open], axis=1) / self.open[:, None]


def hours_of(bars: Bars, executed: Executed) -> Hours:
    """Gather `bars` into hours; a liquidation belongs to the hour that its interval starts in.

    An hour is known if all its bars are.
    """
    hour = bars.start // HOUR_MS
    first = np.flatnonzero(np.r_[True, np.diff(hour) > 0])
    after = np.append(first[1:], len(bars))
    start = hour[first] * HOUR_MS
    counted = executed.within(bars)
    _, known = executed.by_bar(bars)
    usd = np.zeros((len(first), 2))
    np.add.at(usd, np.searchsorted(start, counted.start // HOUR_MS * HOUR_MS), counted.usd)
    return Hours(
        start,
        first,
        after,
        bars.open[first],
        np.maximum.reduceat(bars.high, first),
        np.minimum.reduceat(bars.low, first),
        usd,
        np.logical_and.reduceat(known, first),
    )
