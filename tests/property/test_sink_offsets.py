"""Whatever is refused, delayed or moved: no offset passes rows that are not stored, or in no rollup yet."""

import random

import polars as pl
import pytest
from kafka import TopicPartition

from liqheat.domain.events import to_batch
from liqheat.domain.windows import HOUR_MS, window_start
from liqheat.platform.topics import Topic
from sinks.clickhouse.rollup import MarketHour
from tests.support.sink_fakes import heatmap_batch
from tests.unit.sinks.test_loop import House, gap, house

HEATMAP, GAPS = TopicPartition("heatmap-buckets", 0), TopicPartition("gaps", 0)


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
