"""Do clusters attract price, repel it, or do nothing: what followed moments at a cluster, against like moments without.

Fed with one `History` per symbol by the command `liqheat study`; `Study.figures` is plain data for `--json` and a page.
A case's outcome is compared with the mean of its control moments; the differences are averaged over the cases.
Intervals come from drawing blocks of time again, with cases and controls in the block that each lies in, so that moves
that all symbols share, and controls that serve several cases, count once (after Otsu and Rai 2017, who draw the terms
of the matching estimator; here by block).
"""

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
class _Terms:
    """The terms of one stage's estimator: one per case and one per case's control, with the time (ms) of each.

    `values` are outcomes beyond the line, shape (measures, horizons), of a control with minus its share of the case;
    `cases` is 1 for a case and 0 for a control; `raw` are the cases' outcomes as they were.
    """

    times: list[int] = field(default_factory=list)
    values: list[FloatArray] = field(default_factory=list)
    cases: list[int] = field(default_factory=list)
    raw: list[FloatArray] = field(default_factory=list)
    unmatched: int = 0


def study(histories: Iterable[History], percent: float, near: float, draws: int = DRAWS, seed: int = 0) -> Study:
    """Return what followed the moments at clusters of at least `percent` % of ADV, against matched control moments.

    Args:
        histories: one per symbol; taken one by one.
        percent: size of a cluster from which it counts, % of the 24 h volume.
        near: distance within which price has come near, %.
        draws: how often the blocks are drawn again for the intervals.
        seed: of these draws.
    """
    terms = {stage: _Terms() for stage in Stage}
    symbols = minutes = 0
    spans: list[tuple[int, int]] = []
    for history in histories:
        symbols += 1
        minutes += int(history.judged.sum())
        spans.append((history.start, history.start + len(history.close) * MINUTE_MS))
        _gather(history, percent, near, terms)
    length = _block_length(terms)
    results = {stage: _result(stage, terms[stage], length, draws, seed) for stage in Stage}
    return Study(percent, near, symbols, minutes, length // HOUR_MS, results)


def _gather(history: History, percent: float, near: float, terms: dict[Stage, _Terms]) -> None:
    """Add the cases of one symbol, and their controls, to `terms`."""
    quiet = without_cluster(history, percent, near)
    found = moments(history, percent, near)
    for side in (1, -1):
        around = surroundings(history, side)
        known = usable(around)
        candidates = np.flatnonzero(quiet & known)
        beyond = beyond_the_line(around, candidates) if len(candidates) else around.after
        for stage, at in found.items():
            cases = _usable_cases(at, side, known)
            for case in cases.tolist():
                _add(history, around, beyond, candidates, case, terms[stage])


def _usable_cases(at: Moments, side: int, known: BoolArray) -> IntArray:
    minutes: IntArray = at.minute[at.side == side]
    return np.asarray(minutes[known[minutes]], dtype=np.int64)


def _add(
    history: History, around: Surroundings, beyond: FloatArray, candidates: IntArray, case: int, terms: _Terms
) -> None:
    controls = controls_of(around.before, candidates, case)
    if not len(controls):
        terms.unmatched += 1
        return
    terms.raw.append(around.after[case])
    for minute, share in [(case, 1.0), *((minute, -1 / len(controls)) for minute in controls.tolist())]:
        terms.times.append(history.start + minute * MINUTE_MS)
        terms.values.append(share * beyond[minute])
        terms.cases.append(int(share > 0))


def _block_length(terms: dict[Stage, _Terms]) -> int:
    """Return the length of the blocks, ms: the longest of which the stage with most cases has enough."""
    most = max(terms.values(), key=lambda one: len(one.raw))
    times = np.array(most.times, dtype=np.int64)[np.array(most.cases, dtype=np.bool_)]
    for length in BLOCKS_MS:
        if len(np.unique(times // length)) >= FEWEST_BLOCKS:
            return length
    return BLOCKS_MS[-1]


def _result(stage: Stage, terms: _Terms, length: int, draws: int, seed: int) -> StageResult:
    if not terms.raw:
        return StageResult(stage, 0, terms.unmatched, 0, {})
    blocks = np.array(terms.times, dtype=np.int64) // length
    counts = np.array(terms.cases, dtype=np.float64)
    values = np.stack(terms.values)
    difference, low, high = intervals(values.reshape(len(values), -1), counts, blocks, draws, seed)
    shape = (len(MEASURES), len(HORIZONS))
    case = np.mean(terms.raw, axis=0)
    difference, low, high = difference.reshape(shape), low.reshape(shape), high.reshape(shape)
    estimates = {
        measure: {
            minutes: Estimate(*(float(each[row, column]) for each in (case, case - difference, difference, low, high)))
            for column, minutes in enumerate(HORIZONS)
        }
        for row, measure in enumerate(MEASURES)
    }
    with_case = len(np.unique(blocks[counts > 0]))
    return StageResult(stage, len(terms.raw), terms.unmatched, with_case, estimates)


def intervals(
    values: FloatArray, counts: FloatArray, blocks: IntArray, draws: int, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the sum of `values` per case, and the bounds of its `LEVEL` % interval, each of shape (f,).

    Args:
        values: terms of the estimator, shape (t, f).
        counts: 1 where a term is a case, else 0, shape (t,).
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
