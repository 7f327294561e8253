"""Messages of many symbols: rows that are refused, buried or known already are left out, and only those."""

import asyncio
import io
import json
import math

import polars as pl
import pytest

from liqheat.domain.events import Batch, Kind
from liqheat.platform.codec import decode, encode
from liqheat.platform.topics import Topic
from processors.worker.checkpoint import Checkpoint
from tests.support.memory_log import NOW_MS, MemoryLog, home_of
from tests.support.tally_engine import REFUSED_PRICE
from tests.unit.processors.worker.test_driver import driver_of, trades, with_value


def rows_in(log: MemoryLog, symbol: str) -> int:
    """Return how many rows the checkpoint of `symbol` has."""
    return int(json.loads(Checkpoint.unpack(log.checkpoints[symbol]).state)[2])


def letter_values(log: MemoryLog) -> list[Batch]:
    """Return the dead letters' rows, read as messages of the kind and venue that they were of."""
    return [
        decode({name.removeprefix("original."): content for name, content in headers if "original." in name}, value)
        for topic, _, value, headers in log.sent
        if topic is Topic.DEAD_LETTERS
    ]


@pytest.mark.parametrize("lead", [60_001, 10**15])
async def test_of_rows_from_the_future_only_those_become_a_dead_letter(lead: int) -> None:
    log = MemoryLog()
    driver = driver_of(log)
    _, value = with_value("event_time", NOW_MS + lead)(*encode(trades()))
    headers, _ = encode(trades())
    await driver.handle([log.write_raw(0, value, headers)])
    await driver.checkpoint()
    (letter,) = log.letters()
    assert letter["reason"].decode() == f"An event is {lead:,} ms ahead of the broker's time, more than 60,000"
    (sent,) = [value for topic, _, value, _ in log.sent if topic is Topic.DEAD_LETTERS]
    assert pl.read_ipc_stream(io.BytesIO(sent or b""))["event_time"].to_list() == [NOW_MS + lead]
    assert rows_in(log, "FET") == 99
    assert log.committed(0) == 1


def two_symbols(price: float = 1.0) -> Batch:
    """Return four trades, two of each symbol, the third at `price`."""
    parts = [trades("FET", rows=2).frame, trades("TAO", rows=2).frame]
    parts[1] = parts[1].with_columns(price=pl.Series([price, 1.0]))
    return Batch(Kind.TRADES, "binance", pl.concat(parts))


async def test_rows_of_a_symbol_of_another_partition_become_a_dead_letter_and_the_rest_is_applied() -> None:
    log = MemoryLog(partitions=8)
    driver = driver_of(log)
    home = home_of("FET", 8)
    assert home_of("TAO", 8) != home
    headers, value = encode(two_symbols())
    await driver.handle([log.write_raw(home, value, headers)])
    await driver.checkpoint()
    (letter,) = log.letters()
    assert letter["reason"].decode() == f"TAO belongs to partition {home_of('TAO', 8)}, not {home}"
    assert [batch.symbols for batch in letter_values(log)] == [["TAO"]]
    assert rows_in(log, "FET") == 2
    assert "TAO" not in log.checkpoints


async def test_one_row_that_the_engine_refuses_is_buried_alone_and_its_neighbours_are_applied() -> None:
    log = MemoryLog()
    driver = driver_of(log)
    messages = [log.write(trades()), log.write(two_symbols(REFUSED_PRICE)), log.write(trades("TAO"))]
    await driver.handle(messages)
    await driver.checkpoint()
    (letter,) = log.letters()
    assert letter["reason"] == b"this engine takes no such price"
    assert [batch.frame["price"].to_list() for batch in letter_values(log)] == [[REFUSED_PRICE]]
    assert (rows_in(log, "FET"), rows_in(log, "TAO")) == (102, 101)
    assert log.committed(0) == 3


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("price", math.nan),
        ("price", math.inf),
        ("price", -math.inf),
        ("price", 0.0),
        ("price", 1e300),
        ("price", None),
        ("quantity", -1.0),
        ("event_time", -1),
        ("taker_side", 3),
        ("trade_id", None),
        ("instrument", None),
    ],
)
async def test_one_row_with_a_value_outside_its_unit_is_buried_alone_and_its_neighbours_are_applied(
    column: str, value: float | None
) -> None:
    log = MemoryLog()
    driver = driver_of(log)
    headers, _ = encode(two_symbols())
    frame = two_symbols().frame
    frame[2, column] = value
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer)
    await driver.handle([log.write(trades()), log.write_raw(0, buffer.getvalue(), headers), log.write(trades("TAO"))])
    await driver.checkpoint()
    (letter,) = log.letters()
    assert f"'{column}'" in letter["reason"].decode()
    (sent,) = [value for topic, _, value, _ in log.sent if topic is Topic.DEAD_LETTERS]
    assert pl.read_ipc_stream(io.BytesIO(sent or b"")).equals(frame[2])
    assert (rows_in(log, "FET"), rows_in(log, "TAO")) == (102, 101)
    assert log.committed(0) == 3


async def test_rows_that_one_symbol_has_already_are_left_out_for_that_symbol_alone() -> None:
    log = MemoryLog()
    first = driver_of(log)
    message = log.write(two_symbols())
    await first.handle([message])
    await first.checkpoint()
    del log.checkpoints["TAO"]
    second = driver_of(log)
    await second.handle([message])
    await second.checkpoint()
    assert (rows_in(log, "FET"), rows_in(log, "TAO")) == (2, 2)


async def test_the_group_goes_on_from_the_first_message_that_some_symbol_has_in_no_checkpoint() -> None:
    log = MemoryLog()
    driver = driver_of(log)
    await driver.handle([log.write(trades("FET")), log.write(trades("TAO"))])
    writing = asyncio.create_task(driver.checkpoint())
    for _ in range(3):
        await asyncio.sleep(0)
    # What comes while a checkpoint is written is not in it.
    await driver.handle([log.write(two_symbols())])
    await writing
    assert log.committed(0) == 2
    await driver.checkpoint()
    assert log.committed(0) == 3
