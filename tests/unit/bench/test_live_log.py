"""The log that catching up is timed on: paced by virtual time, with the rows that it says it has."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from liqheat.domain.events import Event, Kind, Mark, OpenInterest, Trade
from liqheat.platform.settings import Ingest, Kafka
from tests.bench.market import live_log, virtual_time
from tests.bench.market.live_log import START, LogShape, listed, steps
from tests.support.kept_messages import KeptMessages

LONGEST_WAIT = Ingest().batch_quiet_age + Ingest().batch_age
"""Seconds that a row waits for its message at most."""


def test_virtual_time_jumps_over_sleeps_in_their_order() -> None:
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *seconds: float) -> None:
        for each in seconds:
            await asyncio.sleep(each)
            woken.append((name, asyncio.get_running_loop().time()))

    async def both() -> None:
        await asyncio.gather(sleeper("hourly", 3_600), sleeper("often", 0.25, 0.25, 7_200))

    started = time.monotonic()
    virtual_time.run(both())
    assert time.monotonic() - started < 1.0
    assert woken == [("often", 0.25), ("often", 0.5), ("hourly", 3_600.0), ("often", 7_200.5)]


def test_virtual_time_waits_for_other_threads_without_moving() -> None:
    async def answered() -> float:
        await asyncio.to_thread(time.sleep, 0.05)
        return asyncio.get_running_loop().time()

    assert virtual_time.run(answered()) == 0.0


def test_the_log_has_as_many_rows_per_market_and_minute_as_it_says() -> None:
    shape = LogShape(markets=80, minutes=5)
    events: Sequence[Event] = [event for step in steps(shape, listed(shape)) for event in step]
    rows = Counter((type(event), event.instrument, event.venue) for event in events)
    marks = [count for (kind, *_), count in rows.items() if kind is Mark]
    trades = [count for (kind, *_), count in rows.items() if kind is Trade]
    assert marks == [12 * 5] * 80
    assert len(trades) == 80
    assert sum(trades) == pytest.approx(80 * 30 * 5, rel=0.03)
    assert sum(count for (kind, *_), count in rows.items() if kind is OpenInterest) == 80 * 4 * 5
    for name in {event.instrument for event in events}:
        times = [event.event_time for event in events if event.instrument == name and isinstance(event, Trade)]
        assert times == sorted(times)
    assert min(event.event_time for event in events) >= START
    assert max(event.event_time for event in events) < START + 5 * 60_000


def test_the_real_publisher_gathers_the_log_as_it_would_live() -> None:
    producer, shape = KeptMessages(), LogShape(markets=40, minutes=2)
    started = time.monotonic()
    rows = live_log.write(Kafka(), shape, producer)
    assert time.monotonic() - started < 60.0, "two minutes of log are not waited for"
    assert sum(batch.frame.height for batch in producer.batches()) == rows
    assert {topic for topic, _ in producer.messages} == {"position-events"}
    trades = [batch.frame for batch in producer.batches() if batch.kind is Kind.TRADES]
    assert sum(frame.height for frame in trades) == pytest.approx(40 * 30 * 2, rel=0.1)
    # Gathered by age: no message spans more than the publisher's longest wait and a step.
    longest = max(int(frame["event_time"].max()) - int(frame["event_time"].min()) for frame in trades)  # type: ignore[arg-type]
    assert 0 < longest <= 1_000 * LONGEST_WAIT + 200
    assert max(frame.height for frame in trades) < 500, "and none was full"
