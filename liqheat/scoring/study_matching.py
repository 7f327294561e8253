"""What came before and after a moment, and the control moments that are like a case: for `liqheat.scoring.study`.

Controls are the nearest neighbours in recent volatility and trend, seen from the side of the case's cluster.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.scoring.study_moments import LOOK_BACK, BoolArray, FloatArray, History, IntArray

HORIZONS = (5, 15, 60, 240)
"""Minutes over which is looked ahead."""
MEASURES = ("volatility", "towards", "executed")
"""Realised volatility (%), return towards the cluster (%), executed liquidations of its side (USD)."""
SHORT_TREND = 5
"""Minutes of the latest trend, which is matched beside that of `LOOK_BACK`."""
CONTROLS = 5
"""Control moments per case, at most."""
CALIPER = np.array([0.3, 0.5, 0.5])
"""How far a control may be off: in the log of volatility, and in both trends, in their own standard deviations."""
APART = 60
"""Minutes between two controls of one case."""
FEWEST_FOR_A_LINE = 100
"""Control candidates from which what remains of a difference in volatility and trend is taken out by a line."""


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """Of each minute and one side of a history: what came before, shape (n, 3), and after, (n, measures, horizons).

    Before: log of volatility, trend over `LOOK_BACK` and over `SHORT_TREND` towards the side, in standard deviations.
    NaN where a price is missing or price did not move at all.
    """

    before: FloatArray
    after: FloatArray


def surroundings(history: History, side: int) -> Surroundings:
    """Return what surrounds each minute, seen from a cluster of `side` (+1 longs, which lie below the price)."""
    count = len(history.close)
    logs = np.log(history.close)
    steps = 100 * np.diff(logs, prepend=np.nan)
    squares = _sums(steps**2)
    volatility = np.sqrt(_window(squares, LOOK_BACK, ahead=False) / LOOK_BACK)
    volatility = np.where(volatility > 0, volatility, np.nan)
    before = np.full((count, 3), np.nan)
    before[:, 0] = np.log(volatility)
    for column, minutes in ((1, LOOK_BACK), (2, SHORT_TREND)):
        moved = np.full(count, np.nan)
        moved[minutes:] = 100 * (logs[minutes:] - logs[:-minutes]) if count > minutes else np.nan
        before[:, column] = -side * moved / (volatility * np.sqrt(minutes))
    executed = _sums(history.executed[:, 0 if side > 0 else 1])
    after = np.full((count, len(MEASURES), len(HORIZONS)), np.nan)
    for place, minutes in enumerate(HORIZONS):
        if count <= minutes:
            continue
        after[:, 0, place] = np.sqrt(_window(squares, minutes, ahead=True))
        after[:-minutes, 1, place] = -side * 100 * (logs[minutes:] - logs[:-minutes])
        after[:, 2, place] = _window(executed, minutes, ahead=True)
    return Surroundings(before, after)


def usable(around: Surroundings) -> BoolArray:
    """Return at which minutes all that came before and after is known, shape (n,)."""
    known = np.isfinite(around.before).all(axis=1) & np.isfinite(around.after).all(axis=(1, 2))
    return np.asarray(known)


def controls_of(before: FloatArray, candidates: IntArray, case: int) -> IntArray:
    """Return the minutes of up to `CONTROLS` candidates that are most like `case` and `APART` from each other.

    Args:
        before: `Surroundings.before`.
        candidates: minutes to choose from, in order.
        case: the minute of the case.
    """
    off = np.abs(before[candidates] - before[case]) / CALIPER
    inside = np.flatnonzero((off <= 1).all(axis=1))
    order = inside[np.argsort((off[inside] ** 2).sum(axis=1), kind="stable")]
    chosen: list[int] = []
    for minute in candidates[order].tolist():
        if all(abs(minute - other) >= APART for other in chosen):
            chosen.append(minute)
            if len(chosen) == CONTROLS:
                break
    return np.array(chosen, dtype=np.int64)


def beyond_the_line(around: Surroundings, candidates: IntArray) -> FloatArray:
    """Return `after` less what a line through the candidates says of it from `before`, shape (n, measures, horizons).

    Matching leaves small differences in volatility and trend; the line takes them out (Abadie and Imbens 2011,
    bias-corrected matching). With few candidates it is their mean.
    """
    design = np.ones((len(around.before), 1))
    if len(candidates) >= FEWEST_FOR_A_LINE:
        design = np.column_stack([design, around.before, around.before[:, 0] ** 2])
    flat = around.after.reshape(len(around.after), -1)
    line, *_ = np.linalg.lstsq(design[candidates], flat[candidates])
    return np.asarray((flat - design @ line).reshape(around.after.shape))


def _sums(values: FloatArray) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return running sums, and running counts of what is unknown, both of shape (n + 1,)."""
    unknown = np.isnan(values)
    return np.r_[0.0, np.cumsum(np.where(unknown, 0.0, values))], np.r_[0, np.cumsum(unknown)]


def _window(sums: tuple[FloatArray, npt.NDArray[np.int64]], minutes: int, *, ahead: bool) -> FloatArray:
    """Return sums over the `minutes` that end at each place, or that follow it; NaN where one is missing."""
    total, unknown = sums
    count = len(total) - 1
    found = np.full(count, np.nan)
    if count < minutes:
        return found
    values = np.where(unknown[minutes:] == unknown[:-minutes], total[minutes:] - total[:-minutes], np.nan)
    if ahead:
        found[: count - minutes] = values[1:]
    else:
        found[minutes - 1 :] = values
    return found
