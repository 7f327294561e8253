"""Rolled up some symbols at a time: rows are stored between, and no offset passes rows that are in no rollup yet."""

from collections.abc import Iterable

from kafka import TopicPartition

from liqheat.platform.topics import Topic
from sinks.clickhouse.rollup import SYMBOLS_AT_ONCE, MarketHour
from tests.support.sink_fakes import heatmap_batch, hour
from tests.unit.sinks.test_loop import ROLLUP_INTERVAL, House, house

HEATMAP, GAPS = TopicPartition("heatmap-buckets", 0), TopicPartition("gaps", 0)


def test_offsets_wait_for_the_rollup_of_the_hours_that_their_rows_touched() -> None:
    at = house()
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch(59))
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch(60))
    at.loop.step()
    at.step_after(1.0)
    assert at.steps == ["insert heatmap_levels_raw"]
    at.step_after(ROLLUP_INTERVAL)
    assert at.steps == ["insert heatmap_levels_raw", "roll up", "commit"]
    assert at.database.rolled_up == [{hour("TAO", 0), hour("TAO", 1)}]
    assert at.source.committed == {HEATMAP: 2}


def test_what_is_stored_is_progress_before_it_is_rolled_up_and_committed() -> None:
    at = house()
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch(59))
    at.loop.step()
    assert at.loop.stored() == {}
    at.step_after(1.0)
    assert (at.loop.stored(), at.source.committed) == ({HEATMAP: 1}, {})
    at.database.refusals = 1
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch(60))
    at.loop.step()
    at.step_after(1.0)
    assert at.loop.stored() == {HEATMAP: 1}
    # Partitions that move may come back from where they were committed.
    at.clock.advance(60.0)
    at.loop.partitions_moved()
    at.loop.step()
    assert (at.loop.stored(), at.source.committed) == ({}, {HEATMAP: 2})


def slow_down_rollups(at: House, seconds: float) -> None:
    roll_up = at.database.roll_up

    def slowly(hours: Iterable[MarketHour]) -> None:
        at.clock.advance(seconds)
        roll_up(hours)

    at.database.roll_up = slowly  # type: ignore[method-assign]


def test_rollups_that_take_long_rest_longer() -> None:
    """A whole market takes a minute to roll up; rolled up every quarter of a minute, nothing else would be done."""
    at = house()
    slow_down_rollups(at, 10.0)
    for _ in range(40):
        at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch())
        at.step_after(ROLLUP_INTERVAL)
    # In 600 s: one of 10 s after 30 s, and each next one 200 s after rows have come again.
    assert at.steps.count("roll up") == 3


def test_a_database_that_stood_still_in_a_rollup_does_not_put_off_the_next_for_hours() -> None:
    at = house()
    slow_down_rollups(at, 600.0)
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch())
    at.loop.step()
    at.step_after(ROLLUP_INTERVAL)
    assert at.steps.count("commit") == 1
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch())
    at.loop.step()
    at.step_after(300.0)
    assert at.steps.count("commit") == 2


def many(at: House, symbols: int) -> None:
    for number in range(symbols):
        at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch(symbol=f"COIN{number}"))


def test_a_rollup_of_many_symbols_lets_rows_be_stored_between_its_slices() -> None:
    at = house(batch_rows=1_000)
    many(at, 2 * SYMBOLS_AT_ONCE + 1)
    at.loop.step()
    at.step_after(1.0)
    at.steps.clear()

    at.step_after(ROLLUP_INTERVAL)
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch(symbol="LATER"))
    at.step_after(0.5)
    at.step_after(0.4)
    assert at.steps == ["roll up", "roll up", "roll up", "commit"]
    # What was read after the round had begun is not stored yet, and neither committed.
    assert at.source.committed == {HEATMAP: 2 * SYMBOLS_AT_ONCE + 1}
    at.step_after(0.7)
    at.step_after(ROLLUP_INTERVAL)
    assert at.steps[4:] == ["insert heatmap_levels_raw", "roll up", "commit"]
    assert at.source.committed == {HEATMAP: 2 * SYMBOLS_AT_ONCE + 2}
    assert sorted(len(hours) for hours in at.database.rolled_up) == [1, 1, SYMBOLS_AT_ONCE, SYMBOLS_AT_ONCE]


def test_a_slice_that_fails_is_tried_again_and_only_it() -> None:
    at = house(batch_rows=1_000)
    many(at, 2 * SYMBOLS_AT_ONCE)
    at.loop.step()
    at.step_after(1.0)
    at.step_after(ROLLUP_INTERVAL)
    at.database.refusals = 1
    at.loop.step()
    assert at.steps[-1] == "rollup refused"
    assert at.source.committed == {}
    for _ in range(3):
        at.step_after(1.0)
    assert at.source.committed == {HEATMAP: 2 * SYMBOLS_AT_ONCE}
    assert [len(hours) for hours in at.database.rolled_up] == [SYMBOLS_AT_ONCE] * 2


def test_the_end_of_a_sink_rolls_everything_up() -> None:
    at = house(batch_rows=1_000)
    many(at, 3 * SYMBOLS_AT_ONCE)
    at.loop.step()
    at.step_after(ROLLUP_INTERVAL + 1.0)
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch(symbol="LATER"))
    at.loop.step()
    assert at.loop.finish()
    assert at.source.committed == {HEATMAP: 3 * SYMBOLS_AT_ONCE + 1}
    assert {hour.symbol for hours in at.database.rolled_up for hour in hours} >= {"LATER", "COIN0", "COIN149"}
