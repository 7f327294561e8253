"""However often and wherever a worker dies, the heatmap is that of a worker that never died."""

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from liqheat.platform.settings import Engine as EngineSettings
from processors.worker.driver import Driver
from tests.support.log_maker import make_log
from tests.support.memory_log import MemoryLog, Message
from tests.support.tally_engine import TallyEngine

SETTINGS = EngineSettings()
LOG = [batch for batch in make_log(symbols=3, minutes=4, trades_a_minute=24) if batch.kind.value != "margin_tiers"]


def fresh_log() -> MemoryLog:
    log = MemoryLog(partitions=2)
    for batch in LOG:
        log.write(batch)
    return log


def bundles(messages: list[Message], life: random.Random) -> list[list[Message]]:
    """Return messages in bundles of one partition each, as a worker is given them."""
    made: list[list[Message]] = []
    for message in messages:
        if made and made[-1][-1].partition == message.partition and life.random() < 0.6:
            made[-1].append(message)
        else:
            made.append([message])
    return made


async def live(log: MemoryLog, life: random.Random, steps: int | None) -> None:
    """Work off the log, checkpointing and publishing at odd moments; die without a word after `steps` messages."""
    driver = Driver(TallyEngine(), SETTINGS, log, log.partitions)
    driver.take_over(log.recovered())
    for number, messages in enumerate(bundles(log.pending(), life)):
        if number == steps:
            break
        await driver.handle(messages)
        if life.random() < 0.3:
            await driver.checkpoint()
        if life.random() < 0.2:
            await driver.publish_open_windows()
    if steps is not None:
        # Dying in the middle of a checkpoint: some of its steps are done, the rest never.
        last = asyncio.create_task(driver.checkpoint())
        for _ in range(life.randrange(9)):
            await asyncio.sleep(0)
        log.lose_connection()
        last.cancel()
        await asyncio.gather(last, return_exceptions=True)
        return
    await driver.publish_open_windows()
    await driver.checkpoint()


async def uninterrupted() -> MemoryLog:
    log = fresh_log()
    await live(log, random.Random(0), None)
    return log


EXPECTED = asyncio.run(uninterrupted())


@given(lives=st.lists(st.integers(0, 25), max_size=8), seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_any_crashes_give_the_rows_of_an_uninterrupted_run(lives: list[int], seed: int) -> None:
    log, life = fresh_log(), random.Random(seed)

    async def all_lives() -> None:
        for steps in lives:
            await live(log, life, steps)
        await live(log, life, None)

    asyncio.run(all_lives())
    assert log.rows() == EXPECTED.rows()
    assert log.checkpoints == EXPECTED.checkpoints
    assert not log.pending()


def test_reading_the_whole_log_a_second_time_changes_nothing() -> None:
    log = fresh_log()
    asyncio.run(live(log, random.Random(3), None))
    rows, checkpoints = log.rows(), dict(log.checkpoints)
    log.done.clear()
    asyncio.run(live(log, random.Random(4), None))
    assert log.rows() == rows
    assert log.checkpoints == checkpoints
