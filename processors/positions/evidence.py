"""What executed liquidations show: how much more or less is liquidated where price goes than the prior says.

Two factors are learned per market. `kappa` scales what is expected to be executed (executed over swept, both sides
together). `multipliers` scale what is at risk, by distance from entry. Both start at 1, shrink to it while there is
little evidence, and forget with a half-life of two weeks. A venue of which little is known takes after its siblings.
"""

import numpy as np
import numpy.typing as npt

from liqheat.domain.price_grid import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

LEARNING_MINUTES = 60
"""How often is learned. Liquidations that are shown by the hour teach as those shown at once."""

MEMORY_MINUTES = 14 * 24 * 60
"""Half-life of evidence. Real BTC: anything from 3 to 80 days serves (docs/accuracy.md)."""

KAPPA_WEIGHT = 3e-3
"""Swept USD that the prior of kappa is worth, per USD of open interest.

Liquidations come in lumps, and few lumps say little. With lumps of mean size `s` (weighted by size) and a kappa whose
log has a deviation of `t` over markets, the prior is worth `s / t ** 2`. Liquidations of a minute on OKX, March 2026:
`s` is 0.14% of open interest on SOL, 0.17% on DOGE; `t` is `published.KAPPA_DEVIATION`."""

LARGEST_KAPPA = 1e3
"""A record that says more than this, or less than its inverse, is wrong about the market: kappas of BTC, SOL and DOGE
lay within 1.4 of each other."""

BAND_WEIGHT = 0.05
"""Swept USD that the prior of a band's multiplier is worth, per USD of open interest that the prior has there."""

TELLING = 0.5
"""Power of executed over swept that is believed of what is at risk.

Who is near liquidation adds margin or cuts the position before it comes (of real Hyperliquid positions whose
price was reached within a day, 38% had gone and 47% stood almost whole), so less dies than stood there."""

UNKNOWN_INTEREST = 1e8
"""Open interest, USD, assumed in the weights of a market that has published none."""


def shrunk(executed: FloatArray, swept: FloatArray, weight: FloatArray, prior: FloatArray | float) -> FloatArray:
    """Return executed over swept (USD), shrunk to `prior` as if `weight` USD had been swept with that result."""
    return np.asarray((executed + weight * prior) / (swept + weight))


def venue_kappa(
    own: tuple[FloatArray, FloatArray],
    siblings: tuple[FloatArray, FloatArray],
    weight: FloatArray,
    is_sampled: BoolArray,
    has_whole_sibling: BoolArray,
) -> FloatArray:
    """Return kappa of each market: its own evidence, shrunk to its symbol's, shrunk to the prior.

    A venue that publishes a sample can't execute less than its siblings' record says: what it leaves out is theirs.

    Args:
        own: executed and swept of the market, USD, shapes (n,).
        siblings: the same summed over the symbol's venues, those with whole feeds where there are any.
        weight: USD that the prior is worth, shape (n,).
        is_sampled: whether the market's feed is a sample.
        has_whole_sibling: whether another venue of the symbol has a whole feed with evidence.
    """
    symbol = shrunk(*siblings, weight, 1.0)
    kappa = shrunk(*own, weight, symbol)
    kappa = np.where(is_sampled & has_whole_sibling, np.maximum(kappa, symbol), kappa)
    return np.asarray(np.clip(kappa, 1 / LARGEST_KAPPA, LARGEST_KAPPA))


def attribute(executed: IntArray, swept: IntArray, multipliers: FloatArray) -> FloatArray:
    """Share what was executed among the bands that were swept, by what each was believed to lose.

    Args:
        executed: micro-USD by side, shape (n, 2).
        swept: micro-USD at multipliers of 1 by side and band, shape (n, 2, bands).
        multipliers: believed so far, shape (n, bands).

    Returns:
        USD executed by band, both sides, shape (n, bands); what died where nothing was believed teaches nothing.
    """
    believed = swept * multipliers[:, None, :]
    # Written out: a sum over an axis may take another order where more markets close together.
    whole = believed[:, :, 0].copy()
    for band in range(1, believed.shape[2]):
        whole += believed[:, :, band]
    share = np.divide(executed, whole, out=np.zeros_like(whole), where=whole > 0)
    return np.asarray((believed[:, 0] * share[:, :1] + believed[:, 1] * share[:, 1:]) / 1e6)


def band_multipliers(
    executed: FloatArray, swept: FloatArray, interest_usd: FloatArray, shares: FloatArray
) -> FloatArray:
    """Return the multipliers, shape (n, bands), held such that no more than open interest is at risk on a side."""
    weight = BAND_WEIGHT * interest_usd[:, None] * shares
    multipliers = shrunk(executed, swept, weight, 1.0) ** TELLING
    whole = multipliers[:, 0] * shares[0]
    for band in range(1, len(shares)):
        whole = whole + multipliers[:, band] * shares[band]
    return np.asarray(multipliers / np.maximum(whole, 1.0)[:, None])
