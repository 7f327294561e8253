"""How much: predicted against executed liquidations by hour and side, with intervals from resampled weeks."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from liqheat.domain.windows import DAY_MS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SMALL_USD = 10_000.0
"""Added before the log, so that hours with next to nothing weigh little."""

MOVES = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 100.0)
"""Edges of the classes of hourly move, %."""

BLOCKS_MS = (7 * DAY_MS, DAY_MS, DAY_MS // 6)
"""Lengths of what is drawn again for the intervals: weeks; days or four hours where there are too few."""
FEWEST_BLOCKS = 6

MEASURES = ("spearman", "pearson", "partial", "mae_log", "ratio")


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """One case per hour and side, shape (k,): predicted and executed in USD, the move in %, and its block of time."""

    predicted: FloatArray
    executed: FloatArray
    move: FloatArray
    block: IntArray


def ranks(values: FloatArray) -> FloatArray:
    """Return ranks from 0; equal values share their mean."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    after = np.r_[first[1:], len(values)]
    ranked = np.empty(len(values))
    ranked[order] = np.repeat((first + after - 1) / 2, after - first)
    return ranked


def correlation(one: FloatArray, other: FloatArray) -> float:
    """Return Pearson's correlation; NaN where one doesn't vary."""
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale > 0 else float("nan")


def partial_spearman(predicted: FloatArray, executed: FloatArray, given: FloatArray) -> float:
    """Return the rank correlation of both once the ranks of `given` are taken out of each by a line."""
    base = ranks(given)
    base = base - base.mean()
    scale = float(base @ base)
    rest = []
    for values in (ranks(predicted), ranks(executed)):
        centred = values - values.mean()
        rest.append(centred - base * float(centred @ base) / scale if scale > 0 else centred)
    return correlation(*rest)


def measures(cases: Cases) -> dict[str, float]:
    """Return `MEASURES` of the cases; NaN where nothing was executed."""
    predicted, executed = cases.predicted, cases.executed
    if not len(predicted) or executed.sum() <= 0:
        return dict.fromkeys(MEASURES, float("nan"))
    logs = np.log10(predicted + SMALL_USD) - np.log10(executed + SMALL_USD)
    return {
        "spearman": correlation(ranks(predicted), ranks(executed)),
        "pearson": correlation(predicted, executed),
        "partial": partial_spearman(predicted, executed, cases.move),
        "mae_log": float(np.abs(logs).mean()),
        "ratio": float(predicted.sum() / executed.sum()),
    }


def select(cases: Cases, chosen: npt.NDArray[np.bool_] | IntArray) -> Cases:
    """Return the chosen cases."""
    return Cases(cases.predicted[chosen], cases.executed[chosen], cases.move[chosen], cases.block[chosen])


def ratio_by_move(cases: Cases) -> dict[str, float]:
    """Return predicted over executed by class of hourly move; classes in which nothing was executed are left out."""
    found = {}
    for low, high in pairwise(MOVES):
        inside = (cases.move >= low) & (cases.move < high)
        if cases.executed[inside].sum() > 0:
            name = f"{low:g}-{high:g}" if high < MOVES[-1] else f"{low:g}+"
            found[name] = float(cases.predicted[inside].sum() / cases.executed[inside].sum())
    return found


def block_length(times: IntArray) -> int:
    """Return the length, ms, of the blocks that hours at `times` (ms) are drawn again in."""
    for length in BLOCKS_MS:
        if len(np.unique(times // length)) >= FEWEST_BLOCKS:
            return length
    return BLOCKS_MS[-1]


def resampled(block: IntArray, draws: int, seed: int = 0) -> list[IntArray]:
    """Return places of cases, `draws` times: as many blocks as there are, drawn with replacement."""
    generator = np.random.default_rng(seed)
    blocks = np.unique(block)
    places = {int(one): np.flatnonzero(block == one) for one in blocks}
    return [np.concatenate([places[int(one)] for one in generator.choice(blocks, len(blocks))]) for _ in range(draws)]


def bounds(values: list[float]) -> tuple[float, float]:
    """Return the 5th and 95th percentile of what is a number."""
    known = np.array([value for value in values if np.isfinite(value)])
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.percentile(known, [5, 95])
    return float(low), float(high)


def drawn(cases: Cases, draws: list[IntArray]) -> list[dict[str, float]]:
    """Return the measures of each draw of the cases' blocks."""
    return [measures(select(cases, places)) for places in draws]


def intervals(found: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Return the 90% interval of each measure over its draws."""
    return {name: bounds([one[name] for one in found]) for name in MEASURES}


def paired(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Return the 90% interval of ours less theirs, measure by measure, over the same draws."""
    return {
        name: bounds([one[name] - other[name] for one, other in zip(ours, theirs, strict=True)]) for name in MEASURES
    }
