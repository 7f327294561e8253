"""The sink's promises, with the clock in hand: batches, order of writing and committing, outages, poison."""

import io
import json
from dataclasses import dataclass
from itertools import pairwise

import polars as pl
import pytest
from kafka import TopicPartition

from liqheat.domain.events import Batch, Gap, Kind, Liquidation, Trade, to_batch
from liqheat.domain.market import Venue
from liqheat.platform.clock import ManualClock
from liqheat.platform.errors import DeadLetterLimitExceeded, Origin
from liqheat.platform.kafka import dead_letter_headers
from liqheat.platform.settings import Settings, Sink
from liqheat.platform.topics import Topic
from sinks.loop import SinkLoop
from tests.support.sink_fakes import (
    TIME_MS,
    MemoryDatabase,
    MemoryDeadLetters,
    MemorySource,
    heatmap_batch,
)

HEATMAP = TopicPartition(Topic.HEATMAP_BUCKETS.label, 0)
ROLLUP_INTERVAL = 15.0


@dataclass
class House:
    """A loop and everything around it."""

    loop: SinkLoop
    source: MemorySource
    database: MemoryDatabase
    dead_letters: MemoryDeadLetters
    clock: ManualClock

    def step_after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.loop.step()

    @property
    def steps(self) -> list[str]:
        return self.source.steps


def house(source: MemorySource | None = None, **sink: float) -> House:
    source = source or MemorySource()
    options = {"batch_rows": 10, "batch_age": 1.0, "rollup_interval": ROLLUP_INTERVAL, "dead_letter_limit": 3} | sink
    settings = Settings(sink=Sink.model_validate(options))
    database = MemoryDatabase(source.steps)
    dead_letters = MemoryDeadLetters(source.steps)
    clock = ManualClock()
    return House(SinkLoop(settings, source, database, dead_letters, clock), source, database, dead_letters, clock)


def gap(end: int = 5) -> Gap:
    return Gap(Venue.BINANCE, "TAO", "TAOUSDT", TIME_MS, TIME_MS + end, "trades", 3, "reconnected")


def liquidation() -> Liquidation:
    return Liquidation(Venue.BINANCE, "TAO", "TAOUSDT", TIME_MS, -1, 2.0, 3.0)


def test_rows_wait_for_their_batch_and_are_committed_only_when_stored() -> None:
    at = house()
    at.source.add(Topic.GAPS, to_batch([gap()]))
    at.loop.step()
    assert at.steps == []
    assert at.loop.waiting_rows == 1
    at.step_after(1.0)
    assert at.steps == ["insert gaps_raw", "commit"]
    assert at.source.committed == {TopicPartition("gaps", 0): 1}
    assert at.loop.waiting_rows == 0


def test_a_full_batch_does_not_wait() -> None:
    at = house(batch_rows=3)
    for _ in range(3):
        at.source.add(Topic.GAPS, to_batch([gap()]))
    at.loop.step()
    assert at.steps == ["insert gaps_raw", "commit"]


def test_an_outage_pauses_keeps_and_loses_nothing() -> None:
    at = house()
    at.source.add(Topic.GAPS, to_batch([gap()]))
    at.database.refusals = 3
    at.loop.step()
    at.step_after(1.0)
    assert at.steps == ["gaps_raw refused"]
    assert "too many parts" in str(at.loop.problem())
    # More arrives meanwhile, but is not read; the membership is kept alive by polling on.
    at.source.add(Topic.GAPS, to_batch([gap()]))
    at.step_after(0.5)
    assert at.steps[-1] == "poll while paused"
    assert at.loop.waiting_rows == 1
    for _ in range(2):
        at.step_after(5.0)
    assert at.steps.count("gaps_raw refused") == 3
    assert at.source.committed == {}
    at.step_after(5.0)
    assert at.steps[-3:] == ["insert gaps_raw", "resume", "commit"]
    assert at.loop.problem() is None
    at.loop.step()
    at.step_after(1.0)
    assert at.database.rows("gaps_raw").height == 2
    assert at.source.committed == {TopicPartition("gaps", 0): 2}


def test_tries_grow_apart_during_an_outage() -> None:
    at = house()
    at.source.add(Topic.GAPS, to_batch([gap()]))
    at.database.refusals = 10_000
    tries = []
    for second in range(200):
        before = len([step for step in at.steps if step == "gaps_raw refused"])
        at.step_after(1.0)
        if len([step for step in at.steps if step == "gaps_raw refused"]) > before:
            tries.append(second)
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    # With jitter, and in whole steps of a second: between half of the span and all of it.
    for pause, span in zip(pauses, [1, 2, 4, 8, 16, *[30] * len(pauses)], strict=False):
        assert span / 2 <= pause <= span + 1


