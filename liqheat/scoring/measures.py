"""The measures of a map against the truth, at one time, venue and side.

A map is a `Profile`: notional at risk by published price bucket. All measures look within +-10% of the mark,
where a map is read; each docstring says what 0 and 1 mean.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.market import Side
from liqheat.domain.price_grid import bucket_of, lower_edge, middle

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

REACH = 0.10
"""Distance from the mark within which maps are compared, as a fraction."""
TOP = 5
NEAR = 0.005
"""How near an inferred cluster must be to a true one to be a hit, as a fraction of the price."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Notional at risk (USD) of consecutive buckets, the first being `base`, at the grid level `factor`."""

    base: int
    usd: FloatArray
    factor: int

    @property
    def total(self) -> float:
        """Notional of all buckets, USD."""
        return float(self.usd.sum())

    def prices(self) -> FloatArray:
        """Return the middle price of each bucket."""
        return middle(np.arange(self.base, self.base + len(self.usd)), self.factor)

    def widths(self) -> FloatArray:
        """Return the width of each bucket, USD."""
        return np.diff(lower_edge(np.arange(self.base, self.base + len(self.usd) + 1), self.factor))


def profile_within(buckets: IntArray, usd: FloatArray, mark: float, side: Side, factor: int) -> Profile:
    """Gather buckets (any order, repeated ones add up) into the profile on `side` of the mark within `REACH`.

    Longs are taken below the mark's bucket edge, shorts above; what lies on the wrong side counts nowhere.
    """
    near, far = int(bucket_of(mark, factor)), int(bucket_of(mark * (1 - side * REACH), factor))
    low, high = min(near, far), max(near, far)
    inside = (buckets >= low) & (buckets <= high)
    gathered = np.bincount(buckets[inside] - low, usd[inside], high - low + 1).astype(np.float64)
    return Profile(low, gathered, factor)


def earth_movers_percent(true: Profile, inferred: Profile, mark: float) -> float:
    """Return how far the inferred notional must travel to lie as the true does, in % of price; 0 is perfect.

    Both are taken as distributions of total 1, so this judges where, not how much. NaN where the truth is
    empty; where only the inferred map is empty, as if all of it lay at the far end (`REACH`).
    """
    if true.total <= 0:
        return float("nan")
    if inferred.total <= 0:
        return 100 * REACH
    edges = lower_edge(np.arange(true.base, true.base + len(true.usd) + 1), true.factor)
    difference = np.cumsum(true.usd / true.total - inferred.usd / inferred.total)
    return float(np.abs(difference) @ np.diff(edges)) / mark * 100


def overlap(true: Profile, inferred: Profile) -> float:
    """Return the sum of bucket minima over the larger of both totals; 1 is identical, 0 disjoint.

    Dividing by the larger total keeps a map that claims too much everywhere from winning.
    """
    larger = max(true.total, inferred.total)
    return float(np.minimum(true.usd, inferred.usd).sum()) / larger if larger > 0 else float("nan")


def found_share(true: Profile, inferred: Profile) -> float:
    """Return the sum of bucket minima over the true total: how much of what is there the map shows, 0 to 1.

    A map that claims everything everywhere finds all; `overlap` is what it is judged by.
    """
    return float(np.minimum(true.usd, inferred.usd).sum()) / true.total if true.total > 0 else float("nan")


def peaks(profile: Profile, mark: float, count: int = TOP) -> FloatArray:
    """Return the prices of the largest clusters: the largest bucket, then the largest not within `NEAR` of one."""
    prices, usd = profile.prices(), profile.usd.copy()
    found: list[float] = []
    while len(found) < count and usd.max(initial=0.0) > 0:
        price = float(prices[int(np.argmax(usd))])
        found.append(price)
        usd[np.abs(prices - price) <= NEAR * mark] = 0.0
    return np.array(found)


def top_hit_rate(true: Profile, inferred: Profile, mark: float) -> float:
    """Return the share of the true top clusters with an inferred top cluster within `NEAR`; 1 is all of them."""
    wanted, got = peaks(true, mark), peaks(inferred, mark)
    if not wanted.size:
        return float("nan")
    if not got.size:
        return 0.0
    return float((np.abs(wanted[:, None] - got) <= NEAR * mark * (1 + 1e-9)).any(axis=1).mean())


def swept_usd(profile: Profile, side: Side, reached: float) -> float:
    """Return the notional (USD) that a move of the mark to `reached` sweeps, its bucket included."""
    bucket = int(bucket_of(reached, profile.factor)) - profile.base
    part = profile.usd[max(bucket, 0) :] if side is Side.LONG else profile.usd[: max(bucket + 1, 0)]
    return float(part.sum())


@dataclass(slots=True)
class Tally:
    """Sums of the measures of one method over times, venues and sides."""

    earth_movers: list[float]
    overlaps: list[float]
    found: list[float]
    hits: list[float]
    true_usd: float = 0.0
    inferred_usd: float = 0.0
    predicted_usd: float = 0.0
    liquidated_usd: float = 0.0

    @classmethod
    def empty(cls) -> "Tally":
        """Return a tally of nothing."""
        return cls([], [], [], [])

    def add(self, true: Profile, inferred: Profile, mark: float) -> None:
        """Judge one map."""
        self.earth_movers.append(earth_movers_percent(true, inferred, mark))
        self.overlaps.append(overlap(true, inferred))
        self.found.append(found_share(true, inferred))
        self.hits.append(top_hit_rate(true, inferred, mark))
        self.true_usd += true.total
        self.inferred_usd += inferred.total

    def add_move(self, predicted_usd: float, liquidated_usd: float) -> None:
        """Add what a map said the following hour's move would sweep, and what of the positions held was liquidated."""
        self.predicted_usd += predicted_usd
        self.liquidated_usd += liquidated_usd

    def join(self, other: "Tally") -> None:
        """Add all of `other`."""
        self.earth_movers += other.earth_movers
        self.overlaps += other.overlaps
        self.found += other.found
        self.hits += other.hits
        self.true_usd += other.true_usd
        self.inferred_usd += other.inferred_usd
        self.predicted_usd += other.predicted_usd
        self.liquidated_usd += other.liquidated_usd

    def figures(self) -> dict[str, float | None]:
        """Return the measures by the names under which they are published; None where nothing was measured.

        `calibration` is liquidated over predicted, and `calibration_error` its distance from 1.
        """
        calibration = self.liquidated_usd / self.predicted_usd if self.predicted_usd else None
        return {
            "emd_pct": _mean(self.earth_movers),
            "overlap": _mean(self.overlaps),
            "found_share": _mean(self.found),
            "top5_hit_rate": _mean(self.hits),
            "notional_ratio": self.inferred_usd / self.true_usd if self.true_usd else None,
            "calibration": calibration,
            "calibration_error": None if calibration is None else abs(1 - calibration),
        }


def _mean(values: list[float]) -> float | None:
    known = np.array(values)[~np.isnan(values)] if values else np.array([])
    return float(known.mean()) if known.size else None
