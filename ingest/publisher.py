"""From single events to Kafka: micro-batches by rows or age, one thread that delivers them, bounded waiting.

The feed runner, the poller and the backfill add events on the event loop; kafka-python is synchronous and
lives in a thread of its own. What was added is delivered at least once: a batch that the broker did not take
is sent again until it does. When too many rows wait, `room` holds the callers up, and so the sockets.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import structlog
from kafka.errors import KafkaError

from liqheat.domain.events import KIND_OF, Event, Kind, to_batch
from liqheat.domain.market import Venue
from liqheat.platform import codec, metrics
from liqheat.platform.errors import FatalError, Origin
from liqheat.platform.kafka import MAXIMUM_MESSAGE_BYTES, close_producer, dead_letter_headers
from liqheat.platform.settings import Ingest, Kafka
from liqheat.platform.topics import Topic

log = structlog.get_logger(__name__)

STAGE = "ingest"
# Room for headers, key and Kafka's own framing.
_VALUE_LIMIT = MAXIMUM_MESSAGE_BYTES - 50_000
_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)


class Delivery(Protocol):
    """The broker's answer to one message, to come."""

    def get(self, timeout: float | None = None) -> Any:
        """Wait for it; raises a `KafkaError` when the message was not taken."""


class Producer(Protocol):
    """What the publisher asks of kafka-python's `KafkaProducer`."""

    def send(self, topic: str, **message: Any) -> Delivery:
        """Queue one message (`value`, `key`, `headers`)."""

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all queued messages are answered."""

    def close(self, timeout: float | None = None) -> None:
        """Free the connections."""


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """When a batch is full: at `rows`, or `age` seconds after the last round; `queue_rows` may wait in all."""

    rows: int = 500
    age: float = 0.25
    queue_rows: int = 50_000

    @classmethod
    def of(cls, settings: Ingest) -> "BatchPolicy":
        """Read the policy from the settings."""
        return cls(settings.batch_rows, settings.batch_age, settings.queue_rows)


@dataclass(frozen=True, slots=True)
class _Message:
    topic: Topic
    key: bytes | None
    headers: codec.Headers
    value: bytes


_Key = tuple[type, Venue, str, str]
_Job = list[Any] | _Message
_STOP = None


class Publisher:
    """Gathers events per (kind, venue, symbol) and delivers them; an async context manager.

    On the way out it flushes: everything added before is delivered, or `FatalError` says how much was not.
    All methods but the thread's own belong to the event loop.
    """

    def __init__(
        self,
        producer: Producer,
        policy: BatchPolicy,
        close_seconds: float = 30.0,
        name_of: Callable[[Topic], str] | None = None,
    ) -> None:
        """Take over `producer`; at the end it may spend `close_seconds` on delivering what is left.

        `name_of` gives a topic's name on the cluster, the plain one by default.
        """
        self._producer = producer
        self._name_of = name_of or Kafka().topic
        self._policy = policy
        self._close_seconds = close_seconds
        self._open: dict[_Key, list[Any]] = {}
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._added = 0
        self._delivered_rows = 0
        self._drained = asyncio.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._deliver, name="publisher", daemon=True)
        self._failure: BaseException | None = None
        self._gauge = metrics.QUEUE_ROWS.labels("publisher")

    async def __aenter__(self) -> "Publisher":
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        self._timer = asyncio.create_task(self._seal_by_age(), name="publisher age")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._seal_all()
        self._jobs.put(_STOP)
        await asyncio.to_thread(self._thread.join, self._close_seconds)
        self._closing.set()
        await asyncio.to_thread(self._thread.join, 5.0)
        await asyncio.to_thread(close_producer, self._producer, 5.0)
        if self.waiting and error is None:
            raise FatalError(f"{self.waiting} rows could not be delivered to Kafka before the end")

    @property
    def waiting(self) -> int:
        """Rows added and not yet delivered."""
        return self._added - self._delivered_rows

    def add(self, event: Event) -> None:
        """Put one event into its batch. Never waits; the caller awaits `room` between frames."""
        key = (type(event), event.venue, event.symbol, event.instrument)
        rows = self._open.get(key)
        if rows is None:
            rows = self._open[key] = []
        rows.append(event)
        self._added += 1
        if len(rows) >= self._policy.rows:
            self._hand_over(self._open.pop(key))

    async def publish(self, events: Sequence[Event]) -> None:
        """Publish events at once, one batch a kind and symbol in the order of first rows, and await room.

        For rows that belong together: a margin-tier table, or a slice of history.
        """
        slices: dict[_Key, list[Any]] = {}
        for event in events:
            slices.setdefault((type(event), event.venue, event.symbol, event.instrument), []).append(event)
        for key, rows in slices.items():
            if earlier := self._open.pop(key, None):
                self._hand_over(earlier)
            self._added += len(rows)
            self._hand_over(rows)
        await self.room()

    def dead_letter(self, frame: bytes, reason: str, origin: Origin) -> None:
        """Give a raw frame up as poison: it goes to the dead letters with its reason, cut at Kafka's limit."""
        metrics.DEAD_LETTERS.labels(STAGE).inc()
        log.warning("A frame became a dead letter", reason=reason, origin=str(origin))
        self._added += 1
        self._jobs.put(
            _Message(Topic.DEAD_LETTERS, None, dead_letter_headers(reason, origin, STAGE), frame[:_VALUE_LIMIT])
        )

    async def room(self) -> None:
        """Wait until fewer than `queue_rows` rows wait.

        Raises:
            FatalError: the delivering thread has died.
        """
        while self.waiting >= self._policy.queue_rows and self._failure is None:
            await self._wait_for_delivery()
        self._check()

    async def flush(self) -> None:
        """Wait until everything added so far is delivered.

        Raises:
            FatalError: the delivering thread has died.
        """
        target = self._added
        while self._delivered_rows < target and self._failure is None:
            await self._wait_for_delivery()
        self._check()

    async def _wait_for_delivery(self) -> None:
        self._seal_all()
        self._drained.clear()
        await self._drained.wait()

    def _check(self) -> None:
        if self._failure is not None:
            raise FatalError(f"Publishing to Kafka failed: {self._failure}") from self._failure

    async def _seal_by_age(self) -> None:
        while True:
            await asyncio.sleep(self._policy.age)
            self._seal_all()
            self._gauge.set(self.waiting)

    def _seal_all(self) -> None:
        batches, self._open = self._open, {}
        for rows in batches.values():
            self._hand_over(rows)

    def _hand_over(self, rows: list[Any]) -> None:
        self._jobs.put(rows)

    def _delivered(self, rows: int) -> None:
        self._delivered_rows += rows
        self._drained.set()

    def _failed(self, error: BaseException) -> None:
        self._failure = error
        self._drained.set()

    # The thread from here on.

    def _deliver(self) -> None:
        try:
            stopping = False
            while not stopping:
                jobs: list[_Job] = []
                job = self._jobs.get()
                while job is not _STOP:
                    jobs.append(job)
                    if self._jobs.empty():
                        break
                    job = self._jobs.get()
                stopping = job is _STOP
                if not self._deliver_all(jobs):
                    return
        except BaseException as error:  # noqa: BLE001 - whatever ends the thread has to reach the event loop
            self._call_loop(self._failed, error)

    def _deliver_all(self, jobs: list[_Job]) -> bool:
        """Deliver in order; False when told to give up because the process ends."""
        messages = [message for job in jobs for message in _messages_of(job)]
        attempt = 0
        while messages:
            messages = self._send(messages)
            if messages:
                pause = _RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]
                attempt += 1
                log.warning("Kafka did not take messages; they are sent again", count=len(messages), seconds=pause)
                if self._closing.wait(pause):
                    return False
        rows = sum(1 if isinstance(job, _Message) else len(job) for job in jobs)
        for job in jobs:
            if not isinstance(job, _Message):
                metrics.EVENTS_PUBLISHED.labels(job[0].venue.value, KIND_OF[type(job[0])].value).inc(len(job))
        self._call_loop(self._delivered, rows)
        return True

    def _send(self, messages: list[_Message]) -> list[_Message]:
        """Send messages and wait for the broker; return those that it did not take."""
        deliveries: list[tuple[_Message, Delivery]] = []
        try:
            for message in messages:
                delivery = self._producer.send(
                    self._name_of(message.topic), value=message.value, key=message.key, headers=message.headers
                )
                deliveries.append((message, delivery))
            self._producer.flush()
        except KafkaError as error:
            log.warning("Kafka is out of reach", error=str(error))
        refused = []
        for message, delivery in deliveries:
            if _is_taken(delivery):
                metrics.MESSAGES_PUBLISHED.labels(message.topic.label).inc()
            else:
                refused.append(message)
        return refused + messages[len(deliveries) :]

    def _call_loop(self, call: Any, argument: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(call, argument)
        except RuntimeError:
            # The event loop is gone: nobody waits for the answer.
            log.warning("Delivered after the event loop had closed")


def _is_taken(delivery: Delivery) -> bool:
    try:
        delivery.get(timeout=60.0)
    except KafkaError as error:
        log.warning("Kafka refused a message", error=str(error))
        return False
    return True


def _messages_of(job: _Job) -> Iterable[_Message]:
    if isinstance(job, _Message):
        return [job]
    batch = to_batch(job)
    headers, value = codec.encode(batch)
    if len(value) > _VALUE_LIMIT and len(job) > 1:
        middle = len(job) // 2
        return [*_messages_of(job[:middle]), *_messages_of(job[middle:])]
    topic = Topic.GAPS if batch.kind is Kind.GAPS else Topic.POSITION_EVENTS
    return [_Message(topic, batch.symbol.encode(), headers, value)]
