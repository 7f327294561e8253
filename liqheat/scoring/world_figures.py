"""Figures of many worlds: what each method reaches in the median and in the worst tenth, beside the oracle.

`liqheat score --worlds` prints them. A method's overlap and top-5 are also given over the oracle's in the same world.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

Figures = dict[str, float | None]

MEASURES: dict[str, str] = {
    "overlap": "overlap",
    "overlap_of_oracle": "of oracle's",
    "top5_hit_rate": "top-5",
    "top5_of_oracle": "of oracle's",
    "notional_ratio": "total, inferred / true",
    "calibration": "executed / expected",
    "emd_pct": "EMD, % of price",
}
"""Measures in the order of the table, with their headings."""
_HIGHER_IS_BETTER = ("overlap", "overlap_of_oracle", "top5_hit_rate", "top5_of_oracle")
_AIM_IS_ONE = ("notional_ratio", "calibration")
_WORST = 0.10


@dataclass(frozen=True, slots=True)
class Summary:
    """One measure of one method over worlds."""

    median: float | None
    worst_tenth: float | None
    """The value that a tenth of the worlds is worse than; of ratios, the one furthest from 1 that nine tenths keep."""
    worlds: int
    """Worlds in which the measure was there at all."""


def with_oracle(methods: dict[str, Figures], oracle: str) -> dict[str, Figures]:
    """Return the figures of one world with each method's overlap and top-5 over the oracle's; None over nothing."""
    known = methods[oracle]
    return {
        name: {
            **figures,
            "overlap_of_oracle": _over(figures["overlap"], known["overlap"]),
            "top5_of_oracle": _over(figures["top5_hit_rate"], known["top5_hit_rate"]),
        }
        for name, figures in methods.items()
    }


def summaries(worlds: Sequence[dict[str, Figures]]) -> dict[str, dict[str, Summary]]:
    """Return the summary of each measure by method, of worlds made by `with_oracle`."""
    names = list(dict.fromkeys(name for world in worlds for name in world))
    return {
        name: {measure: _summary(measure, [world[name][measure] for world in worlds]) for measure in MEASURES}
        for name in names
    }


def _summary(measure: str, values: Sequence[float | None]) -> Summary:
    known = np.array([value for value in values if value is not None])
    if not known.size:
        return Summary(None, None, 0)
    if measure in _HIGHER_IS_BETTER:
        worst = float(np.quantile(known, _WORST))
    elif measure in _AIM_IS_ONE:
        # The log of a ratio says how far off it is, the same above 1 as below; 0 is as far as can be.
        off = np.array([abs(log(value)) if value > 0 else np.inf for value in known])
        worst = float(known[np.argsort(off, kind="stable")][round((1 - _WORST) * (len(known) - 1))])
    else:
        worst = float(np.quantile(known, 1 - _WORST))
    return Summary(float(np.median(known)), worst, int(known.size))


def _over(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole
