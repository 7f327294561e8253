"""The public record on a few minutes with a pencil: hours, frozen maps, place, and what is never rewritten."""

import math

import msgspec
import numpy as np
import pytest

from liqheat.domain.events import Kind
from liqheat.domain.heatmap import TrackRecord
from liqheat.domain.market import Side, Venue
from liqheat.domain.money import MAXIMUM_ESTIMATE_USD
from liqheat.domain.price_grid import bucket_of
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.codec import decode, encode
from processors.signals.book import ROW, Rows
from processors.signals.engine import to_batches
from processors.signals.track_record import ClosedMinute, MarketRecord, add, copied

MIDNIGHT = 1_767_225_600_000
MICRO = 1_000_000
FACTOR = 5
NAN = math.nan


def rows_of(levels: dict[float, float]) -> Rows:
    """Expected USD by price: longs below 100, shorts above."""
    rows = np.zeros(len(levels), dtype=ROW)
    for place, (price, usd) in enumerate(levels.items()):
        rows[place]["bucket"] = int(bucket_of([price], FACTOR)[0])
        rows[place]["expected"] = round(usd * MICRO)
        rows[place]["side"] = Side.LONG if price < 100 else Side.SHORT
    return rows


EMPTY = rows_of({})


def minute(number: int, low: float, high: float, **changes: object) -> ClosedMinute:
    """The minute that begins `number` minutes after midnight; nothing predicted, nothing executed."""
    usual = ClosedMinute(
        MIDNIGHT + number * MINUTE_MS, low, high, high, (0, 0), (0, 0), EMPTY, True, False, FACTOR, 2, number
    )
    return msgspec.structs.replace(usual, **changes)


def played(record: MarketRecord, *minutes: ClosedMinute, venue: Venue = Venue.BYBIT) -> list[TrackRecord]:
    return [row for each in minutes for row in add(record, each, venue)]


def hours_of(rows: list[TrackRecord], horizon: int) -> list[TrackRecord]:
    return [row for row in rows if row.horizon_hours == horizon]


def test_an_hour_sums_what_was_predicted_minute_by_minute_and_what_was_executed() -> None:
    record = MarketRecord()
    rows = played(
        record,
        minute(-1, 100.0, 100.0),
        minute(0, 99.0, 100.0, predicted=(7 * MICRO, 0), executed=(5 * MICRO, 0)),
        minute(30, 98.0, 102.0, predicted=(1 * MICRO, 2 * MICRO), executed=(0, 3 * MICRO), is_known=False),
        minute(60, 100.0, 100.0, executed=(99 * MICRO, 99 * MICRO)),
    )

    (row,) = hours_of(rows, 0)
    assert (row.window_start, row.mark_price) == (MIDNIGHT, 100.0)
    assert (row.predicted_long_usd, row.predicted_short_usd) == (8 * MICRO, 2 * MICRO)
    assert (row.executed_long_usd, row.executed_short_usd) == (5 * MICRO, 3 * MICRO)
    assert [row.move_down, row.move_up] == pytest.approx([2.0, 2.0])
    assert row.coverage == pytest.approx(1 / 60)
    assert math.isnan(row.place_score)
    assert (row.feed, row.model_version) == ("whole", 2)


def test_a_crash_after_flat_hours_stays_within_what_a_column_holds() -> None:
    """A stable coin: liquidations at a move of a millionth say anything of a fall by half."""
    record = MarketRecord()
    rows = played(
        record,
        minute(-1, 100.0, 100.0),
        minute(0, 99.9999, 100.0, executed=(10**12, 0)),
        minute(59, 100.0, 100.0),
        minute(60, 50.0, 100.0),
        minute(119, 100.0, 100.0),
        minute(120, 100.0, 100.0),
    )
    assert hours_of(rows, 0)[1].rival_long_usd == MAXIMUM_ESTIMATE_USD * MICRO
    (batch,) = to_batches([("USDC", (Kind.TRACK_RECORD, "bybit", row)) for row in rows])
    assert decode(*encode(batch)).frame.height == len(rows)


def test_the_rival_predicts_last_hours_liquidations_per_squared_move() -> None:
    record = MarketRecord()
    rows = played(
        record,
        minute(-1, 100.0, 100.0),
        minute(0, 98.0, 100.0, executed=(400 * MICRO, 0)),
        minute(59, 100.0, 100.0),
        minute(60, 99.0, 100.0),
        minute(119, 100.0, 100.0),
        minute(120, 100.0, 100.0),
    )

    # 400 USD for a fall by 2% are 100 per squared percent; the next hour falls by 1%.
    assert [row.rival_long_usd for row in hours_of(rows, 0)] == [0, 100 * MICRO]


def test_a_frozen_map_is_judged_by_the_ground_that_price_newly_traversed() -> None:
    # Longs expected at 99.3 and 98.1 (buckets of 0.25), nothing between; all is executed in the bucket of the heavier.
    frozen = rows_of({99.3: 100.0, 98.1: 300.0})
    record = MarketRecord()
    rows = played(
        record,
        minute(-1, 100.0, 100.0, rows=frozen),
        minute(1, 98.3, 100.0),
        minute(2, 98.1, 98.3, executed=(1_000 * MICRO, 0)),
        minute(3, 98.2, 99.0, executed=(50_000 * MICRO, 0)),
        minute(6 * 60, 99.0, 99.0),
    )

    (row,) = hours_of(rows, 6)
    # From 98.1 to 100 there are the buckets of 98.00, 98.25, ... and 100: nine; a uniform density gives each a ninth.
    ground = int(bucket_of([100.0], FACTOR)[0] - bucket_of([98.1], FACTOR)[0]) + 1
    half = [math.log(0.9 * weight * ground + 0.1) for weight in (0.75, 0.0)]
    assert row.predicted_long_usd == 400 * MICRO
    # Minute 2 went on from 98.3 to 98.1: two buckets. Minute 3 traversed nothing new and is not judged.
    assert row.place_score == pytest.approx(sum(half) / 2)
    assert row.place_weight == pytest.approx(math.sqrt(1_000))
    assert row.kernel_score > 0
    assert row.executed_long_usd == 51_000 * MICRO


def test_a_venue_that_publishes_no_liquidations_has_no_record() -> None:
    record = MarketRecord()
    assert played(record, minute(-1, 100.0, 100.0), minute(60, 100.0, 100.0), venue=Venue.HYPERLIQUID) == []
    assert record == MarketRecord()


def test_what_is_over_is_said_once_and_a_minute_again_changes_nothing() -> None:
    record = MarketRecord()
    first = played(
        record, minute(-1, 100.0, 100.0), minute(0, 99.0, 100.0, executed=(MICRO, 0)), minute(60, 99.0, 99.0)
    )
    again = played(record, minute(0, 90.0, 100.0, executed=(9 * MICRO, 0)), minute(60, 90.0, 99.0))

    assert len(hours_of(first, 0)) == 1
    assert again == []


def test_a_copy_goes_on_without_changing_the_original() -> None:
    record = MarketRecord()
    played(record, minute(-1, 100.0, 100.0, rows=rows_of({99.3: 1.0})), minute(0, 99.0, 100.0, executed=(MICRO, 0)))
    before = msgspec.msgpack.encode(record)
    other = copied(record)
    played(other, minute(5, 97.0, 100.0, executed=(MICRO, MICRO), predicted=(1, 1)), minute(60, 99.0, 99.0))

    assert msgspec.msgpack.encode(record) == before
    assert msgspec.msgpack.decode(before, type=MarketRecord) == record
