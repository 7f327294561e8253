"""Clusters: where liquidations lie dense, and the same cluster again a minute later.

The method, on one side over all venues, from the mark price out to the reach:
1. Density of a bucket = at-risk notional per 1 % of price, so that wide and narrow buckets compare.
2. A bucket is dense when its density is at least `dense_factor` times the mean of its surroundings: the side's
   mean in reach or the mean within `local_percent` of it, whichever is less, so that deep pools of low
   leverage far away do not hide what lies near the price. One that belonged to a cluster a minute ago stays
   dense down to `keep_share` of that, so edges do not flicker; and while the cluster's densest bucket is as
   dense as that, so does each that has `split_share` of the densest, so that a cluster keeps its width where
   its surroundings fill up.
3. Dense buckets with at most `gap_buckets` thin ones between them are one range. A range is cut at its
   lowest valley of the smoothed density (weights 1/4, 1/2, 1/4) while that valley is below `split_share` of
   the lower of the two peaks beside it; where there was a cut a minute ago, until it is above `join_share`.
4. Ranges below `floor_share` of the side's notional in reach are dropped unless they hold `cluster_usd`, from
   which a trader may be alerted of them (known clusters below `keep_share` of either), and the largest
   `clusters_a_side` are kept.
5. A range is the known cluster with which it shares most notional, if the buckets they share are at least
   `match_share` of the smaller one; each is matched once, most notional first. So of a cluster that parts,
   the heavier piece keeps the identity, and of two that join, the heavier one gives it.
6. A known cluster that is no such range any more is missing for up to `patience_minutes`, with the edges it had
   and what still lies between them and belongs to no other. It ends as `swept` if price took most of it
   (`processors.signals.visits`), and as `gone` when the patience is over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from liqheat.domain.market import Side
from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.price_grid import FloatArray, IntArray
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Signals
from processors.signals.book import SideBook
from processors.signals.terrain import Terrain
from processors.signals.visits import Visit, fed, is_swept, visit_after


@dataclass(frozen=True, slots=True)
class Range:
    """A dense range: first, last and densest bucket (grid indices, inclusive), and its notional (micro-USD)."""

    low: int
    high: int
    peak: int
    at_risk: int


class Tracked(msgspec.Struct):
    """A cluster as it is remembered from minute to minute; prices in USD, amounts in micro-USD, times in ms.

    `low`, `high` and `peak` are grid indices. `seen` is the last window in which it was found, `reported`
    the notional at its last state of born, grown or shrunk, `swept` what price took from it since birth.
    `visit` is price's stay in it, if it is there.
    """

    cluster_id: str
    side: int
    state: str
    low: int
    high: int
    peak: int
    price_low: float
    price_high: float
    peak_price: float
    at_risk: int
    reported: int
    swept: int
    born: int
    seen: int
    visit: Visit | None = None

    @property
    def nearer_edge(self) -> float:
        """The edge that price meets first: the upper one of a long cluster, the lower one of a short one."""
        return self.price_high if self.side == Side.LONG else self.price_low


def labels_of(book: SideBook, known: Sequence[Tracked]) -> IntArray:
    """Return for each bucket of `book` the position in `known`, plus one, of the cluster that held it; 0 for none."""
    labels = np.zeros(len(book.at_risk), dtype=np.int64)
    for number, cluster in enumerate(known, start=1):
        first, last = cluster.low - book.base, cluster.high - book.base
        labels[max(first, 0) : max(last + 1, 0)] = number
    return labels


def find(book: SideBook, known: Sequence[Tracked], settings: Signals, terrain: Terrain) -> list[Range]:
    """Return the clusters of a side in price order, by this module's steps 1 to 4; `terrain` is the book's."""
    total = int(book.at_risk.sum())
    if total == 0:
        return []
    density = terrain.density
    labels = labels_of(book, known)
    floor = settings.dense_factor * terrain.surroundings
    dense = (density > 0) & (density >= _bars(density, floor, labels, settings))
    least = min(settings.floor_share * total, settings.cluster_usd * MICRO_USD_PER_USD)
    ranges = []
    for first, last in _runs(dense, settings.gap_buckets):
        for low, high in _parts(terrain.smooth, labels, dense, first, last, settings):
            amount = int(book.at_risk[low : high + 1].sum())
            share = settings.keep_share if labels[low : high + 1].any() else 1.0
            if amount >= share * least:
                peak = low + int(np.argmax(density[low : high + 1]))
                ranges.append(Range(book.base + low, book.base + high, book.base + peak, amount))
    largest = sorted(ranges, key=lambda item: (-item.at_risk, item.low))[: settings.clusters_a_side]
    return sorted(largest, key=lambda item: item.low)


def _bars(density: FloatArray, floor: FloatArray, labels: IntArray, settings: Signals) -> FloatArray:
    """Return the density from which each bucket is dense: `floor`, and less where a cluster was a minute ago."""
    if not labels.any():
        return floor
    bars = np.where(labels > 0, settings.keep_share * floor, floor)
    for number in np.unique(labels[labels > 0]):
        inside = labels == number
        peak = int(np.argmax(np.where(inside, density, -1.0)))
        if density[peak] >= bars[peak]:
            bars[inside] = np.minimum(bars[inside], settings.split_share * density[peak])
    return np.asarray(bars, dtype=np.float64)


def _runs(dense: npt.NDArray[np.bool_], gap: int) -> list[tuple[int, int]]:
    """Return first and last position of each run of dense buckets, runs separated by at most `gap` being one."""
    positions = np.flatnonzero(dense)
    if not len(positions):
        return []
    breaks = np.flatnonzero(np.diff(positions) > gap + 1)
    firsts = np.concatenate(([0], breaks + 1))
    lasts = np.concatenate((breaks, [len(positions) - 1]))
    return [(int(positions[first]), int(positions[last])) for first, last in zip(firsts, lasts, strict=True)]


def _parts(
    smooth: FloatArray, labels: IntArray, dense: npt.NDArray[np.bool_], first: int, last: int, settings: Signals
) -> list[tuple[int, int]]:
    """Cut a run at its valleys; a valley bucket goes to the range of the higher neighbour, thin ends to none."""
    if last - first < 2:
        return [(first, last)]
    run = smooth[first : last + 1]
    left = np.maximum.accumulate(run)
    right = np.maximum.accumulate(run[::-1])[::-1]
    depth = run / np.minimum(left, right)
    # Between two clusters of a minute ago the cut stays until the valley has clearly filled.
    before, after = labels[first : last - 1], labels[first + 2 : last + 1]
    parted = np.zeros(len(run), dtype=np.bool_)
    parted[1:-1] = (before > 0) & (after > 0) & (before != after)
    excess = depth - np.where(parted, settings.join_share, settings.split_share)
    valley = first + int(np.argmin(excess))
    if excess[valley - first] >= 0:
        return [(first, last)]
    cut = valley + 1 if smooth[valley - 1] >= smooth[valley + 1] else valley
    parts = []
    for low, high in ((first, cut - 1), (cut, last)):
        solid = low + np.flatnonzero(dense[low : high + 1])
        if len(solid):
            parts += _parts(smooth, labels, dense, int(solid[0]), int(solid[-1]), settings)
    return parts


def match(book: SideBook, ranges: Sequence[Range], known: Sequence[Tracked], share: float) -> dict[int, int]:
    """Return which range (position in `ranges`) is which known cluster (position in `known`): step 5."""
    pairs = []
    for index, item in enumerate(ranges):
        for number, cluster in enumerate(known):
            low, high = max(item.low, cluster.low), min(item.high, cluster.high)
            smaller = min(item.high - item.low, cluster.high - cluster.low) + 1
            if high - low + 1 >= share * smaller:
                shared = int(book.at_risk[low - book.base : high - book.base + 1].sum())
                pairs.append((-shared, number, index))
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for _, number, index in sorted(pairs):
        if index not in matched and number not in taken:
            matched[index] = number
            taken.add(number)
    return matched


def follow(
    symbol: str,
    window: int,
    book: SideBook,
    known: Sequence[Tracked],
    low_mark: float,
    high_mark: float,
    s: Signals,
    terrain: Terrain,
) -> tuple[list[Tracked], list[Tracked]]:
    """Move the clusters of one side on by one window.

    Args:
        symbol: canonical symbol, part of a new cluster's identity.
        window: start of the minute (ms).
        book: the side's map at its end.
        known: the clusters of the minute before, with those missing for no more than `patience_minutes`.
        low_mark: lowest mark price of the minute (USD).
        high_mark: highest mark price of the minute (USD).
        s: thresholds of the symbol.
        terrain: the book's.

    Returns:
        The clusters to remember, and those that ended (state `swept` or `gone`); new objects, `known` stays.
    """
    ranges = find(book, known, s, terrain)
    matched = match(book, ranges, known, s.match_share)
    visits = _visits(known, (low_mark, high_mark), s.rearm_percent)
    alive = [
        _born(symbol, window, book, item)
        if (number := matched.get(index)) is None
        else _found(window, book, item, known[number], visits[number], s)
        for index, item in enumerate(ranges)
    ]
    free = book.at_risk.copy()
    for item in ranges:
        free[item.low - book.base : item.high + 1 - book.base] = 0
    ended = []
    for number, cluster in enumerate(known):
        if number in matched.values():
            continue
        swept = _sum_inside(book, book.swept, cluster.low, cluster.high)
        left = _sum_inside(book, free, cluster.low, cluster.high)
        visit = fed(visits[number], swept, left, (cluster.price_low, cluster.price_high))
        missing = msgspec.structs.replace(cluster, swept=cluster.swept + swept, at_risk=left, visit=visit)
        if is_swept(visit, left, s.swept_share):
            ended.append(msgspec.structs.replace(missing, state="swept", at_risk=0))
        elif window - cluster.seen > s.patience_minutes * MINUTE_MS:
            ended.append(msgspec.structs.replace(missing, state="gone", at_risk=0))
        else:
            alive.append(missing)
    return alive, ended


def _visits(known: Sequence[Tracked], marks: tuple[float, float], rearm_percent: float) -> list[Visit | None]:
    """Return price's stay in each cluster at the end of a minute with these marks, lowest and highest."""
    return [
        visit_after(
            cluster.visit,
            cluster.side,
            (cluster.price_low, cluster.price_high),
            cluster.at_risk,
            marks,
            rearm_percent,
        )
        for cluster in known
    ]


