"""Do clusters attract price, repel it, or do nothing: what followed moments at a cluster, against like moments without.

Fed with one `History` per symbol by the command `liqheat study`; `Study.figures` is plain data for `--json` and a page.
A case's outcome is compared with the mean of its control moments; the differences are averaged over the cases.
Intervals come from drawing blocks of time again, with cases and controls in the block that each lies in, so that moves
that all symbols share, and controls that serve several cases, count once (after Otsu and Rai 2017, who draw the terms
of the matching estimator; here by block).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS
from liqheat.scoring.study_matching import (
    HORIZONS,
    MEASURES,
    Surroundings,
    beyond_the_line,
    controls_of,
    surroundings,
    usable,
)
from liqheat.scoring.study_moments import (
    BoolArray,
    FloatArray,
    History,
    IntArray,
    Moments,
    Stage,
    moments,
    without_cluster,
)

FEWEST_CASES = 30
"""Cases from which a stage is judged."""
FEWEST_BLOCKS = 10
"""Blocks of time with a case from which a stage is judged; fewer make intervals too narrow."""
BLOCKS_MS = (DAY_MS, 4 * HOUR_MS)
"""Lengths of the blocks: days, or the longest horizon where there are not enough days."""
DRAWS = 2_000
LEVEL = 95
"""Level of the intervals, %."""
JUDGED_HORIZON = 60
"""Minutes after which it is judged whether clusters attract or repel; fixed, so that no horizon is picked."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One outcome: mean of the cases, of their controls, the difference and its interval; NaN where it is unknown.

    The difference is corrected for what matching left of volatility and trend, and `control` is `case` less it.
    """

    case: float
    control: float
    difference: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies above or below 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True, slots=True)
class StageResult:
    """What followed one stage; `estimates` by measure and horizon in minutes, `unmatched` cases had no like moment."""

    stage: Stage
    cases: int
    unmatched: int
    blocks: int
    estimates: dict[str, dict[int, Estimate]]

    @property
    def is_enough(self) -> bool:
        """Whether there are enough cases, spread over enough blocks of time, to judge by."""
        return self.cases >= FEWEST_CASES and self.blocks >= FEWEST_BLOCKS


@dataclass(frozen=True, slots=True)
class Study:
    """The whole answer by stage; `percent` of ADV makes a cluster large, price is near it from `near` % on."""

    percent: float
    near: float
    symbols: int
    minutes: int
    block_hours: int
    stages: dict[Stage, StageResult]

    def figures(self) -> dict[str, Any]:
        """Return the study as plain data for JSON; null for what is unknown."""
        return {
            "percent_of_adv": self.percent,
            "near_percent": self.near,
            "symbols": self.symbols,
            "minutes": self.minutes,
            "block_hours": self.block_hours,
            "interval_level": LEVEL,
            "needed": {"cases": FEWEST_CASES, "blocks": FEWEST_BLOCKS},
            "stages": {
                stage.value: {
                    "cases": result.cases,
                    "unmatched": result.unmatched,
                    "blocks": result.blocks,
                    "is_enough": result.is_enough,
                    "outcomes": {
                        measure: {str(minutes): _plain(estimate) for minutes, estimate in of_measure.items()}
                        for measure, of_measure in result.estimates.items()
                    },
                }
                for stage, result in self.stages.items()
            },
        }


@dataclass(slots=True)
class _Sums:
    """One stage's estimator, summed over blocks of the shortest length; f numbers per moment (measures x horizons).

    `values` are outcomes beyond the line by block, shape (f,): a case's, less its share of each control in the block
    that the control lies in. `cases` counts cases by block, `raw` sums their outcomes as they were, shape (f,).
    """

    values: dict[int, FloatArray] = field(default_factory=dict)
    cases: Counter[int] = field(default_factory=Counter)
    raw: FloatArray = field(default_factory=lambda: np.zeros(len(MEASURES) * len(HORIZONS)))
    unmatched: int = 0

    def add(self, block: int, values: FloatArray) -> None:
        """Add `values`, shape (f,), to a block's."""
        self.values[block] = self.values.get(block, 0.0) + values

    def merge(self, other: "_Sums") -> None:
        """Add what `other` has."""
        for block, values in other.values.items():
            self.add(block, values)
        self.cases.update(other.cases)
        self.raw = self.raw + other.raw
        self.unmatched += other.unmatched


