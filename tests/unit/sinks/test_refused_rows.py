"""What others may write into the log by hand: odd dead letters, rows of next year, rows of an unknown venue."""

import io

import msgspec
import polars as pl
import pytest
from kafka import TopicPartition

from liqheat.domain.events import Contract, Liquidation, MarginTier, Position, to_batch
from liqheat.domain.market import Venue
from liqheat.platform.topics import Topic
from tests.support.sink_fakes import TIME_MS
from tests.unit.sinks.test_loop import house, liquidation


@pytest.mark.parametrize(
    ("headers", "time_ms"),
    [
        ({}, 2**62),
        ({}, 253_402_300_800_000),
        ({}, -1),
        ({"origin_partition": b"99999999999"}, TIME_MS),
        ({"origin_offset": b"9" * 25}, TIME_MS),
        ({"origin_offset": b"-7", "origin_partition": b"one"}, TIME_MS),
    ],
)
def test_a_dead_letter_that_others_wrote_oddly_is_stored_and_never_ends_the_sink(
    headers: dict[str, bytes], time_ms: int
) -> None:
    at = house()
    record = at.source.add(Topic.DEAD_LETTERS, value=b"odd")
    record.headers, record.timestamp = list(headers.items()), time_ms
    at.source.add(Topic.DEAD_LETTERS, value=b"plain")
    at.loop.step()
    at.step_after(1.0)
    odd, plain = at.database.rows("dead_letters_raw").to_dicts()
    assert (odd["value"], plain["value"]) == (b"odd", b"plain")
    assert (odd["origin_partition"], odd["origin_offset"]) == (-1, -1)
    # A time that has not come is not known: that of the sink counts.
    assert 0 < odd["received_at"].timestamp() * 1_000 <= at.clock.now_ms()


YEAR_MS = 365 * 86_400_000
FUTURE = {
    "contracts_raw": Contract(Venue.BINANCE, "TAO", "TAOUSDT", TIME_MS + YEAR_MS, "trading"),
    "margin_tiers_raw": MarginTier(Venue.BINANCE, "TAO", "TAOUSDT", TIME_MS + YEAR_MS, 1, 1, 0.0, 1e6, 50.0, 0.01, 0.0),
    "liquidations_raw": Liquidation(Venue.BINANCE, "TAO", "TAOUSDT", TIME_MS + 60_001, -1, 2.0, 3.0),
    "positions_observed_raw": Position(Venue.HYPERLIQUID, "TAO", "TAO", TIME_MS + YEAR_MS, "0xa", 1, 2.0, 3.0),
}


@pytest.mark.parametrize("table", FUTURE)
def test_a_row_of_next_year_is_refused_and_hides_no_true_one(table: str) -> None:
    at = house()
    early = FUTURE[table]
    true = msgspec.structs.replace(early, event_time=TIME_MS + 60_000)
    at.source.add(Topic.POSITION_EVENTS, to_batch([early]))
    at.source.add(Topic.POSITION_EVENTS, to_batch([true, early, true]))
    at.loop.step()
    at.step_after(1.0)
    times = at.database.rows(table)["event_time"].dt.timestamp("ms").to_list()
    assert times == [TIME_MS + 60_000] * 2
    reasons = [headers["reason"].decode() for headers, _ in at.dead_letters.sent]
    assert [reason.endswith("ahead of the broker's time, more than 60,000") for reason in reasons] == [True, True]
    buried = [pl.read_ipc_stream(io.BytesIO(value))["event_time"].to_list() for _, value in at.dead_letters.sent]
    assert buried == [[early.event_time], [early.event_time]]
    assert at.source.committed == {TopicPartition("position-events", 0): 2}


def test_a_clock_that_is_wrong_does_not_stop_the_sink() -> None:
    at = house(dead_letter_limit=3)
    for _ in range(10):
        at.source.add(Topic.POSITION_EVENTS, to_batch([FUTURE["contracts_raw"]]))
    at.loop.step()
    at.step_after(1.0)
    assert len(at.dead_letters.sent) == 10
    assert at.source.committed == {TopicPartition("position-events", 0): 10}


def test_rows_of_an_unknown_venue_are_a_dead_letter() -> None:
    at = house()
    record = at.source.add(Topic.POSITION_EVENTS, to_batch([liquidation()]))
    record.headers = [(name, b"ftx" if name == "venue" else value) for name, value in record.headers]
    at.loop.step()
    at.step_after(1.0)
    assert at.database.tables == {}
    assert [headers["reason"] for headers, _ in at.dead_letters.sent] == [b"Expected a known venue, was 'ftx'"]
