"""Which leverages are in use, and how much of open interest is near liquidation, learned from liquidations.

Nobody publishes either. When the price goes through a level, the positions there die and are told: what was
executed, regressed on what each leverage's levels held where the price went, says how much of it was there.
What is never liquidated although the price came by is not there.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from liqheat.domain.venues import SAMPLED_VENUES, SILENT_VENUES

FloatArray = npt.NDArray[np.float64]

LESSON_MINUTES = 10
"""How often is learned: what was swept and executed in between is one observation a side."""

FADE = 0.5 ** (LESSON_MINUTES / (24 * 60))
"""How fast old evidence is forgotten, a lesson: half of it in a day."""

EVENT_SHARE, EVENT_WEIGHT = 3e-4, 1e-3
"""Size of a liquidation before any is seen, and how much seen ones it weighs, as shares of open interest.

Sizes are averaged by size: what a few large positions do is chance, however many small ones there are.
"""

MODEL_ERROR = 0.5
"""Relative error of what the book says was swept in a lesson, beside chance."""

LEAST_EXPECTED = 0.002
"""Part of the prior's expectation below which none is taken for certain, so that a surprise can be believed."""

LEVEL_DEVIATION, TILT_DEVIATION, SHAPE_DEVIATION, OWN_DEVIATION = 1.4, 0.4, 2.0, 0.1
"""Prior standard deviations of the log multiples: all together; by `log(leverage / 10)`; neighbours; each alone."""

NEIGHBOURHOOD = 1.0
"""Distance in log leverage over which neighbours go together."""

REACH_DEVIATION = 1.0
"""Standard deviation of the log of how much is within the model: of what opens, and of what stands once the book
has filled."""

LESSONS_TO_FILL = 72
"""Lessons (12 hours) until what stood before the log began has mostly gone, and the book should hold its share."""

_STEPS = 25
_SMALLEST, _LARGEST = -12.0, 4.0
"""Bounds of the log multiples, which keep the search from leaving the numbers."""


@dataclass(slots=True, eq=False)
class Evidence:
    """What one venue shows, over the n leverages that traders want; a multiple of 1 is the prior's share of all.

    With `z` what a multiple of 1 would have had swept in a lesson and `x` what was executed, both in open
    interests, and `v` the variance of `x`: `precision` sums `z z' / v`, shape (n, n), and `response` sums
    `z x / v`, shape (n,). `standing` is what a multiple of 1 holds now, in open interests of both sides.
    """

    precision: FloatArray
    response: FloatArray
    standing: FloatArray
    interest: float = 0.0
    """One-sided open interest that is inferred here, USD."""
    lessons: int = 0
    executed: float = 0.0
    executed_squares: float = 0.0
    """Sums of the sizes of liquidations and of their squares, in open interests."""

    @classmethod
    def empty(cls, count: int) -> "Evidence":
        """Return evidence of nothing over `count` leverages."""
        return cls(np.zeros((count, count)), np.zeros(count), np.zeros(count))

    def add(
        self,
        swept: FloatArray,
        executed: float,
        multiples: FloatArray,
        prior_multiple: float,
        *,
        is_sampled: bool = False,
    ) -> None:
        """Add one side's lesson.

        Args:
            swept: what a multiple of 1 of each leverage would have lost to the mark's range, in open interests.
            executed: what was liquidated of this side, in open interests.
            multiples: the multiples believed so far, which say how sure an observation is.
            prior_multiple: what they were before anything was learned.
            is_sampled: whether the venue tells only a sample, of which less can be made the more should have come.
                What did come must not decide how much a lesson counts: those with little would count for more.
        """
        if not swept.any():
            return
        believed = float(swept @ multiples)
        expected = max(believed, LEAST_EXPECTED * prior_multiple * float(swept.sum()), executed / 4, 1e-12)
        variance = self.event_share * expected + (MODEL_ERROR * expected) ** 2
        if is_sampled:
            variance *= 1 + (believed / self.event_share) ** 2
        self.precision += np.outer(swept, swept) / variance
        self.response += swept * (executed / variance)

    def forget(self) -> None:
        """Let evidence fade by a lesson."""
        self.precision *= FADE
        self.response *= FADE
        self.executed *= FADE
        self.executed_squares *= FADE

    @property
    def event_share(self) -> float:
        """Size of a usual liquidation as a share of open interest, averaged by size."""
        return (self.executed_squares + EVENT_SHARE * EVENT_WEIGHT) / (self.executed + EVENT_WEIGHT)


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """What is believed of each leverage, shape (n,): multiples of the prior's share, and deviations of their logs."""

    multiples: FloatArray
    deviations: FloatArray


