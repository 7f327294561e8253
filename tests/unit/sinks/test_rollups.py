"""Rolled up some symbols at a time: rows are stored between, and no offset passes rows that are in no rollup yet."""

import random
from collections.abc import Iterable

import polars as pl
import pytest
from kafka import TopicPartition

from liqheat.domain.events import to_batch
from liqheat.domain.windows import HOUR_MS, window_start
from liqheat.platform.topics import Topic
from sinks.clickhouse.rollup import SYMBOLS_AT_ONCE, MarketHour
from tests.support.sink_fakes import heatmap_batch, hour
from tests.unit.sinks.test_loop import ROLLUP_INTERVAL, House, gap, house

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


def test_rollups_that_take_long_rest_longer() -> None:
    """A whole market takes a minute to roll up; rolled up every quarter of a minute, nothing else would be done."""
    at = house()
    roll_up = at.database.roll_up

    def slowly(hours: Iterable[MarketHour]) -> None:
        at.clock.advance(10.0)
        roll_up(hours)

    at.database.roll_up = slowly  # type: ignore[method-assign]
    for _ in range(40):
        at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch())
        at.step_after(ROLLUP_INTERVAL)
    # In 600 s: one of 10 s after 30 s, and each next one 200 s after rows have come again.
    assert at.steps.count("roll up") == 3


def test_a_database_that_stood_still_in_a_rollup_does_not_put_off_the_next_for_hours() -> None:
    at = house()
    roll_up = at.database.roll_up

    def stalled(hours: Iterable[MarketHour]) -> None:
        at.clock.advance(600.0)
        roll_up(hours)

    at.database.roll_up = stalled  # type: ignore[method-assign]
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


def revisions_of(rows: pl.DataFrame) -> list[int]:
    """Return the revisions of stored rows, without the version of the model above them."""
    return [int(revision) & 0xFFFF_FFFF_FFFF for revision in rows["revision"]]


def stored_and_waiting(at: House) -> tuple[set[int], set[int]]:
    """Return the revisions of the stored rows, and of those that no rollup has read since."""
    inserted, rolled_up = iter(at.database.tables.get("heatmap_levels_raw", [])), iter(at.database.rolled_up)
    stored: set[int] = set()
    waiting: set[tuple[MarketHour, int]] = set()
    for step in at.database.steps:
        if step == "insert heatmap_levels_raw":
            rows = next(inserted)
            starts = [window_start(int(start.timestamp() * 1_000), HOUR_MS) for start in rows["window_start"]]
            hours = [MarketHour(symbol, start) for symbol, start in zip(rows["symbol"], starts, strict=True)]
            stored.update(revisions_of(rows))
            waiting.update(zip(hours, revisions_of(rows), strict=True))
        elif step == "roll up":
            read = next(rolled_up)
            waiting = {(hour, revision) for hour, revision in waiting if hour not in read}
    return stored, {revision for _, revision in waiting}


@pytest.mark.parametrize("seed", range(6))
def test_no_offset_passes_rows_that_are_not_stored_or_in_no_rollup(seed: int) -> None:
    dice = random.Random(seed)
    at = house(batch_rows=60)
    sent = 0
    for _ in range(100):
        for _ in range(dice.choice([0, 0, 1, 40])):
            sent += 1
            batch = heatmap_batch(dice.randrange(90), symbol=f"COIN{dice.randrange(130)}", revision=sent)
            at.source.add(Topic.HEATMAP_BUCKETS, batch)
        if dice.random() < 0.2:
            at.source.add(Topic.GAPS, to_batch([gap(end=len(at.source.records))]))
        at.database.refusals = dice.choice([0, 0, 0, 0, 1])
        at.source.refused_commits = dice.choice([0, 0, 0, 1])
        if dice.random() < 0.02:
            at.loop.partitions_moved()
        at.step_after(dice.choice([0.0, 0.1, 0.6, 3.0, 20.0]))

        stored, waiting = stored_and_waiting(at)
        committed = set(range(1, at.source.committed.get(HEATMAP, 0) + 1))
        assert committed <= stored
        assert not committed & waiting
        gaps = sum(frame.height for frame in at.database.tables.get("gaps_raw", []))
        assert at.source.committed.get(GAPS, 0) <= gaps
    at.database.refusals = at.source.refused_commits = 0
    at.clock.advance(100.0)
    assert at.loop.finish()
    assert at.source.committed.get(HEATMAP, 0) == sent