def _place(book: SideBook, item: Range) -> tuple[float, float, float]:
    """Return lower edge, upper edge and middle of the densest bucket of a range (USD)."""
    return (
        float(book.edges[item.low - book.base]),
        float(book.edges[item.high + 1 - book.base]),
        book.middle(item.peak - book.base),
    )


def _born(symbol: str, window: int, book: SideBook, item: Range) -> Tracked:
    price_low, price_high, peak_price = _place(book, item)
    return Tracked(
        cluster_id=f"{symbol}-{book.side.label}-{peak_price:.8g}-{window // MINUTE_MS}",
        side=int(book.side),
        state="born",
        low=item.low,
        high=item.high,
        peak=item.peak,
        price_low=price_low,
        price_high=price_high,
        peak_price=peak_price,
        at_risk=item.at_risk,
        reported=item.at_risk,
        swept=0,
        born=window,
        seen=window,
    )


def _found(window: int, book: SideBook, item: Range, before: Tracked, visit: Visit | None, s: Signals) -> Tracked:
    price_low, price_high, peak_price = _place(book, item)
    state, reported = "steady", before.reported
    if item.at_risk >= s.grown_share * before.reported:
        state, reported = "grown", item.at_risk
    elif item.at_risk <= s.shrunk_share * before.reported:
        state, reported = "shrunk", item.at_risk
    # What was swept lay in the buckets of a minute ago as much as in those of now.
    swept = _sum_inside(book, book.swept, min(item.low, before.low), max(item.high, before.high))
    return msgspec.structs.replace(
        before,
        state=state,
        low=item.low,
        high=item.high,
        peak=item.peak,
        price_low=price_low,
        price_high=price_high,
        peak_price=peak_price,
        at_risk=item.at_risk,
        reported=reported,
        swept=before.swept + swept,
        seen=window,
        visit=fed(visit, swept, item.at_risk, (price_low, price_high)),
    )


def _sum_inside(book: SideBook, amounts: IntArray, low: int, high: int) -> int:
    return int(amounts[max(low - book.base, 0) : max(high + 1 - book.base, 0)].sum())
