"""What the driver says it has spent, from which the worker reckons its next pause: never the wait for a broker."""

import asyncio
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

import pytest

from liqheat.platform.codec import Headers
from liqheat.platform.topics import Topic
from processors.worker import driver as driving
from processors.worker import saving
from processors.worker.driver import Driver
from processors.worker.engine import Engine
from tests.support.memory_log import MemoryLog
from tests.support.tally_engine import Tallies, TallyEngine
from tests.unit.processors.worker.test_driver import SETTINGS, trades

OUTAGE = 600.0
WORK = 0.25


class DeadBroker(MemoryLog):
    """A log that takes ten minutes to take a message: the driver waits with the partition in its hands."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    async def send(self, topic: Topic, value: bytes | None, headers: Headers, partition: int | None) -> Awaitable[Any]:
        sent = await super().send(topic, value, headers, partition)
        self.now += OUTAGE
        return sent


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> DeadBroker:
    log = DeadBroker()
    for module in (driving, saving):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: log.now))
    return log


def slow_engine(log: DeadBroker) -> Engine[Tallies]:
    class Slow(TallyEngine):
        def dump(self, state: Tallies, symbol: str) -> bytes:
            log.now += WORK
            return super().dump(state, symbol)

        def snapshot(self, state: Tallies, symbols: Any = None) -> Any:
            log.now += WORK
            return super().snapshot(state, symbols)

    return Slow()


async def test_a_checkpoint_that_waited_for_its_partition_says_what_it_took_itself(log: DeadBroker) -> None:
    driver = Driver(slow_engine(log), SETTINGS, log, log.partitions)
    handling = asyncio.create_task(driver.handle([log.write(trades())]))
    for _ in range(3):
        await asyncio.sleep(0)
    assert await driver.checkpoint() == WORK
    await handling
    assert log.now > OUTAGE


async def test_open_windows_that_waited_for_the_producer_say_what_they_took_themselves(log: DeadBroker) -> None:
    driver = Driver(slow_engine(log), SETTINGS, log, log.partitions)
    await driver.handle([log.write(trades())])
    before = log.now
    assert await driver.publish_open_windows(everything=True) == WORK
    assert log.now >= before + OUTAGE
