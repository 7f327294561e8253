"""Small messages that are alike are read and applied together: what is in a checkpoint, or refused, is still known."""

from collections.abc import Sequence

from processors.worker.driver import Driver
from processors.worker.reading import LogMessage
from tests.support.memory_log import NOW_MS, MemoryLog
from tests.support.tally_engine import REFUSED_PRICE, Tallies, TallyEngine
from tests.unit.processors.worker.test_driver import SETTINGS, trades

SYMBOLS = ("FET", "RNDR", "OCEAN")


def driver_of(log: MemoryLog) -> Driver[Tallies]:
    return Driver(TallyEngine(), SETTINGS, log, log.partitions)


def small_messages(log: MemoryLog, count: int) -> Sequence[LogMessage]:
    """Write messages of one to three trades of the symbols in turn."""
    begin = NOW_MS - 600_000
    return [
        log.write(trades(SYMBOLS[number % 3], begin + number * 5_000, rows=1 + number % 3)) for number in range(count)
    ]


async def test_a_bundle_of_small_messages_gives_what_they_give_one_by_one() -> None:
    together, alone = MemoryLog(), MemoryLog()
    await (first := driver_of(together)).handle(small_messages(together, 60))
    second = driver_of(alone)
    for message in small_messages(alone, 60):
        await second.handle([message])
    for driver in (first, second):
        await driver.checkpoint()
    assert together.checkpoints == alone.checkpoints
    assert together.done == alone.done == {0: 60}
    assert together.rows() == alone.rows()


async def test_a_bundle_that_checkpoints_cover_in_part_gives_each_row_once() -> None:
    log, straight = MemoryLog(), MemoryLog()
    messages = small_messages(log, 60)
    await (first := driver_of(log)).handle(messages[:40])
    await first.checkpoint()
    del log.checkpoints[SYMBOLS[1]]
    second = driver_of(log)
    await second.handle(messages)
    await second.checkpoint()
    await (other := driver_of(straight)).handle(small_messages(straight, 60))
    await other.checkpoint()
    assert log.checkpoints == straight.checkpoints
    assert log.rows() == straight.rows()


async def test_of_a_bundle_that_is_refused_only_the_refused_rows_are_buried() -> None:
    log = MemoryLog()
    messages = [*small_messages(log, 30)]
    odd = trades("FET", NOW_MS - 400_000, rows=2)
    odd.frame[1, "price"] = REFUSED_PRICE
    messages.append(log.write(odd))
    driver = driver_of(log)
    await driver.handle(messages)
    await driver.checkpoint()
    (letter,) = log.letters()
    assert b"no such price" in letter["reason"]
    assert log.done == {0: 31}
