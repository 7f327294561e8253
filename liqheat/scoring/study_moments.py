"""Moments of a symbol's history for `liqheat.scoring.study`: price meets a large cluster, or no cluster is near.

A moment is the end of a minute. Only what was known by then decides whether it is one: the cluster as it was a minute
before, and the price since.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

LOOK_BACK = 60
"""Minutes over which recent volatility and trend are measured, and in which a control moment had no cluster near."""
SPACING = 60
"""Minutes between two cases of one symbol, side and stage, so that one move past a row of clusters counts once."""
CLEAR = 2.0
"""A control has no cluster within this many times the distance that counts as near."""


class Stage(StrEnum):
    """How price met the cluster, in the order in which it does."""

    NEARED = "neared"
    ENTERED = "entered"
    SWEPT = "swept"


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """m rows, one per cluster and minute, by cluster and then minute; every array has shape (m,).

    `minute` is the place of the minute at whose end the cluster was so, `side` +1 for longs and -1 for shorts, `low`
    and `high` its edges in USD, `swept` whether it ended so.
    """

    cluster: IntArray
    minute: IntArray
    side: IntArray
    low: FloatArray
    high: FloatArray
    percent_of_adv: FloatArray
    swept: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """n minutes of a symbol without a hole in time; unknown prices are NaN.

    `start` is the first minute in ms, `close`, `high` and `low` are mark prices in USD, shape (n,), `executed` are
    liquidations in USD, longs first, shape (n, 2), `judged` says at which minutes the clusters are known, shape (n,).
    """

    symbol: str
    start: int
    close: FloatArray
    high: FloatArray
    low: FloatArray
    executed: FloatArray
    judged: BoolArray
    clusters: Clusters


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Places of minutes and the side of the cluster at each, both of shape (k,)."""

    minute: IntArray
    side: IntArray


def moments(history: History, percent: float, near: float) -> dict[Stage, Moments]:
    """Return the moments of each stage, in order of time.

    Neared: price came from further away to within `near` % of the nearer edge, and is still outside. Entered: the
    minute's prices touched that edge from outside. Swept: the cluster ended so. A cluster counts once per stage, and
    only if it held at least `percent` % of daily volume before.
    """
    rows = history.clusters
    if len(rows.cluster) < 2:
        nothing = np.zeros(0, dtype=np.int64)
        return dict.fromkeys(Stage, Moments(nothing, nothing))
    before, after = np.arange(len(rows.cluster) - 1), np.arange(1, len(rows.cluster))
    follows = rows.cluster[before] == rows.cluster[after]
    before, after = before[follows], after[follows]
    side, now = rows.side[before], rows.minute[after]
    edge = np.where(side > 0, rows.high[before], rows.low[before])
    was = _distance(history.close[rows.minute[before]], edge, side)
    is_now = _distance(history.close[now], edge, side)
    nearest = _distance(np.where(side > 0, history.low[now], history.high[now]), edge, side)
    large = rows.percent_of_adv[before] >= percent
    found = {
        Stage.NEARED: large & (was > near) & (is_now <= near) & (is_now > 0),
        Stage.ENTERED: large & (was > 0) & (nearest <= 0),
        Stage.SWEPT: rows.swept[after] & _was_large(rows, percent)[before],
    }
    return {stage: _spaced(rows.cluster[after][hit], now[hit], side[hit]) for stage, hit in found.items()}


def without_cluster(history: History, percent: float, near: float) -> BoolArray:
    """Return at which minutes no large cluster of either side is near, nor was within `LOOK_BACK`, shape (n,)."""
    rows = history.clusters
    beside = np.zeros(len(history.close), dtype=np.bool_)
    price = history.close[rows.minute]
    edge = np.where(rows.side > 0, rows.high, rows.low)
    close = ~(_distance(price, edge, rows.side) > CLEAR * near)
    beside[rows.minute[close & _was_large(rows, percent)]] = True
    return np.asarray(_all_of_the_last(history.judged & ~beside, LOOK_BACK))


def _distance(price: FloatArray, edge: FloatArray, side: IntArray) -> FloatArray:
    """Return how far price is from the edge that it meets first, in % of price; negative beyond it."""
    return np.asarray(100 * side * (1 - edge / price))


def _was_large(rows: Clusters, percent: float) -> BoolArray:
    """Return for each row whether its cluster has been large by then."""
    large = rows.percent_of_adv >= percent
    total = np.cumsum(large)
    first = np.r_[True, rows.cluster[1:] != rows.cluster[:-1]]
    earlier = np.maximum.accumulate(np.where(first, np.r_[0, total[:-1]], 0))
    return np.asarray(total > earlier)


def _all_of_the_last(flags: BoolArray, count: int) -> BoolArray:
    """Return at which places `flags` holds there and at the `count` - 1 places before."""
    total = np.r_[0, np.cumsum(flags)]
    whole = np.zeros(len(flags), dtype=np.bool_)
    whole[count - 1 :] = total[count:] - total[:-count] == count if len(flags) >= count else False
    return whole


def _spaced(cluster: IntArray, minute: IntArray, side: IntArray) -> Moments:
    """Return each cluster's first moment, less those within `SPACING` of an earlier one of the same side."""
    _, first = np.unique(cluster, return_index=True)
    order = first[np.argsort(minute[first], kind="stable")]
    last = {1: -SPACING, -1: -SPACING}
    kept = []
    for place in order.tolist():
        if minute[place] - last[int(side[place])] >= SPACING:
            last[int(side[place])] = int(minute[place])
            kept.append(place)
    return Moments(minute[kept].astype(np.int64), side[kept].astype(np.int64))