@dataclass(slots=True, eq=False)
class SymbolMix:
    """Evidence of all venues of a symbol: a venue with little of it, or no feed, learns from the others."""

    leverages: FloatArray
    prior: FloatArray
    """The settings' share of opened notional of each leverage, summing to 1."""
    reach_share: float
    """The prior's share of open interest that is near liquidation at all."""
    evidence: dict[str, Evidence] = field(default_factory=dict)
    logs: FloatArray = field(init=False)
    """Logs of the multiples, as last estimated."""
    _prior_precision: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        """Start from the prior."""
        distance = np.log(self.leverages / 10)
        count = len(distance)
        covariance = LEVEL_DEVIATION**2 + TILT_DEVIATION**2 * np.outer(distance, distance)
        near = (distance[:, None] - distance) / NEIGHBOURHOOD
        covariance = covariance + SHAPE_DEVIATION**2 * np.exp(-0.5 * near**2) + OWN_DEVIATION**2 * np.eye(count)
        self._prior_precision = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
        self.logs = np.log(np.full(count, self.reach_share, dtype=np.float64))

    @classmethod
    def of_settings(cls, leverages: tuple[float, ...], shares: tuple[float, ...], reach_share: float) -> "SymbolMix":
        """Return the mix before the first liquidation; `shares` may have any sum."""
        return cls(np.asarray(leverages), np.asarray(shares) / sum(shares), reach_share)

    @property
    def weights(self) -> FloatArray:
        """USD in reach that a USD seen to open stands for, by wanted leverage, shape (n,)."""
        return np.asarray(np.exp(self.logs) * self.prior)

    def of(self, venue: str) -> Evidence:
        """Return the evidence of `venue`, empty at first."""
        if venue not in self.evidence:
            self.evidence[venue] = Evidence.empty(len(self.prior))
        return self.evidence[venue]

    def estimate(self) -> Estimate:
        """Return the most probable multiples, given what all venues show, and remember them.

        A Gaussian likelihood of the executed in the multiples, and a normal prior of their logs: a curve over
        leverage that may bend far but is smooth. Beside them, of what opens and of what stands about
        `reach_share` should be in reach.
        """
        venues = [self.evidence[venue] for venue in sorted(self.evidence)]
        heard = [self.evidence[venue] for venue in sorted(self.evidence) if venue not in SILENT_VENUES]
        count = len(self.prior)
        interest = sum(one.interest for one in venues)
        standing = sum((one.standing * one.interest for one in venues), np.zeros(count)) / max(interest, 1e-9)
        filled = min(max((one.lessons for one in venues), default=0) / LESSONS_TO_FILL, 1.0)
        totals = [_Total(self.prior, 1 / REACH_DEVIATION**2)]
        if standing.any():
            totals.append(_Total(standing, filled / REACH_DEVIATION**2))
        posterior = _Posterior(
            sum((one.precision for one in heard), np.zeros((count, count))),
            sum((one.response for one in heard), np.zeros(count)),
            np.log(self.reach_share),
            self._prior_precision,
            totals,
        )
        # Rounded, so that machines whose linear algebra differs in the last digit agree.
        self.logs = np.round(posterior.maximum(self.logs), 6)
        deviations = np.sqrt(np.diag(np.linalg.inv(posterior.curvature(self.logs))))
        return Estimate(np.exp(self.logs), deviations)


@dataclass(frozen=True, slots=True, eq=False)
class _Total:
    """A sum over leverages, `parts @ multiples`, that should be about `exp(mean)`; certainty is 1 / variance."""

    parts: FloatArray
    certainty: float

    def distance(self, multiples: FloatArray, mean: float) -> float:
        """Return how far the log of the sum is from `mean`."""
        return float(np.log(max(float(self.parts @ multiples), 1e-300)) - mean)

    def shares(self, multiples: FloatArray) -> FloatArray:
        """Return each leverage's share of the sum: the slope of its log in the log multiples."""
        return self.parts * multiples / max(float(self.parts @ multiples), 1e-300)


@dataclass(frozen=True, slots=True, eq=False)
class _Posterior:
    """Minus the log posterior of the log multiples, its slope and its (always positive) curvature."""

    precision: FloatArray
    response: FloatArray
    mean: float
    prior_precision: FloatArray
    totals: list[_Total]

    def value(self, logs: FloatArray) -> float:
        multiples, away = np.exp(logs), logs - self.mean
        value = 0.5 * multiples @ self.precision @ multiples - self.response @ multiples
        value += 0.5 * away @ self.prior_precision @ away
        return float(value + sum(0.5 * one.certainty * one.distance(multiples, self.mean) ** 2 for one in self.totals))

    def slope(self, logs: FloatArray) -> FloatArray:
        multiples = np.exp(logs)
        slope = multiples * (self.precision @ multiples - self.response) + self.prior_precision @ (logs - self.mean)
        for one in self.totals:
            slope = slope + one.certainty * one.distance(multiples, self.mean) * one.shares(multiples)
        return np.asarray(slope)

    def curvature(self, logs: FloatArray) -> FloatArray:
        multiples = np.exp(logs)
        pull = multiples * (self.precision @ multiples - self.response)
        curvature = multiples[:, None] * self.precision * multiples + np.diag(np.maximum(pull, 0.0))
        curvature = curvature + self.prior_precision
        for one in self.totals:
            shares = one.shares(multiples)
            curvature = curvature + one.certainty * np.outer(shares, shares)
        return np.asarray(curvature)

    def maximum(self, logs: FloatArray) -> FloatArray:
        """Return the most probable logs, by Newton steps from `logs`, halved until they help."""
        value = self.value(logs)
        for _ in range(_STEPS):
            step = np.clip(np.linalg.solve(self.curvature(logs), -self.slope(logs)), -2.0, 2.0)
            part = 1.0
            while part > 1e-3:
                tried = np.clip(logs + part * step, _SMALLEST, _LARGEST)
                better = self.value(tried)
                if better < value:
                    break
                part /= 2
            else:
                return logs
            logs, value, gained = tried, better, value - better
            if gained < 1e-6:
                return logs
        return logs


def unsampled(venue: str, usd: float, rows: int) -> float:
    """Return liquidated `usd` of a minute, corrected for what a sampled feed of `rows` rows left out.

    With one row a second at most, `rows` of 60 seconds had any: for liquidations that come independently,
    their number is `-60 ln(1 - rows / 60)`.
    """
    if venue not in SAMPLED_VENUES or not rows:
        return usd
    seconds = min(rows, 55)
    return usd * -60 * float(np.log1p(-seconds / 60)) / seconds
