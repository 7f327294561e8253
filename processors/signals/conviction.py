"""Conviction: one number from 0 to 100 with the parts that make it, so that anyone sees why.

It says how much speaks for price being drawn to the liquidations on one side: down to longs below, or up to
shorts above. It is a reading aid, not a forecast: evidence that clusters predict price is weak.

| part | most | full when |
|---|---|---|
| cluster | 40 | a cluster of the caution share of ADV lies at the mark price; falls to 0 at the focus distance |
| imbalance | 20 | all liquidations in the focus band lie on that side |
| funding | 15 | that side has paid the full rate over the last 4 h (a crowded side is the one that is squeezed) |
| open interest | 15 | it rose within the hour on all compared venues (Binance, Bybit, OKX) |
| round number | 10 | a round number lies inside that cluster; falls to 0 at 1 % from it |
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from liqheat.domain.market import Side
from liqheat.domain.venues import COMPARED_VENUES
from liqheat.platform.settings import Signals

CLUSTER_POINTS, IMBALANCE_POINTS, FUNDING_POINTS, OPEN_INTEREST_POINTS, ROUND_NUMBER_POINTS = 40, 20, 15, 15, 10
ROUND_NUMBER_REACH_PERCENT = 1.0

LEAST_REDUCTION, MOST_REDUCTION = 0.3, 0.5
"""The article's rule of thumb: reduce exposure by 30-50 % inside a cluster."""


@dataclass(frozen=True, slots=True)
class ClusterReading:
    """A cluster as conviction sees it: side, size in % of ADV (NaN unknown), distances in %."""

    side: Side
    percent_of_adv: float
    distance: float
    round_number_distance: float


@dataclass(frozen=True, slots=True)
class Conviction:
    """The score's parts in points; `direction` is +1 up, -1 down, 0 when both sides score alike."""

    direction: int
    cluster: float = 0.0
    imbalance: float = 0.0
    funding: float = 0.0
    open_interest: float = 0.0
    round_number: float = 0.0

    @property
    def score(self) -> float:
        """The sum of the parts, 0 to 100."""
        return self.cluster + self.imbalance + self.funding + self.open_interest + self.round_number


def conviction(
    clusters: Sequence[ClusterReading], imbalance: float, funding_rate: float, agreement: int, settings: Signals
) -> Conviction:
    """Return the conviction towards the side that scores higher.

    Args:
        clusters: the symbol's clusters.
        imbalance: long less short over both within the focus band, in % (NaN unknown).
        funding_rate: mean over 4 h as a rate of eight hours (NaN unknown).
        agreement: see `open_interest.agreement`, over one hour.
        settings: thresholds of the symbol.
    """
    down = _towards(Side.LONG, clusters, imbalance, funding_rate, agreement, settings)
    up = _towards(Side.SHORT, clusters, imbalance, funding_rate, agreement, settings)
    if down.score == up.score:
        return Conviction(0, *(getattr(up, part) for part in _PARTS))
    return down if down.score > up.score else up


_PARTS = ("cluster", "imbalance", "funding", "open_interest", "round_number")


def _towards(
    side: Side,
    clusters: Sequence[ClusterReading],
    imbalance: float,
    funding_rate: float,
    agreement: int,
    settings: Signals,
) -> Conviction:
    pull, near_round = 0.0, 0.0
    for cluster in clusters:
        if cluster.side != side or math.isnan(cluster.percent_of_adv):
            continue
        size = min(cluster.percent_of_adv / settings.caution_percent, 1.0)
        strength = size * _nearness(cluster.distance, settings.focus_percent)
        if strength > pull:
            pull = strength
            near_round = _nearness(cluster.round_number_distance, ROUND_NUMBER_REACH_PERCENT)
    leaning = 0.0 if math.isnan(imbalance) else max(int(side) * imbalance / 100, 0.0)
    crowding = 0.0 if math.isnan(funding_rate) else int(side) * funding_rate / settings.funding_full_rate
    return Conviction(
        direction=-int(side),
        cluster=CLUSTER_POINTS * pull,
        imbalance=IMBALANCE_POINTS * leaning,
        funding=FUNDING_POINTS * min(max(crowding, 0.0), 1.0),
        open_interest=OPEN_INTEREST_POINTS * max(agreement, 0) / len(COMPARED_VENUES),
        round_number=ROUND_NUMBER_POINTS * near_round,
    )


def _nearness(distance: float, reach: float) -> float:
    return 1.0 - min(max(distance / reach, 0.0), 1.0)


def exposure_reduction(percent_of_adv: float, caution_percent: float) -> float:
    """Return the share by which the rule of thumb reduces exposure inside a cluster: 0.3, up to 0.5 at caution size."""
    size = 0.0 if math.isnan(percent_of_adv) else min(percent_of_adv / caution_percent, 1.0)
    return LEAST_REDUCTION + (MOST_REDUCTION - LEAST_REDUCTION) * size


def is_coiled(change_4h: float, price_move_4h: float, near_percent_of_adv: float, settings: Signals) -> bool:
    """Whether open interest rose over 4 h, price hardly moved, and a heavy cluster is near enough to release it.

    Args:
        change_4h: change of open interest in %.
        price_move_4h: highest over lowest mark of those 4 h, less one, in %.
        near_percent_of_adv: the heaviest cluster within the focus distance.
        settings: thresholds of the symbol.
    """
    return (
        change_4h >= settings.coiled_open_interest_percent
        and price_move_4h <= settings.coiled_price_percent
        and near_percent_of_adv >= settings.coiled_adv_percent
    )
