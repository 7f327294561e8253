"""From single events to Kafka: micro-batches by rows or age, one thread that delivers them, bounded waiting.

A message holds rows of one kind and venue, of all its symbols on one partition of the log. What a partition has
waiting is sealed together, so that no kind falls behind another: after `age` once there are enough rows for a message
to be worth its cost, after `quiet_age` at the latest.

The feed runner, the poller and the backfill add events on the event loop; kafka-python is synchronous and
lives in a thread of its own. What was added is delivered at least once: a batch that the broker did not take
is sent again until it does. When too many rows wait, `room` holds the callers up, and so the sockets.
"""

import asyncio
import math
import queue
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol

import structlog
from kafka.errors import KafkaError

from ingest.batching import STAGE, BatchPolicy, Job, Message, OpenRows, Place, SealedRows, messages_of
from liqheat.domain.events import KIND_OF, Event, Gap
from liqheat.platform import metrics
from liqheat.platform.errors import FatalError, Origin
from liqheat.platform.kafka import MAXIMUM_VALUE_BYTES, close_producer, dead_letter_headers
from liqheat.platform.partitions import partition_of
from liqheat.platform.settings import Kafka
from liqheat.platform.topics import Topic

log = structlog.get_logger(__name__)

_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)
GAP_PARTITION = 0
_STOP = None


class Delivery(Protocol):
    """The broker's answer to one message, to come."""

    def get(self, timeout: float | None = None) -> Any:
        """Wait for it; raises a `KafkaError` when the message was not taken."""


class Producer(Protocol):
    """What the publisher asks of kafka-python's `KafkaProducer`."""

    def send(self, topic: str, **message: Any) -> Delivery:
        """Queue one message (`value`, `headers`, `partition`)."""

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all queued messages are answered."""

    def close(self, timeout: float | None = None) -> None:
        """Free the connections."""


class Publisher:
    """Gathers events per kind, venue and partition and delivers them; an async context manager.

    On the way out it flushes: everything added before is delivered, or `FatalError` says how much was not.
    All methods but the thread's own belong to the event loop.
    """

    def __init__(
        self,
        producer: Producer,
        policy: BatchPolicy,
        close_seconds: float = 30.0,
        kafka: Kafka | None = None,
    ) -> None:
        """Take over `producer`; at the end it may spend `close_seconds` on delivering what is left.

        `kafka` says how topics are named on the cluster and how many partitions they have; the defaults without it.
        """
        kafka = kafka or Kafka()
        self._producer = producer
        self._name_of = kafka.topic
        self._partitions = kafka.partitions
        self._policy = policy
        self._close_seconds = close_seconds
        self._open: dict[Place, OpenRows] = {}
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._added = 0
        self._delivered_rows = 0
        self._undelivered_since: float | None = None
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

    @property
    def stalled(self) -> float:
        """For how many seconds nothing was delivered though rows are due; 0 while none waits longer than it may."""
        since = self._undelivered_since
        return 0.0 if since is None else max(0.0, self._loop.time() - since - self._policy.quiet_age)

    def add(self, event: Event) -> None:
        """Put one event into its batch. Never waits; the caller awaits `room` between frames."""
        place = self._place(event)
        waiting = self._open.get(place)
        if waiting is None:
            waiting = self._open[place] = OpenRows(self._loop.time())
        rows = waiting.kinds.get(type(event))
        if rows is None:
            rows = waiting.kinds[type(event)] = []
        rows.append(event)
        waiting.count += 1
        self._count(1)
        if len(rows) >= self._policy.rows:
            self._hand_over(place[1], waiting.kinds.pop(type(event)))
            waiting.count -= len(rows)

    def _count(self, rows: int) -> None:
        self._added += rows
        if self._undelivered_since is None:
            self._undelivered_since = self._loop.time()

    def _place(self, event: Event) -> Place:
        # Gaps go to a topic of one partition.
        is_gap = type(event) is Gap
        return event.venue, GAP_PARTITION if is_gap else partition_of(event.symbol, self._partitions)

    async def publish(self, events: Sequence[Event]) -> None:
        """Publish events at once, one message per kind and partition in the order of first rows, and await room.

        For rows that belong together: a margin-tier table, or a slice of history.
        """
        slices: dict[tuple[type, Place], list[Any]] = {}
        for event in events:
            slices.setdefault((type(event), self._place(event)), []).append(event)
        for (kind, place), rows in slices.items():
            waiting = self._open.get(place)
            if waiting is not None and (earlier := waiting.kinds.pop(kind, None)):
                waiting.count -= len(earlier)
                self._hand_over(place[1], earlier)
            self._count(len(rows))
            self._hand_over(place[1], rows)
        await self.room()

    def dead_letter(self, frame: bytes, reason: str, origin: Origin) -> None:
        """Give a raw frame up as poison: it goes to the dead letters with its reason, cut at Kafka's limit."""
        metrics.DEAD_LETTERS.labels(STAGE).inc()
        log.warning("A frame became a dead letter", reason=reason, origin=str(origin))
        self._count(1)
        self._jobs.put(
            Message(Topic.DEAD_LETTERS, None, dead_letter_headers(reason, origin, STAGE), frame[:MAXIMUM_VALUE_BYTES])
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
            self._seal_due(self._loop.time() - self._policy.quiet_age)
            self._gauge.set(self.waiting)

    def _seal_due(self, quiet_since: float) -> None:
        """Seal what is worth its messages, or has waited since `quiet_since` (s)."""
        due = [
            place
            for place, waiting in self._open.items()
            if waiting.count >= self._policy.worth_rows or waiting.opened <= quiet_since
        ]
        for place in due:
            for rows in self._open.pop(place).kinds.values():
                self._hand_over(place[1], rows)

    def _seal_all(self) -> None:
        self._seal_due(math.inf)

    def _hand_over(self, partition: int, rows: list[Any]) -> None:
        self._jobs.put(SealedRows(partition, rows))

    def _delivered(self, rows: int) -> None:
        self._delivered_rows += rows
        self._undelivered_since = self._loop.time() if self.waiting else None
        self._drained.set()

    def _failed(self, error: BaseException) -> None:
        self._failure = error
        self._drained.set()

    # The thread from here on.

    def _deliver(self) -> None:
        try:
            stopping = False
            while not stopping:
                jobs: list[Job] = []
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

    def _deliver_all(self, jobs: list[Job]) -> bool:
        """Deliver in order; False when asked to give up because the process ends."""
        messages = [message for job in jobs for message in messages_of(job)]
        attempt = 0
        while messages:
            messages = self._send(messages)
            if messages:
                pause = _RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]
                attempt += 1
                log.warning("Kafka did not take messages; they are sent again", count=len(messages), seconds=pause)
                if self._closing.wait(pause):
                    return False
        rows = sum(1 if isinstance(job, Message) else len(job.events) for job in jobs)
        for job in jobs:
            if not isinstance(job, Message):
                first = job.events[0]
                metrics.EVENTS_PUBLISHED.labels(first.venue.value, KIND_OF[type(first)].value).inc(len(job.events))
        self._call_loop(self._delivered, rows)
        return True

    def _send(self, messages: list[Message]) -> list[Message]:
        """Send messages and wait for the broker; return those that it did not take."""
        deliveries: list[tuple[Message, Delivery]] = []
        try:
            for message in messages:
                delivery = self._producer.send(
                    self._name_of(message.topic),
                    value=message.value,
                    headers=message.headers,
                    partition=message.partition,
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
