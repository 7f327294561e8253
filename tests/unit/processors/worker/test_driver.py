"""The driver's order of doing things, and everything that makes a dead letter or stops it."""

import asyncio
import json
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.platform.codec import Headers, encode, rows_of
from liqheat.platform.codec_blocks import blocks_of
from liqheat.platform.errors import DeadLetterLimitExceeded, FatalError
from liqheat.platform.settings import Engine as EngineSettings
from liqheat.platform.topics import Topic
from processors.worker import checkpoint
from processors.worker.checkpoint import Checkpoint
from processors.worker.driver import Driver
from tests.support.memory_log import NOW_MS, MemoryLog
from tests.support.tally_engine import Tallies, TallyEngine

SETTINGS = EngineSettings(dead_letter_limit=3)


def trades(symbol: str = "FET", start: int = NOW_MS - 600_000, rows: int = 100, step: int = 1_000) -> Batch:
    columns = {
        "event_time": start + np.arange(rows) * step,
        "price": np.linspace(1.0, 1.1, rows),
        "quantity": np.full(rows, 10.0),
        "taker_side": np.ones(rows, dtype=np.int8),
        "trade_id": np.full(rows, -1),
    }
    return Batch.of_market(
        Kind.TRADES, "binance", symbol, symbol, pl.DataFrame(columns, schema=schema_of(Kind.TRADES).polars)
    )


def driver_of(log: MemoryLog, settings: EngineSettings = SETTINGS) -> Driver[Tallies]:
    return Driver(TallyEngine(), settings, log, log.partitions)


async def test_outputs_are_delivered_before_the_checkpoint_and_acknowledged_after_it() -> None:
    log = MemoryLog()
    driver = driver_of(log)
    await driver.handle([log.write(trades())])
    assert not log.checkpoints
    assert not log.done
    await driver.checkpoint()
    assert log.steps == ["deliver heatmap-buckets", "save FET", "go on from 1"]


async def test_a_quiet_symbol_is_not_written_again() -> None:
    log = MemoryLog()
    driver = driver_of(log)
    await driver.handle([log.write(trades())])
    await driver.checkpoint()
    await driver.checkpoint()
    assert log.steps.count("save FET") == 1


async def test_a_message_that_its_checkpoint_covers_changes_nothing() -> None:
    log = MemoryLog()
    await (first := driver_of(log)).handle([log.write(trades())])
    await first.checkpoint()
    saved = dict(log.checkpoints)
    second = driver_of(log)
    await second.handle([log.messages[0][0]])
    await second.checkpoint()
    assert log.checkpoints == saved
    assert log.steps[-1] == "go on from 1"


async def test_open_windows_are_published_once_a_change_and_for_symbols_taken_over() -> None:
    log = MemoryLog()
    driver = driver_of(log)
    await driver.handle([log.write(trades(rows=1))])
    await driver.publish_open_windows()
    await driver.publish_open_windows()
    await driver.checkpoint()
    assert log.steps.count("deliver heatmap-buckets") == 1
    successor = driver_of(log)
    successor.take_over(log.recovered())
    await successor.publish_open_windows()
    await successor.checkpoint()
    assert log.steps.count("deliver heatmap-buckets") == 2


async def test_an_output_too_large_for_a_message_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.worker.parts.CELLS", 3)
    monkeypatch.setattr("processors.worker.parts.ROWS", 3)
    log = MemoryLog()
    driver = driver_of(log)
    await driver.handle([log.write(trades(rows=400))])
    await driver.publish_open_windows()
    await driver.checkpoint()
    assert log.steps.count("deliver heatmap-buckets") > 3
    opened = list(schema_of(Kind.HEATMAP_LEVELS).wire).index("opened_usd")
    assert sum(sum(row[opened]) for row in log.rows().values()) == pytest.approx(400 * 10.5e6, rel=0.01)


