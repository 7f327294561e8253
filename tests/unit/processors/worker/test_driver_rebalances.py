"""The driver while partitions come and go: what is published, saved and committed of them, and what is not."""

import asyncio

import pytest

from processors.worker.checkpoint import Checkpoint
from processors.worker.deaths import is_mark
from tests.support.memory_log import MemoryLog, home_of
from tests.unit.processors.worker.test_driver import driver_of, trades


def one_symbol_per_partition(count: int) -> list[str]:
    """Return symbols of different partitions of four."""
    homes = {home_of(symbol, 4): symbol for symbol in map("COIN{}".format, range(32))}
    return list(homes.values())[:count]


async def test_a_revoked_partition_is_forgotten_as_a_whole_even_in_the_middle_of_a_checkpoint() -> None:
    log = MemoryLog()
    driver = driver_of(log)
    await driver.handle([log.write(trades())])
    writing = asyncio.create_task(driver.checkpoint())
    await asyncio.sleep(0)
    driver.drop([0])
    await writing
    assert not log.done
    await driver.checkpoint()
    assert not log.done


async def test_a_partition_that_is_handed_over_has_its_open_windows_published_and_no_other() -> None:
    log = MemoryLog()
    driver = driver_of(log)
    await driver.handle([log.write(trades(rows=1))])
    await driver.hand_over(driver.drop([1]))
    assert "deliver heatmap-buckets" not in log.steps
    await driver.hand_over(driver.drop([0]))
    await asyncio.gather(*log.on_their_way)
    assert log.steps.count("deliver heatmap-buckets") == 1


class SlowMarks(MemoryLog):
    """Has a mark of a life only once `written` is set."""

    written = asyncio.Event()

    async def save(self, symbol: str, partition: int, packed: bytes) -> None:
        if is_mark(symbol):
            await self.written.wait()
        await super().save(symbol, partition, packed)


async def test_a_checkpoint_does_not_go_past_messages_that_wait_to_be_applied() -> None:
    log = SlowMarks()
    log.written.set()
    await driver_of(log).handle([log.write(trades())])
    driver = driver_of(log)
    await driver.handle([log.messages[0][0]])
    # After a life that did not end well each message waits for a mark; a checkpoint comes before it.
    log.written.clear()
    publishing = asyncio.create_task(driver.publish_open_windows())
    await asyncio.sleep(0)
    saving = asyncio.create_task(driver.checkpoint())
    await asyncio.sleep(0)
    handling = asyncio.create_task(driver.handle([log.write(trades())]))
    await saving
    assert (log.committed(0), Checkpoint.unpack(log.checkpoints["FET"]).applied_offset) == (1, 0)
    log.written.set()
    await asyncio.gather(publishing, handling)
    await driver.checkpoint()
    assert (log.committed(0), Checkpoint.unpack(log.checkpoints["FET"]).applied_offset) == (2, 1)


@pytest.mark.parametrize("work", ["checkpoint", "publish_open_windows", "end"])
async def test_partitions_may_come_and_go_while_the_driver_walks_over_them(work: str) -> None:
    log = MemoryLog(partitions=4)
    driver = driver_of(log)
    first, second, later = (log.write(trades(symbol)) for symbol in one_symbol_per_partition(3))
    await driver.handle([first])
    await driver.handle([second])
    walking = asyncio.create_task(getattr(driver, work)())
    await asyncio.sleep(0)
    await driver.handle([later])
    driver.drop([second.partition])
    await walking
