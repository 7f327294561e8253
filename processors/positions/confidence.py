"""How much of a level's notional is really there: confidence, between 0 and 1, of what was inferred.

Of a level `I` that in truth holds `T`, `min(T, I)` is there. Where `T` is lognormal around `I`, with deviation
`s` of its log, the expected part is `2 * Phi(-s / 2)`: 1 for what is known, and ever less the vaguer it is. The
variances' weights are fitted to simulated markets, where what is there is known (see the README).
"""

from math import erf, sqrt

import numpy as np
import numpy.typing as npt

from liqheat.domain.money import MICRO_USD_PER_USD

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MODEL_VARIANCE = 0.12
"""Variance of the log of a level of many positions whose leverage is known: when they closed is not."""

LEARNED_SHARE = 0.12
"""Part of the mix's own variance that shows in a level: it is a sum over leverages that err apart, and their prior is
wider than what traders do, so that it does not stand in the way of evidence."""

LUMP_VARIANCE, LUMP_SIZES = 0.28, 1.5
"""What few positions add, `LUMP_VARIANCE * log(1 + LUMP_SIZES * size / level)`: a level of one is all or nothing."""

UNLEARNED_VARIANCE = 6.0
"""Variance of a band's log before its first lesson: that of the prior."""

_DEVIATIONS = np.linspace(0.0, 6.0, 601)
_PARTS = np.array([1 - erf(deviation / 2 / sqrt(2)) for deviation in _DEVIATIONS])


def band_variances(standing: FloatArray, deviations: FloatArray, bands: IntArray, count: int) -> FloatArray:
    """Return the variance of each leverage band's log, its leverages weighted by what stands, shape (count,).

    Args:
        standing: notional by leverage, of any unit, shape (n,).
        deviations: of the log of each leverage's multiple, shape (n,).
        bands: band of each leverage, shape (n,).
        count: number of bands.
    """
    weights = standing + 1e-9 * standing.sum() + 1e-9
    return np.asarray(
        np.bincount(bands, weights * deviations**2, count) / np.maximum(np.bincount(bands, weights, count), 1e-300)
    )


def confidence_of(levels: IntArray, variances: FloatArray, size: float) -> FloatArray:
    """Return the confidence of each level.

    Args:
        levels: micro-USD, shape (n,).
        variances: of the log of what each one's band holds, shape (n,).
        size: USD of a usual position: a level of few positions is all or nothing.
    """
    lumps = LUMP_VARIANCE * np.log1p(LUMP_SIZES * size * MICRO_USD_PER_USD / np.maximum(levels, 1))
    deviations = np.sqrt(MODEL_VARIANCE + LEARNED_SHARE * variances + lumps)
    return np.asarray(np.interp(deviations, _DEVIATIONS, _PARTS))