def truncated(headers: Headers, value: bytes) -> tuple[Headers, bytes]:
    return headers, value[: len(value) // 2]


def with_header(name: str, content: bytes | None) -> Callable[[Headers, bytes], tuple[Headers, bytes]]:
    def change(headers: Headers, value: bytes) -> tuple[Headers, bytes]:
        kept = [(key, text) for key, text in headers if key != name]
        return (kept, value) if content is None else ([*kept, (name, content)], value)

    return change


def with_value(column: str, content: float) -> Callable[[Headers, bytes], tuple[Headers, bytes]]:
    def change(_: Headers, __: bytes) -> tuple[Headers, bytes]:
        batch = trades()
        dtype = batch.frame.schema[column]
        changed = batch.frame.with_columns(
            pl.when(pl.int_range(pl.len()) == 7)
            .then(pl.lit(content))
            .otherwise(pl.col(column))
            .cast(dtype)
            .alias(column)
        )
        return encode(Batch(Kind.TRADES, "binance", changed))

    return change


def with_no_price(_: Headers, __: bytes) -> tuple[Headers, bytes]:
    return encode(Batch(Kind.TRADES, "binance", trades().frame.with_columns(price=pl.lit(float("nan")))))


def huge(_: Headers, __: bytes) -> tuple[Headers, bytes]:
    return encode(trades(rows=200_001, step=0))


def output_kind(_: Headers, __: bytes) -> tuple[Headers, bytes]:
    engine = TallyEngine()
    state = engine.new_state(SETTINGS)
    engine.apply(state, blocks_of([rows_of(trades())]))
    return encode(engine.snapshot(state)[0])


def refused_by_engine(_: Headers, __: bytes) -> tuple[Headers, bytes]:
    names = schema_of(Kind.MARGIN_TIERS).polars
    columns = {name: [1.0] for name in names} | {"event_time": [NOW_MS], "tier": [1], "tiers": [1]}
    return encode(Batch.of_market(Kind.MARGIN_TIERS, "binance", "FET", "FET", pl.DataFrame(columns, schema=names)))


POISON: dict[str, tuple[Callable[[Headers, bytes], tuple[Headers, bytes | None]], str]] = {
    "empty": (lambda headers, _: (headers, None), "empty"),
    "truncated": (truncated, "Arrow"),
    "huge": (huge, "rows"),
    "nan in every row": (with_no_price, "nan"),
    "unknown kind": (with_header("kind", b"gossip"), "gossip"),
    "output kind": (output_kind, "position event"),
    "missing header": (with_header("venue", None), "'venue' is missing"),
    "old message without its symbol": (with_header("schema_version", b"1"), "'symbol' is missing"),
    "no text in header": (with_header("venue", b"\xff\xfe"), "not text"),
    "unknown venue": (with_header("venue", b"mtgox"), "mtgox"),
    "refused by the engine": (refused_by_engine, "no tiers"),
}


@pytest.mark.parametrize("name", POISON)
async def test_poison_becomes_a_dead_letter_with_reason_and_origin_and_the_rest_goes_on(name: str) -> None:
    change, reason = POISON[name]
    log = MemoryLog()
    driver = driver_of(log)
    await driver.handle([log.write(trades())])
    headers, value = change(*encode(trades()))
    await driver.handle([log.write_raw(0, value, headers)])
    await driver.handle([log.write(trades(start=NOW_MS - 300_000))])
    await driver.checkpoint()
    (letter,) = log.letters()
    assert reason in letter["reason"].decode()
    assert (letter["origin_topic"], letter["origin_offset"]) == (b"position-events", b"1")
    assert [value for topic, _, value, _ in log.sent if topic is Topic.DEAD_LETTERS] == [value]
    assert log.committed(0) == 3
    assert json.loads(Checkpoint.unpack(log.checkpoints["FET"]).state)[2] == 200


async def test_as_many_poison_messages_in_a_row_as_the_limit_stop_it_with_their_letters_sent() -> None:
    log = MemoryLog()
    driver = driver_of(log)
    await driver.handle([log.write_raw(0, b"rubbish", None)])
    await driver.handle([log.write_raw(0, b"rubbish", None)])
    await driver.handle([log.write(trades())])
    await driver.handle([log.write_raw(0, b"rubbish", None)])
    await driver.handle([log.write_raw(0, b"rubbish", None)])
    with pytest.raises(DeadLetterLimitExceeded, match=r"3 messages in a row .* position-events\[0\]@5"):
        await driver.handle([log.write_raw(0, b"rubbish", None)])
    assert len(log.letters()) == 5


async def test_messages_ahead_of_their_turn_wait_until_those_before_them_have_come_again() -> None:
    log = MemoryLog()
    messages = [log.write(trades(start=NOW_MS - 600_000 + number)) for number in range(6)]
    driver = driver_of(log)
    for number in (0, 3, 4, 2, 3, 4, 1, 2, 3, 4, 5):
        await driver.handle([messages[number]])
    await driver.checkpoint()
    assert [step for step in log.steps if "rewind" in step] == ["rewind 1"] * 2
    assert json.loads(Checkpoint.unpack(log.checkpoints["FET"]).state)[2] == 600
    assert log.committed(0) == 6


async def test_the_first_message_after_an_assignment_must_be_the_committed_one() -> None:
    log = MemoryLog()
    messages = [log.write(trades()) for _ in range(3)]
    driver = driver_of(log)
    for number in (2, 0, 1, 2):
        await driver.handle([messages[number]])
    await driver.checkpoint()
    assert log.steps[0] == "rewind 0"
    assert json.loads(Checkpoint.unpack(log.checkpoints["FET"]).state)[2] == 300


async def test_messages_missed_at_the_end_of_the_log_are_asked_for_while_nothing_comes() -> None:
    log = MemoryLog()
    messages = [log.write(trades()) for _ in range(3)]
    driver = driver_of(log)
    await driver.ask_for_missed({0, 1}, {})
    assert log.steps == ["rewind 0"], "the other partition is empty"
    for message in messages:
        await driver.handle([message])
    await driver.ask_for_missed({0, 1}, {})
    await driver.checkpoint()
    assert [step for step in log.steps if "rewind" in step] == ["rewind 0"]
    assert json.loads(Checkpoint.unpack(log.checkpoints["FET"]).state)[2] == 300


async def test_messages_of_a_partition_that_the_client_does_not_fetch_are_asked_for_by_the_brokers_word() -> None:
    log = MemoryLog()
    driver = driver_of(log)
    await driver.ask_for_missed({0, 1}, {})
    assert log.steps == []
    await driver.ask_for_missed({0, 1}, {0: 7, 1: 0})
    assert log.steps == ["rewind 0"]


async def test_what_never_comes_is_not_asked_for_without_end() -> None:
    log = MemoryLog()
    log.write(trades())
    driver = driver_of(log)
    for _ in range(30):
        await driver.ask_for_missed({0}, {})
    assert log.steps == ["rewind 0"] * 10


async def test_what_the_log_no_longer_holds_is_passed_over_once_it_was_asked_for_again() -> None:
    log = MemoryLog()
    messages = [log.write(trades()) for _ in range(5)]
    driver = driver_of(log)
    for number in (0, *(2, 3) * 11, 4):
        await driver.handle([messages[number]])
    await driver.checkpoint()
    assert log.steps[:10] == ["rewind 1"] * 10
    assert json.loads(Checkpoint.unpack(log.checkpoints["FET"]).state)[2] == 400


async def test_no_checkpoint_falls_between_a_message_and_its_outputs() -> None:
    log = MemoryLog()
    driver = driver_of(log)
    handling = asyncio.create_task(driver.handle([log.write(trades())]))
    for _ in range(3):
        await asyncio.sleep(0)
    await driver.checkpoint()
    await handling
    assert log.steps[:2] == ["deliver heatmap-buckets", "save FET"]


async def test_a_log_that_was_created_again_stops_it_instead_of_being_skipped() -> None:
    old = MemoryLog()
    first = driver_of(old)
    await first.handle([old.write(trades())])
    await first.handle([old.write(trades())])
    await first.checkpoint()
    again = MemoryLog(checkpoints=old.checkpoints)
    with pytest.raises(FatalError, match="created again"):
        await driver_of(again).handle([again.write(trades())])


async def test_another_partition_count_stops_it() -> None:
    log = MemoryLog(checkpoints={"FET": Checkpoint(3, 17, b"").pack("FET")})
    with pytest.raises(FatalError, match="partition count was changed"):
        await driver_of(log).handle([log.write(trades())])


async def test_a_state_over_the_limit_stops_it_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "MAXIMUM_STATE_BYTES", 1_100)
    log = MemoryLog()
    driver = driver_of(log)
    await driver.handle([log.write(trades(rows=50))])
    with pytest.raises(FatalError, match="engine state of FET is"):
        await driver.checkpoint()
