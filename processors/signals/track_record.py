"""The public record: what a market's map predicted, beside what was executed, over stretches of time.

Fed with every closed minute of a market, in order, by `processors.signals.engine`. A stretch is written once, when it
is over. Horizon 0 is one hour of the map as it was renewed each minute: the amount. Horizons 6, 24 and 72 hours judge
the map as it was frozen at the begin: what price newly traversed of it, and whether it said where.

Place: over the buckets that price newly traversed, the frozen map is a density (nine parts of it and one of a uniform
one). The score is the mean of log(density / uniform) over what was executed there. A minute's liquidations are spread
evenly over the ground that it newly traversed; those of minutes that traversed nothing new are not judged.
"""

import math
from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from liqheat.domain.heatmap import TrackRecord
from liqheat.domain.market import Side, Venue
from liqheat.domain.money import MICRO_USD_PER_USD, estimate_micro_usd
from liqheat.domain.price_grid import bucket_of, middle
from liqheat.domain.venues import VENUE_FACTS, LiquidationFeed
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from processors.signals.book import Rows

HORIZONS_HOURS = (0, 6, 24, 72)
UNIFORM_SHARE = 0.1
KERNEL_PERCENT = 1.0
RIVAL_HALF_LIFE_HOURS = 168.0
"""Memory of the one-line rival: liquidations of the last week per squared move."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Stretch(msgspec.Struct):
    """One horizon of one market; pairs are longs first, amounts micro-USD, prices USD.

    `levels` is the expected map at the begin by side: published bucket to micro-USD. `executed_at` is what was executed
    on newly traversed ground, likewise. `low` and `high` are how far the mark has gone.
    """

    start: int
    mark: float
    low: float
    high: float
    levels: list[dict[int, int]]
    executed_at: list[dict[int, float]]
    predicted: list[int]
    executed: list[int]
    minutes: int = 0
    known_minutes: int = 0
    warming_up: bool = False


class Rival(msgspec.Struct):
    """Trailing executed USD and squared moves (%^2) by side, forgotten with `RIVAL_HALF_LIFE_HOURS`."""

    executed: list[float]
    squares: list[float]


class MarketRecord(msgspec.Struct):
    """All that the record of one market remembers; `window` is the last minute taken in (ms, -1 before the first)."""

    window: int = -1
    stretches: dict[int, Stretch] = {}
    rival: Rival = msgspec.field(default_factory=lambda: Rival([0.0, 0.0], [0.0, 0.0]))


class ClosedMinute(msgspec.Struct, frozen=True):
    """What the record needs of a closed minute; `rows` is the map at its end, pairs are longs first."""

    window: int
    mark_low: float
    mark_high: float
    mark_close: float
    predicted: tuple[int, int]
    executed: tuple[int, int]
    rows: Rows
    is_known: bool
    warming_up: bool
    grid_factor: int
    model_version: int
    revision: int


def add(record: MarketRecord, minute: ClosedMinute, venue: Venue) -> list[TrackRecord]:
    """Take in a market's next closed minute; return the stretches that are over with it.

    A venue that publishes no liquidations has no record.
    """
    feed = VENUE_FACTS[venue].liquidation_feed
    if feed is LiquidationFeed.SILENT or minute.window <= record.window:
        return []
    # A stretch may have ended in minutes that never came, and else ends with its last minute.
    rows = list(_finished(record, minute, minute.window, feed))
    for stretch in record.stretches.values():
        _count(stretch, minute)
    rows += _finished(record, minute, minute.window + MINUTE_MS, feed)
    _begin(record, minute)
    record.window = minute.window
    return rows


def _length(hours: int) -> int:
    return max(hours, 1) * HOUR_MS


def _finished(record: MarketRecord, minute: ClosedMinute, now: int, feed: LiquidationFeed) -> Iterator[TrackRecord]:
    """Yield the stretches that are over at `now` (ms), and forget them; `minute` is the latest that closed."""
    for hours in HORIZONS_HOURS:
        stretch = record.stretches.get(hours)
        if stretch is None or now < stretch.start + _length(hours):
            continue
        del record.stretches[hours]
        yield _row(stretch, hours, record.rival, minute, feed)
        if hours == 0:
            _forget_and_learn(record.rival, stretch, now)


def _begin(record: MarketRecord, minute: ClosedMinute) -> None:
    """Begin the stretches whose begin is the end of `minute`, with the map as it is then."""
    end = minute.window + MINUTE_MS
    if math.isnan(minute.mark_close):
        return
    for hours in HORIZONS_HOURS:
        if hours in record.stretches or end % _length(hours):
            continue
        levels = [_expected(minute.rows, side) for side in Side] if hours else [{}, {}]
        mark = minute.mark_close
        record.stretches[hours] = Stretch(
            end, mark, mark, mark, levels, [{}, {}], [0, 0], [0, 0], warming_up=minute.warming_up
        )


def _expected(rows: Rows, side: Side) -> dict[int, int]:
    """Return the expected map of a side: published bucket to micro-USD."""
    own = rows[(rows["side"] == side) & (rows["expected"] > 0)]
    levels: dict[int, int] = {}
    for bucket, amount in zip(own["bucket"].tolist(), own["expected"].tolist(), strict=True):
        levels[bucket] = levels.get(bucket, 0) + amount
    return levels


def copied(record: MarketRecord) -> MarketRecord:
    """Return an equal record that `add` can change without changing this one; maps are shared, for none is changed."""
    replace = msgspec.structs.replace
    return replace(
        record,
        stretches={
            hours: replace(
                stretch,
                executed_at=list(stretch.executed_at),
                predicted=list(stretch.predicted),
                executed=list(stretch.executed),
            )
            for hours, stretch in record.stretches.items()
        },
        rival=Rival(list(record.rival.executed), list(record.rival.squares)),
    )


def _count(stretch: Stretch, minute: ClosedMinute) -> None:
    stretch.minutes += 1
    stretch.known_minutes += minute.is_known
    for side in (0, 1):
        stretch.predicted[side] += minute.predicted[side]
        stretch.executed[side] += minute.executed[side]
    if math.isnan(minute.mark_low):
        return
    for side, (before, now) in enumerate(((stretch.low, minute.mark_low), (stretch.high, minute.mark_high))):
        if (side == 0 and now >= before) or (side == 1 and now <= before):
            continue
        amount = minute.executed[side]
        if amount and stretch.levels[0] | stretch.levels[1]:
            ground = _buckets(now, before, minute.grid_factor)
            executed_at = dict(stretch.executed_at[side])
            for bucket in ground.tolist():
                executed_at[bucket] = executed_at.get(bucket, 0.0) + amount / len(ground)
            stretch.executed_at[side] = executed_at
    stretch.low, stretch.high = min(stretch.low, minute.mark_low), max(stretch.high, minute.mark_high)


def _buckets(one: float, other: float, factor: int) -> IntArray:
    first, last = (int(bucket) for bucket in bucket_of([min(one, other), max(one, other)], factor))
    return np.arange(first, last + 1)


def _row(stretch: Stretch, hours: int, rival: Rival, minute: ClosedMinute, feed: LiquidationFeed) -> TrackRecord:
    moves = 100 * (1 - stretch.low / stretch.mark), 100 * (stretch.high / stretch.mark - 1)
    predicted = stretch.predicted if hours == 0 else [_traversed(stretch, side, minute.grid_factor) for side in (0, 1)]
    rates = [
        executed / squares if squares > 0 else 0.0
        for executed, squares in zip(rival.executed, rival.squares, strict=True)
    ]
    rivals = [estimate_micro_usd(rate * move**2) for rate, move in zip(rates, moves, strict=True)]
    place, kernel, weight = _place(stretch, minute.grid_factor) if hours else (math.nan, math.nan, 0.0)
    expected_minutes = _length(hours) // MINUTE_MS
    return TrackRecord(
        window_start=stretch.start,
        horizon_hours=hours,
        predicted_long_usd=predicted[0],
        predicted_short_usd=predicted[1],
        executed_long_usd=stretch.executed[0],
        executed_short_usd=stretch.executed[1],
        rival_long_usd=rivals[0],
        rival_short_usd=rivals[1],
        move_down=moves[0],
        move_up=moves[1],
        place_score=place,
        kernel_score=kernel,
        place_weight=weight,
        mark_price=stretch.mark,
        feed=feed.value,
        coverage=stretch.known_minutes / expected_minutes,
        warming_up=stretch.warming_up,
        model_version=minute.model_version,
        revision=minute.revision,
    )


def _traversed(stretch: Stretch, side: int, factor: int) -> int:
    """Return what the frozen map expected on the ground that price traversed, micro-USD."""
    end = stretch.low if side == 0 else stretch.high
    if end == stretch.mark:
        return 0
    levels = stretch.levels[side]
    return sum(levels.get(bucket, 0) for bucket in _buckets(end, stretch.mark, factor).tolist())


def _place(stretch: Stretch, factor: int) -> tuple[float, float, float]:
    """Return the score of the map and of distance alone, and their weight: the root of the executed USD judged."""
    total = map_sum = kernel_sum = 0.0
    for side, end in ((0, stretch.low), (1, stretch.high)):
        executed_at = stretch.executed_at[side]
        if not executed_at:
            continue
        ground = _buckets(end, stretch.mark, factor)
        levels = np.array([stretch.levels[side].get(bucket, 0) for bucket in ground.tolist()], dtype=np.float64)
        executed = np.array([executed_at.get(bucket, 0.0) for bucket in ground.tolist()])
        distance = np.abs(middle(ground, factor) / stretch.mark - 1) * 100
        map_sum += float((executed * _log_density(levels)).sum())
        kernel_sum += float((executed * _log_density(1 - np.exp(-distance / KERNEL_PERCENT))).sum())
        total += float(executed.sum())
    if total <= 0:
        return math.nan, math.nan, 0.0
    return map_sum / total, kernel_sum / total, math.sqrt(total / MICRO_USD_PER_USD)


def _log_density(weights: FloatArray) -> FloatArray:
    """Return the log of a density over the uniform one, of which a tenth is mixed in."""
    total = weights.sum()
    ratio = weights / total * len(weights) if total > 0 else np.ones(len(weights))
    return np.asarray(np.log((1 - UNIFORM_SHARE) * ratio + UNIFORM_SHARE), dtype=np.float64)


def _forget_and_learn(rival: Rival, stretch: Stretch, now: int) -> None:
    kept = 0.5 ** ((now - stretch.start) / HOUR_MS / RIVAL_HALF_LIFE_HOURS)
    moves = 100 * (1 - stretch.low / stretch.mark), 100 * (stretch.high / stretch.mark - 1)
    for side in (0, 1):
        rival.executed[side] = kept * rival.executed[side] + stretch.executed[side] / MICRO_USD_PER_USD
        rival.squares[side] = kept * rival.squares[side] + moves[side] ** 2