class Pool:
    """Cases and their controls, added one history at a time; holds a few numbers per block of time, whatever was added.

    `percent` of ADV is the size from which a cluster counts, within `near` % price has come near.
    """

    def __init__(self, percent: float, near: float) -> None:
        self.percent = percent
        self.near = near
        self.symbols = 0
        self.minutes = 0
        self._sums = {stage: _Sums() for stage in Stage}

    def add(self, history: History) -> "Pool":
        """Take the cases of one symbol; return a pool of these alone."""
        own = Pool(self.percent, self.near)
        own.symbols, own.minutes = 1, int(history.judged.sum())
        own._gather(history)
        self.symbols += own.symbols
        self.minutes += own.minutes
        for stage, sums in own._sums.items():
            self._sums[stage].merge(sums)
        return own

    def result(self, draws: int = DRAWS, seed: int = 0) -> Study:
        """Return what followed; blocks are drawn `draws` times, by `seed`, for the intervals."""
        length = _block_length(self._sums)
        results = {stage: _result(stage, self._sums[stage], length, draws, seed) for stage in Stage}
        return Study(self.percent, self.near, self.symbols, self.minutes, length // HOUR_MS, results)

    def _gather(self, history: History) -> None:
        quiet = without_cluster(history, self.percent, self.near)
        found = moments(history, self.percent, self.near)
        for side in (1, -1):
            around = surroundings(history, side)
            known = usable(around)
            candidates = np.flatnonzero(quiet & known)
            beyond = beyond_the_line(around, candidates) if len(candidates) else around.after
            for stage, at in found.items():
                for case in _usable_cases(at, side, known).tolist():
                    _add(history, around, beyond, candidates, case, self._sums[stage])


def study(histories: Iterable[History], percent: float, near: float, draws: int = DRAWS, seed: int = 0) -> Study:
    """Return what followed the moments at clusters of at least `percent` % of ADV, against matched control moments.

    Args:
        histories: one per symbol; taken one by one.
        percent: size of a cluster from which it counts, % of the 24 h volume.
        near: distance within which price has come near, %.
        draws: how often the blocks are drawn again for the intervals.
        seed: of these draws.
    """
    pool = Pool(percent, near)
    for history in histories:
        pool.add(history)
    return pool.result(draws, seed)


def _usable_cases(at: Moments, side: int, known: BoolArray) -> IntArray:
    minutes: IntArray = at.minute[at.side == side]
    return np.asarray(minutes[known[minutes]], dtype=np.int64)


def _add(
    history: History, around: Surroundings, beyond: FloatArray, candidates: IntArray, case: int, sums: _Sums
) -> None:
    controls = controls_of(around.before, candidates, case)
    if not len(controls):
        sums.unmatched += 1
        return
    sums.raw = sums.raw + around.after[case].ravel()
    sums.cases[_block(history, case)] += 1
    for minute, share in [(case, 1.0), *((minute, -1 / len(controls)) for minute in controls.tolist())]:
        sums.add(_block(history, minute), share * beyond[minute].ravel())


def _block(history: History, minute: int) -> int:
    return (history.start + minute * MINUTE_MS) // BLOCKS_MS[-1]


def _block_length(sums: dict[Stage, _Sums]) -> int:
    """Return the length of the blocks, ms: the longest of which the stage with most cases has enough."""
    most = max(sums.values(), key=lambda one: one.cases.total())
    for length in BLOCKS_MS:
        if len({block * BLOCKS_MS[-1] // length for block in most.cases}) >= FEWEST_BLOCKS:
            return length
    return BLOCKS_MS[-1]


def _result(stage: Stage, sums: _Sums, length: int, draws: int, seed: int) -> StageResult:
    count = sums.cases.total()
    if not count:
        return StageResult(stage, 0, sums.unmatched, 0, {})
    names = sorted(sums.values)
    blocks = np.array(names, dtype=np.int64) * BLOCKS_MS[-1] // length
    counts = np.array([sums.cases[name] for name in names], dtype=np.float64)
    difference, low, high = intervals(np.stack([sums.values[name] for name in names]), counts, blocks, draws, seed)
    shape = (len(MEASURES), len(HORIZONS))
    case, difference = (sums.raw / count).reshape(shape), difference.reshape(shape)
    low, high = low.reshape(shape), high.reshape(shape)
    estimates = {
        measure: {
            minutes: Estimate(*(float(each[row, column]) for each in (case, case - difference, difference, low, high)))
            for column, minutes in enumerate(HORIZONS)
        }
        for row, measure in enumerate(MEASURES)
    }
    with_case = len(np.unique(blocks[counts > 0]))
    return StageResult(stage, count, sums.unmatched, with_case, estimates)


def intervals(
    values: FloatArray, counts: FloatArray, blocks: IntArray, draws: int, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the sum of `values` per case, and the bounds of its `LEVEL` % interval, each of shape (f,).

    Args:
        values: terms of the estimator, single or summed, shape (t, f).
        counts: how many cases a term holds, 0 of controls, shape (t,).
        blocks: block of time of each term, shape (t,); whole blocks are drawn, with replacement.
        draws: how often.
        seed: of the draws.
    """
    names, place = np.unique(blocks, return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    cases = np.zeros(len(names))
    np.add.at(sums, place, values)
    np.add.at(cases, place, counts)
    estimate = sums.sum(axis=0) / cases.sum()
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws).astype(np.float64)
    total = weights @ cases
    drawn = (weights @ sums)[total > 0] / total[total > 0, None]
    if not len(drawn):
        nothing = np.full(values.shape[1], np.nan)
        return estimate, nothing, nothing
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail], axis=0)
    wider = _widening(int((cases > 0).sum()))
    return estimate, estimate + wider * (low - estimate), estimate + wider * (high - estimate)


def _widening(blocks: int) -> float:
    """Return by how much an interval of few drawn blocks is too narrow, and is widened.

    Bessel's correction times Student's quantile over the normal one (Hesterberg 2015, expanded percentile interval);
    the quantile by its expansion in 1 / degrees of freedom (Abramowitz and Stegun 26.7.5).
    """
    free, z = max(blocks - 1, 1), NormalDist().inv_cdf(0.5 + LEVEL / 200)
    student = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return float(np.sqrt((free + 1) / free) * student / z)


def _plain(estimate: Estimate) -> dict[str, float | None]:
    names = ("case", "control", "difference", "low", "high")
    return {name: value if np.isfinite(value := getattr(estimate, name)) else None for name in names}
