"""The conditions of a service put together: what the service says itself, its broker, database, clock and event loop.

Each command wraps its work in `watched`, so that every service answers for the same things in the same words.
"""

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from liqheat.platform.broker_watch import BrokerWatch, Reached
from liqheat.platform.clickhouse_watch import ClickHouseWatch
from liqheat.platform.clock import SystemClock
from liqheat.platform.clock_watch import JumpWatch
from liqheat.platform.health import Check, Condition, Conditions, HealthServer, Level
from liqheat.platform.settings import Kafka, Settings
from liqheat.platform.topics import Topic

BLOCKED_SECONDS = 60.0
"""An event loop that has not turned for so long will not turn again."""
SLOW_SECONDS = 8.0


class EventLoopBeat:
    """Whether the running event loop turns: it notes the time once per second."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._at = time.monotonic()
        self._timer = loop.call_soon(self._beat)

    def _beat(self) -> None:
        self._at = time.monotonic()
        self._timer = self._loop.call_later(1.0, self._beat)

    def stop(self) -> None:
        """Beat no more."""
        self._timer.cancel()

    def blocked(self) -> str | None:
        """Say that the loop is blocked for good."""
        return self._older_than(BLOCKED_SECONDS)

    def slow(self) -> str | None:
        """Say that the loop is held up."""
        return self._older_than(SLOW_SECONDS)

    def _older_than(self, limit: float) -> str | None:
        age = time.monotonic() - self._at
        return f"The event loop is blocked for {age:.0f} s" if age > limit else None


def broker_watch(
    kafka: Kafka, group: str | None, topics: Sequence[Topic], reached: Reached | None = None
) -> BrokerWatch:
    """Return the watch of a broker, and of the lag of `group` (without the prefix) on `topics` where one is given."""
    name = None if group is None else kafka.topic_prefix + group
    return BrokerWatch(kafka, name, [kafka.topic(topic) for topic in topics], reached=reached)


@contextmanager
def watched(
    settings: Settings,
    service: str,
    problem: Check,
    *,
    group: str | None = None,
    topics: Sequence[Topic] = (),
    reached: Reached | None = None,
    database: bool = False,
    more: Iterable[Condition] = (),
    broker: BrokerWatch | None = None,
) -> Iterator[HealthServer]:
    """Serve the health of `service` while the body runs; called on its event loop, that is watched too.

    Args:
        settings: where the broker and the database are, and where to listen.
        service: its name.
        problem: what the service says of itself.
        group: consumer group without the prefix, for its lag on `topics`.
        topics: what the group reads.
        reached: how far the service is, where it commits less often than it gets on.
        database: whether it needs ClickHouse.
        more: conditions of its own.
        broker: the watch of the broker and of `group`, where the service asks more of it; else one is made.

    Raises:
        ConfigurationError: the address to listen on is taken.
    """
    kafka = settings.kafka
    conditions = [Condition("service", problem, Level.READY), *more]
    with ExitStack() as stack:
        broker = stack.enter_context(broker or broker_watch(kafka, group, topics, reached))
        conditions.append(Condition("broker", broker.problem, Level.READY))
        if group is not None:
            conditions.append(Condition("lag", broker.lag))
        if database and settings.clickhouse.interface == "http":
            clickhouse = stack.enter_context(ClickHouseWatch(settings.clickhouse))
            conditions.append(Condition("clickhouse", clickhouse.problem, Level.READY))
        conditions.append(Condition("clock", JumpWatch(SystemClock()).problem))
        beat = _beat_of_running_loop()
        if beat is not None:
            stack.callback(beat.stop)
            conditions += [Condition("event loop", beat.blocked, Level.LIVE), Condition("pace", beat.slow)]
        server = HealthServer(service, Conditions(service, conditions), settings.service.host, settings.service.port)
        yield stack.enter_context(server)


def _beat_of_running_loop() -> EventLoopBeat | None:
    if threading.current_thread() is not threading.main_thread():
        return None
    try:
        return EventLoopBeat(asyncio.get_running_loop())
    except RuntimeError:
        return None
