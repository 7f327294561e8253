"""One market's history as bars and executed liquidations: what `liqheat backtest` walks through.

Files are read into these by the command; measures, rivals and the model itself see nothing else.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.windows import HOUR_MS

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
    """Liquidations by interval, every array of shape (m,); a row becomes known at its end."""

    start: IntArray
    end: IntArray
    usd: FloatArray
    """(m, 2), longs first."""
    known_from: int
    """ms: before it none were recorded, which is not the same as none."""
    known_until: int

    def by_bar(self, bars: Bars) -> tuple[FloatArray, BoolArray]:
        """Return what becomes known by the close of each bar, (n, 2), and whether any is recorded then, (n,)."""
        ends = bars.start + bars.step_ms
        place = np.searchsorted(ends, self.end)
        usd = np.zeros((len(bars), 2))
        inside = (place < len(bars)) & (self.end > bars.start[0]) & (self.start >= self.known_from)
        np.add.at(usd, place[inside], self.usd[inside])
        return usd, (bars.start >= self.known_from) & (ends <= self.known_until)


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
    """Gather `bars` into hours; a liquidation belongs to the hour that its interval starts in."""
    hour = bars.start // HOUR_MS
    first = np.flatnonzero(np.r_[True, np.diff(hour) > 0])
    after = np.append(first[1:], len(bars))
    start = hour[first] * HOUR_MS
    place = np.searchsorted(start, executed.start // HOUR_MS * HOUR_MS)
    usd = np.zeros((len(first), 2))
    inside = place < len(first)
    inside[inside] &= start[place[inside]] == executed.start[inside] // HOUR_MS * HOUR_MS
    inside &= executed.start >= executed.known_from
    np.add.at(usd, place[inside], executed.usd[inside])
    return Hours(
        start,
        first,
        after,
        bars.open[first],
        np.maximum.reduceat(bars.high, first),
        np.minimum.reduceat(bars.low, first),
        usd,
        (start >= executed.known_from) & (start + HOUR_MS <= executed.known_until),
    )
