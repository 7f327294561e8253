"""Which leverages positions are opened with, and how far from entry each is liquidated.

Built once a tier table from the settings' mix; `inference` multiplies entry prices by its factors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.liquidation_price import linear_at_tier
from liqheat.domain.margin_tiers import MarginTiers, shipped_tables
from liqheat.domain.market import Venue, leverage_band

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

GENERIC_TIERS = MarginTiers.single(maximum_leverage=50.0, maintenance_margin_rate=0.01)
"""Stands in until a venue's own table arrives, where none is shipped: 50x at 1%, as most AI tokens start."""

TAKER_FEE_RATES: dict[str, float] = {Venue.OKX.value: 0.0005}
"""Venues that count the closing fee as margin needed (OKX: standard taker fee of swaps)."""


@dataclass(frozen=True, slots=True, eq=False)
class LeverageMix:
    """Leverages in use on one market; arrays of shape (n,), `factors` of shape (2, n), longs first.

    `rows` are their places in the settings.
    `factors` is liquidation price over entry price: for a position of fixed notional the price is linear in
    its entry. NaN where there is none (a long at 1x): that share is out of reach and becomes no bucket.
    """

    rows: IntArray
    leverages: FloatArray
    bands: IntArray
    shares: FloatArray
    factors: FloatArray


def default_tiers(venue: str, instrument: str) -> MarginTiers:
    """Return the tiers assumed before the venue's own arrive: the shipped table, else `GENERIC_TIERS`."""
    try:
        tables = shipped_tables(Venue(venue))
    except ValueError:
        return GENERIC_TIERS
    return tables.get(instrument, GENERIC_TIERS)


def mix_within(
    tiers: MarginTiers,
    leverages: Sequence[float],
    shares: Sequence[float],
    typical_notional: float,
    taker_fee_rate: float = 0.0,
) -> LeverageMix:
    """Clip a mix to a market's tiers: leverages it does not offer drop out, the others share what they had.

    A leverage that is only offered for small positions is computed at the largest of them. Where the table
    offers none of the leverages, its own maximum stands alone.

    Args:
        tiers: the market's table.
        leverages: times, rising.
        shares: share of opened notional a leverage, of any sum.
        typical_notional: USD, whose tier is taken.
        taker_fee_rate: fraction, where the venue counts the closing fee.
    """
    wanted = np.asarray(leverages, dtype=np.float64)
    weights = np.asarray(shares, dtype=np.float64)
    offered = (tiers.notional_limit(wanted) > 0) & (weights > 0)
    rows = np.flatnonzero(offered)
    if offered.any():
        wanted, weights = wanted[offered], weights[offered]
    else:
        rows, wanted, weights = np.zeros(1, dtype=np.int64), tiers.maximum_leverage[:1], np.ones(1)
    notional = np.minimum(tiers.notional_limit(wanted), typical_notional)
    side = np.array([[1.0], [-1.0]])
    # Entry 1 USD: as many coins as USD of notional, and the price is the factor itself.
    factors = linear_at_tier(side, 1.0, notional, notional / wanted, tiers, taker_fee_rate).price
    return LeverageMix(rows, wanted, leverage_band(wanted), weights / weights.sum(), factors)
