"""Which leverages are in use, and so how much of open interest is near liquidation, learned from liquidations.

Nobody publishes the mix. Each executed liquidation happened at a mark price, and the book knows which
leverages had positions there: that is its likelihood under each of them. What is never liquidated although
the price came by is not there: then open interest must stand at lower leverage, further away.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.market import Venue

FloatArray = npt.NDArray[np.float64]

THROTTLED_VENUES = frozenset({Venue.BINANCE.value, Venue.OKX.value})
"""Venues that publish at most about one liquidation a second and symbol (Binance forceOrder, OKX)."""

SILENT_VENUES = frozenset({Venue.HYPERLIQUID.value})
"""Venues without a public feed of liquidations: their silence says nothing."""

PRIOR_WEIGHT = 0.02
"""Liquidations worth this share of open interest weigh as much as the tilted prior."""

EVIDENCE_UNIT = 0.002
"""Share of open interest whose liquidation counts as one event: positions differ in size, and die together."""

HALF_LIFE_MINUTES = 3 * 24 * 60.0
"""How fast old evidence is forgotten: habits change over days."""

TILTS = np.linspace(-1.0, 3.0, 41)
"""Tilts tried: the prior's shares times `(leverage / 10) ** -tilt`, so that 1 halves what is twice as levered."""

TILT_PRECISION = 0.5
"""Precision of the normal prior of the tilt around 0."""

LARGEST_SCALE = 2.0
"""USD that at most stand for a USD that was seen to open; what opened before the log fills up over hours."""

LEAST_SHARE = 1e-4
"""No leverage is ruled out: a share of 0 could not be learned back."""


@dataclass(slots=True, eq=False)
class Evidence:
    """What one venue shows, by leverage; arrays of shape (n,) over the settings' leverages.

    `opened` units are what a book would hold if a leverage's share and the venue's scale were 1: so a unit
    times scale times share is USD. `target` is USD of both sides that stand within the model.
    """

    swept: FloatArray
    executed: FloatArray
    standing: FloatArray
    target: float = 0.0

    @classmethod
    def empty(cls, count: int) -> "Evidence":
        """Return evidence of nothing over `count` leverages."""
        return cls(np.zeros(count), np.zeros(count), np.zeros(count))

    def add(self, swept: FloatArray, executed: float, weights: FloatArray) -> None:
        """Add one side's minute.

        Args:
            swept: units that the mark's range took out, by leverage.
            executed: USD of this side that was liquidated.
            weights: USD a unit, by leverage: how the executed are shared out. What the book did not
                expect at all teaches nothing of leverage.
        """
        self.swept += swept
        expected = swept * weights
        whole = float(expected.sum())
        if executed > 0 and whole > 0:
            self.executed += executed * expected / whole

    def is_heard(self, venue: str) -> bool:
        """Whether this teaches: something was liquidated, or could have been where liquidations are told."""
        return self.target > 0 and bool(self.executed.any() or (venue not in SILENT_VENUES and self.swept.any()))

    def forget(self, minutes: int) -> None:
        """Let evidence fade."""
        fade = 0.5 ** (minutes / HALF_LIFE_MINUTES)
        self.swept *= fade
        self.executed *= fade


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """Shares of opened notional by leverage, summing to 1, and their standard deviations; shape (n,)."""

    shares: FloatArray
    uncertainty: FloatArray


class SymbolMix:
    """Evidence of all venues of a symbol: a venue with little of it, or no feed, learns from the others."""

    __slots__ = ("evidence", "leverages", "prior", "stopped_share")

    def __init__(self, leverages: tuple[float, ...], shares: tuple[float, ...], stopped_share: float) -> None:
        """Start from the settings' mix; `stopped_share` of what the price reaches is closed by a stop before."""
        self.leverages = np.asarray(leverages)
        self.prior = np.maximum(np.asarray(shares) / sum(shares), LEAST_SHARE)
        self.stopped_share = stopped_share
        self.evidence: dict[str, Evidence] = {}

    def of(self, venue: str) -> Evidence:
        """Return the evidence of `venue`, empty at first."""
        if venue not in self.evidence:
            self.evidence[venue] = Evidence.empty(len(self.prior))
        return self.evidence[venue]

    def estimate(self) -> Estimate:
        """Return the mix that all venues' liquidations speak for.

        First the tilt of the prior with the highest posterior (Poisson likelihood of the executed, with all
        of `target` standing on each venue), then each share between the tilted prior and its own
        executed over predicted, as a Gamma prior would have it.
        """
        venues = [venue for venue in sorted(self.evidence) if self.evidence[venue].standing.any()]
        heard = [self.evidence[venue] for venue in venues if self.evidence[venue].is_heard(venue)]
        target = sum(self.evidence[venue].target for venue in venues)
        if not heard:
            prior = self.prior / self.prior.sum()
            return Estimate(prior, self._uncertainty(prior, np.zeros_like(prior), 1.0))
        tilted = self.prior * (self.leverages / 10) ** -TILTS[:, None]
        tilted /= tilted.sum(axis=1, keepdims=True)
        likelihood = -0.5 * TILT_PRECISION * TILTS**2
        predicted = np.zeros_like(tilted)
        executed = np.zeros_like(self.prior)
        live = 1 - self.stopped_share
        for one in heard:
            scales = one.target / np.maximum(tilted @ one.standing, 1e-9)
            expected = live * scales[:, None] * one.swept
            rates = np.log(np.maximum(live * scales[:, None] * tilted, 1e-30))
            likelihood += (rates @ one.executed - (expected * tilted).sum(axis=1)) / (EVIDENCE_UNIT * target)
            predicted += expected
            executed += one.executed
        best = int(np.argmax(likelihood))
        prior = tilted[best]
        weight = PRIOR_WEIGHT * target
        shares = np.maximum((weight * prior + executed) / (weight + predicted[best]), LEAST_SHARE * prior)
        return Estimate(shares / shares.sum(), self._uncertainty(shares / shares.sum(), executed, target))

    def weights(self, venue: str, estimate: Estimate) -> FloatArray | None:
        """Return USD a unit by leverage for `venue`, such that what stands is its target; None while unknown.

        Where little has been seen to open, it stays below: the scale is bounded.
        """
        one = self.of(venue)
        whole = float(estimate.shares @ one.standing)
        if one.target <= 0 or whole <= 0:
            return None
        return estimate.shares * min(one.target / whole, LARGEST_SCALE)

    def _uncertainty(self, shares: FloatArray, executed: FloatArray, target: float) -> FloatArray:
        events = PRIOR_WEIGHT / EVIDENCE_UNIT * shares + executed / (EVIDENCE_UNIT * target)
        return np.asarray(np.minimum(shares / np.sqrt(np.maximum(events, 1e-12)), 1.0))


def unsampled(venue: str, usd: float, rows: int) -> float:
    """Return liquidated `usd` of a minute, corrected for what a sampled feed of `rows` rows left out.

    With one row a second at most, `rows` of 60 seconds had any: for liquidations that come independently,
    their number is `-60 ln(1 - rows / 60)`.
    """
    if venue not in THROTTLED_VENUES or not rows:
        return usd
    seconds = min(rows, 55)
    return usd * -60 * float(np.log1p(-seconds / 60)) / seconds
