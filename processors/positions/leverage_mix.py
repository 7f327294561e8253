"""Which leverages positions of each size can have on one market, and how far from entry each is liquidated.

Built once a tier table. The larger a position, the lower the leverage that its tiers allow: a trade is put into
a size class, and whoever wanted more leverage than the class allows stands at its maximum.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.liquidation_price import linear_at_tier
from liqheat.domain.margin_tiers import MarginTiers, shipped_tables
from liqheat.domain.market import Venue
from liqheat.domain.money import MICRO_USD_PER_USD

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

GENERIC_TIERS = MarginTiers.single(maximum_leverage=50.0, maintenance_margin_rate=0.01)
"""Stands in until a venue's own table arrives, where none is shipped: 50x at 1%, as most AI tokens start."""

SIZE_CLASSES = 12
"""Most size classes of a market: tables have up to about that many leverages; what is larger joins the last."""

_NONE = np.zeros(0, dtype=np.int64)

_WITHIN = 10.0
"""A class is computed as if positions of it began at this part of its cap, where its floor is lower still."""


@dataclass(frozen=True, slots=True, eq=False)
class LeverageMix:
    """Size classes of one market, smallest first, over the settings' leverages (n of them).

    `floors` is the least notional of each class but the first, micro-USD, shape (classes - 1,). `allowed` is how
    many of the leverages the class allows, shape (classes,). Whoever wanted another stands at the class's own
    maximum: that is column n of the arrays below, and counts as the highest leverage allowed.

    `factors` is liquidation price over entry price, shape (classes, 2, n + 1), longs first: for a position of
    fixed notional the price is linear in its entry. NaN where a leverage is not allowed, and where there is no
    price (a long at 1x). `rows` is the place in the settings under which each column is kept, (classes, n + 1).
    `usual` is the class of a position whose size is not known.
    """

    floors: IntArray
    allowed: IntArray
    factors: FloatArray
    rows: IntArray
    usual: int

    def large(self, amounts: IntArray, trade_ids: IntArray) -> tuple[IntArray, IntArray]:
        """Return the places of trades that are not of the first class, and their classes.

        What has no number is not one trade but the sum of a bar: it counts as of the usual size. `amounts` are
        in micro-USD, both arrays of shape (n,).
        """
        if not len(self.floors):
            return _NONE, _NONE
        is_large = amounts >= self.floors[0]
        is_sum = trade_ids < 0 if trade_ids.min() < 0 else None
        places = np.flatnonzero(is_large if is_sum is None else is_large | is_sum)
        if not places.size:
            return _NONE, _NONE
        classes = np.searchsorted(self.floors, amounts[places], side="right")
        if is_sum is not None:
            classes[is_sum[places]] = self.usual
        return places, classes

    def collapse(self, weights: FloatArray) -> FloatArray:
        """Return what each class makes of `weights` by wanted leverage, (n,): shape (classes, n + 1), sums alike."""
        is_allowed = np.arange(len(weights)) < self.allowed[:, None]
        within, beyond = np.where(is_allowed, weights, 0.0), np.where(is_allowed, 0.0, weights)
        return np.concatenate([within, beyond.sum(axis=1, keepdims=True)], axis=1)

    def landing(self, notional: FloatArray) -> FloatArray:
        """Return where `notional` by class, shape (classes,), lands: (n, n), of each wanted leverage at each row."""
        wanted = np.arange(self.rows.shape[1] - 1)
        landed = np.zeros((len(wanted), len(wanted)))
        for rows, allowed, usd in zip(self.rows, self.allowed, notional, strict=True):
            landed[np.where(wanted < allowed, rows[:-1], rows[-1]), wanted] += usd
        return landed


def default_tiers(venue: str, instrument: str) -> MarginTiers:
    """Return the tiers assumed before the venue's own arrive: the shipped table, else `GENERIC_TIERS`."""
    try:
        tables = shipped_tables(Venue(venue))
    except ValueError:
        return GENERIC_TIERS
    return tables.get(instrument, GENERIC_TIERS)


def mix_within(
    tiers: MarginTiers, leverages: Sequence[float], usual_notional: float, taker_fee_rate: float = 0.0
) -> LeverageMix:
    """Build the size classes of a market from its tiers.

    Tiers of one maximum leverage are one class. A class's margin tier is that of a position in its
    middle (geometric, over at most a factor of ten), or of `usual_notional` where that lies in it.

    Args:
        tiers: the market's table.
        leverages: times, rising.
        usual_notional: USD; the size of positions whose own is not known.
        taker_fee_rate: fraction, where the venue counts the closing fee.
    """
    wanted = np.asarray(leverages, dtype=np.float64)
    allowed = np.searchsorted(wanted, tiers.maximum_leverage * (1 + 1e-9), side="right")
    starts = np.flatnonzero(np.r_[True, np.diff(tiers.maximum_leverage) != 0])[:SIZE_CLASSES]
    floors, allowed = tiers.notional_floor[starts], allowed[starts]
    caps = np.r_[floors[1:], tiers.notional_cap[-1]]
    usual = int(np.searchsorted(floors, usual_notional, side="right")) - 1
    low = np.where(floors > 0, floors, caps / _WITHIN)
    middle = np.sqrt(low * np.minimum(caps, _WITHIN * low))
    middle[usual] = usual_notional
    side = np.array([[1.0], [-1.0]])
    factors = np.full((len(starts), 2, len(wanted) + 1), np.nan)
    for number, start in enumerate(starts):
        columns = np.r_[: allowed[number], len(wanted)]
        held = np.append(wanted[: allowed[number]], tiers.maximum_leverage[start])
        notional = np.full(len(held), middle[number])
        # Entry 1 USD: as many coins as USD of notional, and the price is the factor itself.
        factors[number][:, columns] = linear_at_tier(side, 1.0, notional, notional / held, tiers, taker_fee_rate).price
    rows = np.tile(np.arange(len(wanted) + 1), (len(starts), 1))
    rows[:, -1] = np.maximum(allowed - 1, 0)
    return LeverageMix(np.rint(floors[1:] * MICRO_USD_PER_USD).astype(np.int64), allowed, factors, rows, usual)