def test_a_table_that_was_written_is_not_written_again_when_the_next_one_fails() -> None:
    at = house()
    at.source.add(Topic.GAPS, to_batch([gap()]))
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch())
    at.database.refused_tables = {"heatmap_levels_raw"}
    at.loop.step()
    at.step_after(1.0)
    at.database.refused_tables = set()
    at.step_after(5.0)
    assert [step for step in at.steps if "raw" in step] == [
        "insert gaps_raw",
        "heatmap_levels_raw refused",
        "insert heatmap_levels_raw",
    ]


def test_a_refused_commit_is_made_up_for_without_writing_again() -> None:
    at = house()
    at.source.add(Topic.GAPS, to_batch([gap()]))
    at.source.refused_commits = 1
    at.loop.step()
    at.step_after(1.0)
    at.source.add(Topic.GAPS, to_batch([gap()]))
    at.loop.step()
    at.step_after(1.0)
    assert at.steps == ["insert gaps_raw", "commit refused", "insert gaps_raw", "commit"]
    assert at.database.rows("gaps_raw").height == 2


def test_a_refused_commit_is_tried_again_where_no_message_comes() -> None:
    at = house()
    at.source.add(Topic.GAPS, to_batch([gap()]), value=b"bad")
    at.source.refused_commits = 2
    at.loop.step()
    for _ in range(4):
        at.step_after(1.0)
    assert at.steps == ["dead letters", "commit refused", "commit refused", "commit"]


def test_poison_becomes_a_dead_letter_before_its_offset_is_committed_and_the_rest_goes_on() -> None:
    at = house()
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch(), value=b"\x00garbage")
    at.source.add(Topic.GAPS, to_batch([gap()]))
    at.loop.step()
    at.step_after(1.0)
    assert at.steps == ["insert gaps_raw", "dead letters", "commit"]
    headers, value = at.dead_letters.sent[0]
    assert value == b"\x00garbage"
    assert b"Arrow" in headers["reason"]
    assert (headers["origin_topic"], headers["origin_offset"]) == (b"heatmap-buckets", b"0")
    assert headers["stage"] == b"sink"
    assert headers["original.venue"] == b"binance"
    assert at.source.committed == {HEATMAP: 1, TopicPartition("gaps", 0): 1}


def test_a_row_outside_its_unit_becomes_a_dead_letter_alone_and_its_neighbours_are_stored() -> None:
    at = house(dead_letter_limit=1)
    frame = to_batch([gap(), gap(), gap()]).frame.with_columns(end_time=pl.Series([1, -1, 60_000]))
    for _ in range(3):
        at.source.add(Topic.GAPS, Batch(Kind.GAPS, "binance", frame))
    at.loop.step()
    at.step_after(1.0)
    assert at.database.rows("gaps_raw").height == 6
    assert len(at.dead_letters.sent) == 3
    headers, value = at.dead_letters.sent[1]
    assert b"'end_time'" in headers["reason"]
    assert headers["origin_offset"] == b"1"
    assert pl.read_ipc_stream(io.BytesIO(value)).equals(frame[1])
    assert at.source.committed == {TopicPartition("gaps", 0): 3}


def test_a_kind_on_the_wrong_topic_is_poison() -> None:
    at = house()
    at.source.add(Topic.HEATMAP_BUCKETS, to_batch([gap()]))
    at.loop.step()
    at.step_after(1.0)
    assert b"does not belong on heatmap-buckets" in at.dead_letters.sent[0][0]["reason"]


def test_too_many_poison_messages_in_a_row_stop_the_sink_with_nothing_lost() -> None:
    at = house()
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch())
    for _ in range(3):
        at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch(), value=b"bad")
    with pytest.raises(DeadLetterLimitExceeded, match=r"3 messages in a row .* LIQHEAT_SINK__DEAD_LETTER_LIMIT"):
        at.loop.step()
    # All of it is stored and committed first: a restarted sink does not stop at the same messages again.
    assert at.steps == ["insert heatmap_levels_raw", "roll up", "dead letters", "commit"]
    assert len(at.dead_letters.sent) == 3
    assert at.source.committed == {HEATMAP: 4}


