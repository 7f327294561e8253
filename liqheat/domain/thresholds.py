"""Which notional is large: every threshold of colour, size and warning, in shares of average daily volume (ADV).

ADV is the token's turnover over the last 24 hours, summed over its venues. Viewer, dashboards and signals
read these numbers from here, so that a colour means the same everywhere.
"""

from dataclasses import dataclass

from liqheat.domain.price_grid import DEFAULT_FACTOR

HEAT_LEVELS_PERCENT_OF_ADV: dict[str, tuple[float, ...]] = {
    "at_risk": (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0),
    "expected": (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
}
"""Colour steps of one bucket at the default grid level, in % of ADV, by measure; below the first it is barely visible.

Open interest is a tenth to once the ADV and lies some 100 buckets wide on a side, so the ordinary bucket at risk holds
0.1 to 0.5%; of what is at risk some twentieth is expected to be executed."""

CAUTION_PERCENT_OF_ADV = 15.0
"""A cluster above this share of ADV warrants caution."""

CLUSTER_MINIMUM_USD = 5_000_000.0
"""A cluster above this notional (USD) raises an alert when price enters its outer edge."""

FOCUS_PERCENT = 5.0
"""Distance from the mark price, in %, within which liquidations are watched."""


@dataclass(frozen=True, slots=True)
class HeatScale:
    """The colour scale in % of ADV a bucket: colour starts at `lowest` and saturates at `highest`."""

    lowest: float
    highest: float
    levels: tuple[float, ...]


def heat_scale(factor: int = DEFAULT_FACTOR, measure: str = "at_risk") -> HeatScale:
    """Return the colour scale of `measure`, "at_risk" or "expected", for buckets at the grid level `factor`.

    A bucket twice as wide holds twice the notional of the same map, so the steps grow with the factor and
    zooming out does not heat the picture.
    """
    levels = tuple(level * factor / DEFAULT_FACTOR for level in HEAT_LEVELS_PERCENT_OF_ADV[measure])
    return HeatScale(levels[0], levels[-1], levels)
