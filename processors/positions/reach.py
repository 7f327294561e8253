"""How much of open interest is near liquidation: learned from executed over predicted-swept notional.

Cross margin, hedges and market makers never come near their liquidation, and nobody tells which leverages
are in use. Executed liquidations tell: what the model predicted to be swept, a leverage band, against what
really died. The share of each band carries both the reach and the leverage mix.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from liqheat.domain.market import LEVERAGE_BANDS, Venue

FloatArray = npt.NDArray[np.float64]

BANDS = len(LEVERAGE_BANDS)

THROTTLED_VENUES = frozenset({Venue.BINANCE.value, Venue.OKX.value})
"""Venues that publish at most about one liquidation a second and symbol (Binance forceOrder, OKX)."""

PRIOR_WEIGHT = 0.002
"""Weight of the prior: as much as if this share of open interest had been swept in each band already."""

HALF_LIFE_MINUTES = 3 * 24 * 60.0
"""How fast old evidence is forgotten: habits change over days."""

LOWEST, HIGHEST = 0.01, 3.0
"""Bounds of a band's share. Above 1: more in use than the settings' mix says."""


@dataclass(slots=True)
class Evidence:
    """One venue's liquidations so far, USD a leverage band, shape (bands,): what was predicted, what happened.

    `predicted` is what was swept had all of open interest been within reach.
    """

    predicted: FloatArray = field(default_factory=lambda: np.zeros(BANDS))
    executed: FloatArray = field(default_factory=lambda: np.zeros(BANDS))

    def add(self, predicted: FloatArray, executed: float, shares: FloatArray) -> None:
        """Add one minute: USD predicted a band, USD executed in all, and the bands' present `shares`.

        What was executed is attributed to the bands as the model expected them to be hit; where it expected
        none, as they were hit before.
        """
        expected = predicted * shares
        if not expected.any():
            expected = self.predicted * shares
        self.predicted += predicted
        if executed > 0 and expected.any():
            self.executed += executed * expected / expected.sum()

    def forget(self, minutes: int) -> None:
        """Let evidence fade."""
        fade = 0.5 ** (minutes / HALF_LIFE_MINUTES)
        self.predicted *= fade
        self.executed *= fade


class SymbolReach:
    """Evidence of all venues of a symbol, so that a venue with little of it, or no feed, learns from the others."""

    __slots__ = ("evidence", "prior")

    def __init__(self, prior: float) -> None:
        self.prior = prior
        self.evidence: dict[str, Evidence] = {}

    def of(self, venue: str) -> Evidence:
        """Return the evidence of `venue`, empty at first."""
        return self.evidence.setdefault(venue, Evidence())

    def shares(self, venue: str, open_interest_usd: float) -> FloatArray:
        """Return the share within reach of each leverage band, shape (bands,).

        The prior is drawn towards what all venues saw, and that towards what this one saw: each step weighs
        as much as `PRIOR_WEIGHT` of open interest would.
        """
        weight = max(PRIOR_WEIGHT * open_interest_usd, 1.0)
        pooled = np.full(BANDS, self.prior)
        seen = [self.evidence[name] for name in sorted(self.evidence) if self.evidence[name].executed.any()]
        if seen:
            predicted = np.sum([evidence.predicted for evidence in seen], axis=0)
            executed = np.sum([evidence.executed for evidence in seen], axis=0)
            pooled = (executed + weight * self.prior) / (predicted + weight)
        own = self.evidence.get(venue)
        if own is not None and own.executed.any():
            pooled = (own.executed + weight * pooled) / (own.predicted + weight)
        return np.asarray(np.clip(pooled, LOWEST, HIGHEST), dtype=np.float64)


def unsampled(venue: str, usd: float, rows: int) -> float:
    """Return liquidated `usd` of a minute, corrected for what a sampled feed of `rows` rows left out.

    With one row a second at most, `rows` of 60 seconds had any: for liquidations that come independently,
    their number is `-60 ln(1 - rows / 60)`.
    """
    if venue not in THROTTLED_VENUES or not rows:
        return usd
    seconds = min(rows, 55)
    return usd * -60 * float(np.log1p(-seconds / 60)) / seconds