def test_what_an_older_version_left_on_a_topic_is_passed_over() -> None:
    at = house(dead_letter_limit=2)
    for kind in (b"heatmap_buckets", b"leverage_mix"):
        record = at.source.add(Topic.HEATMAP_BUCKETS, value=b"rows of version 1")
        record.headers = [("kind", kind)]
    at.loop.step()
    at.step_after(1.0)
    assert (at.steps, at.dead_letters.waiting) == (["commit"], [])
    assert at.source.committed == {HEATMAP: 2}


def test_a_good_message_begins_the_count_anew() -> None:
    at = house()
    for value in (b"bad", b"bad", None, b"bad", b"bad"):
        at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch(), value=value)
    at.loop.step()


def test_our_own_dead_letters_coming_back_do_not_hide_that_everything_is_poison() -> None:
    at = house()
    for _ in range(3):
        at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch(), value=b"bad")
        at.source.add(Topic.DEAD_LETTERS, value=b"bad")
    with pytest.raises(DeadLetterLimitExceeded):
        at.loop.step()


def test_dead_letters_of_every_stage_land_in_their_table_byte_for_byte() -> None:
    at = house()
    record = at.source.add(Topic.DEAD_LETTERS, value=b"\xff\x00")
    record.headers = dead_letter_headers("not JSON", Origin("trades"), "ingest", {"symbol": b"TAO"})
    at.source.add(Topic.DEAD_LETTERS, value=b"no headers at all")
    at.loop.step()
    at.step_after(1.0)
    first, second = at.database.rows("dead_letters_raw").to_dicts()
    assert (first["reason"], first["stage"], first["origin_topic"]) == ("not JSON", "ingest", "trades")
    assert (first["origin_offset"], first["sequence"]) == (-1, 0)
    assert json.loads(first["headers"]) == {"symbol": "TAO"}
    assert first["value"] == b"\xff\x00"
    assert (second["reason"], second["sequence"], second["value"]) == ("none given", 1, b"no headers at all")


def test_of_the_position_events_only_stored_kinds_are_read() -> None:
    at = house()
    at.source.add(Topic.POSITION_EVENTS, to_batch([Trade(Venue.OKX, "TAO", "T", TIME_MS, 1.0, 1.0, 1)]))
    at.source.add(Topic.POSITION_EVENTS, to_batch([liquidation(), liquidation()]))
    at.source.add(Topic.POSITION_EVENTS, value=b"the processors judge what cannot be distinguished")
    at.loop.step()
    at.step_after(1.0)
    assert list(at.database.tables) == ["liquidations_raw"]
    rows = at.database.rows("liquidations_raw")
    assert rows["side"].to_list() == ["short", "short"]
    assert rows["occurrence"].to_list() == [0, 1]
    assert at.dead_letters.sent == []
    assert at.source.committed == {TopicPartition("position-events", 0): 3}


def test_partitions_that_are_taken_away_have_all_written_and_committed_in_the_next_step() -> None:
    at = house()
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch())
    at.loop.step()
    at.loop.partitions_moved()
    assert at.steps == []
    at.loop.step()
    assert at.steps == ["insert heatmap_levels_raw", "roll up", "commit"]


def test_what_cannot_be_written_when_partitions_move_is_kept_and_written_later() -> None:
    at = house()
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch())
    at.loop.step()
    at.database.refusals = 1
    at.loop.partitions_moved()
    at.loop.step()
    # These partitions may have stayed here, read on from where they were: what was forgotten now would be lost.
    assert (at.loop.waiting_rows, at.source.committed) == (1, {})
    at.step_after(600.0)
    assert at.database.rows("heatmap_levels_raw").height == 1
    assert at.source.committed


def test_the_end_leaves_everything_written_and_committed() -> None:
    at = house()
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch())
    at.loop.step()
    assert at.loop.finish()
    assert at.steps == ["insert heatmap_levels_raw", "roll up", "commit"]


def test_what_cannot_be_written_at_the_end_is_left_to_the_next_reader() -> None:
    at = house()
    at.source.add(Topic.HEATMAP_BUCKETS, heatmap_batch())
    at.loop.step()
    at.database.refusals = 1
    assert not at.loop.finish()
    assert at.loop.waiting_rows == 0
    assert at.source.committed == {}
    heir = house(at.source.restarted())
    heir.loop.step()
    assert heir.loop.finish()
    assert heir.database.rows("heatmap_levels_raw").height == 1


def test_health_notices_a_loop_that_hangs() -> None:
    at = house()
    at.loop.step()
    at.clock.advance(300)
    assert "not polled" in str(at.loop.problem())
