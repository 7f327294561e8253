"""The sink's loop: messages to batches, batches to tables, and only then offsets to Kafka.

    poll -> decode -> gather by table -> insert -> (roll up touched hours) -> dead letters out -> commit

Offsets are committed once their rows are stored *and* the hours that they touch are rolled up, so a sink killed
anywhere reads the same messages again; rows are absolute and keyed, so writing them again changes nothing. While
the database refuses rows, partitions are paused and what was read is kept: memory holds one batch and one poll.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import polars as pl
import structlog
from kafka.errors import KafkaError

from liqheat.domain.events import Batch, Kind
from liqheat.platform import metrics
from liqheat.platform.clock import Clock
from liqheat.platform.codec import decode
from liqheat.platform.errors import DeadLetterLimitExceeded, Origin, PoisonMessage, TransientError
from liqheat.platform.kafka import dead_letter_headers
from liqheat.platform.settings import Settings
from liqheat.platform.topics import Topic
from sinks.batch import BatchPolicy, BatchState
from sinks.clickhouse.rollup import MarketHour, hours_of
from sinks.clickhouse.tables import DEAD_LETTERS_TABLE, TABLES, TOPICS, dead_letter_rows, rows_of_all

log = structlog.get_logger()

STAGE = "sink"
POLL_MESSAGES = 100
"""Most messages taken in one poll: with the broker's limit on message size, what a full batch may overshoot by."""
LONGEST_DELAY = 30.0
SILENCE_LIMIT = 120.0

Partition = Any
"""kafka-python's `TopicPartition`; the package ships no types."""


class Message(Protocol):
    """One record as kafka-python hands it out."""

    @property
    def topic(self) -> str:
        """Name of its topic on the broker."""

    @property
    def partition(self) -> int:
        """Number of its partition."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """When it was written, ms."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Kind, version, venue, symbol and instrument; see `liqheat.platform.codec`."""

    @property
    def value(self) -> bytes | None:
        """The batch."""


class Source(Protocol):
    """Where messages come from: a Kafka consumer, reduced to what the loop needs."""

    def poll(self, timeout: float, limit: int) -> Mapping[Partition, Sequence[Message]]:
        """Return new messages of partitions that are not paused, after at most `timeout` seconds."""

    def pause(self) -> None:
        """Hand out nothing more of the partitions now held, but stay alive in the group."""

    def resume(self) -> None:
        """Hand out again."""

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Remember the next offset to read of each partition; may raise `KafkaError`."""


class DeadLetterOutput(Protocol):
    """Where unreadable messages go."""

    def add(self, headers: Sequence[tuple[str, bytes]], value: bytes) -> None:
        """Take one dead letter."""

    def flush(self) -> None:
        """Return once all are on the broker; raise `TransientError` and keep the rest otherwise."""


class Database(Protocol):
    """Where rows go."""

    def insert(self, table: str, frames: Sequence[pl.DataFrame]) -> int:
        """Store the rows of `frames` in `table`; raise `TransientError` to be asked again with the same rows."""

    def roll_up(self, hours: Iterable[MarketHour]) -> None:
        """Bring the rollups of `hours`, and of the days that hold them, up to date."""


class SinkLoop:
    """One consumer's state; driven by `step`, from one thread."""

    def __init__(
        self, settings: Settings, source: Source, database: Database, dead_letters: DeadLetterOutput, clock: Clock
    ) -> None:
        self._source = source
        self._database = database
        self._dead_letters = dead_letters
        self._clock = clock
        self._limit = settings.sink.dead_letter_limit
        self._topics: dict[str, Topic] = {settings.kafka.topic(topic): topic for topic in TOPICS}
        self._batch = BatchState(BatchPolicy(settings.sink.batch_rows, settings.sink.batch_age))
        # A rollup is due by age alone: nothing is gathered for it but the names of hours.
        self._rollup = BatchState(BatchPolicy(1 << 62, settings.sink.rollup_interval))
        self._read: dict[Kind, list[tuple[Batch, Origin]]] = {}
        self._letters: list[pl.DataFrame] = []
        self._hours: set[MarketHour] = set()
        self._next_offsets: dict[Partition, int] = {}
        self._poison_in_a_row = 0
        self._attempts = 0
        self._retry_at = 0.0
        self._failing_since: float | None = None
        self._failure = ""
        self._moved = False
        self._last_step = clock.monotonic()

    @property
    def waiting_rows(self) -> int:
        """Rows read but not stored yet."""
        stored_later = sum(batch.frame.height for read in self._read.values() for batch, _ in read)
        return stored_later + sum(letter.height for letter in self._letters)

    def problem(self) -> str | None:
        """Say what is wrong, for the health endpoint; None while all is well. Callable from any thread."""
        now = self._clock.monotonic()
        if self._failing_since is not None:
            return f"No rows stored for {now - self._failing_since:.0f} s: {self._failure}"
        if now - self._last_step > SILENCE_LIMIT:
            return f"The sink has not polled for {now - self._last_step:.0f} s"
        return None

    def step(self, wait: float = 1.0) -> None:
        """Poll once, and write what is due; return after about `wait` seconds at most.

        Raises:
            DeadLetterLimitExceeded: too many messages in a row were unreadable.
            FatalError: the database will never take these rows.
        """
        now = self._last_step = self._clock.monotonic()
        if self._failing_since is None:
            timeout = min(wait, self._batch.remaining(now))
        else:
            # Polling on keeps the membership of the group; paused partitions hand out nothing.
            self._source.pause()
            timeout = min(wait, max(0.0, self._retry_at - now))
        for partition, messages in self._source.poll(timeout, POLL_MESSAGES).items():
            for message in messages:
                self._take(message)
                self._next_offsets[partition] = message.offset + 1
                if self._batch.due(self._clock.monotonic()):
                    self._write()
        now = self._clock.monotonic()
        if self._moved:
            self._moved = False
            self._write(final=True)
        elif self._batch.due(now) or self._rollup.due(now):
            self._write()
        metrics.QUEUE_ROWS.labels(STAGE).set(self.waiting_rows)

    def partitions_moved(self) -> None:
        """Have the next step write and commit what was read, for others may read it again from where that was done.

        Called by the thread of the client's that does its network, which may neither write nor wait for a commit.
        Nothing is forgotten: partitions that stay here are read on from where they were.
        """
        self._moved = True

    def finish(self) -> bool:
        """Write everything and commit, in one try; return whether that worked.

        Called before the end. What could not be written was not committed either, so whoever reads these
        partitions next writes it.
        """
        done = self._write(final=True)
        if not done:
            log.warning("rows left for the next reader", rows=self.waiting_rows, reason=self._failure)
        self._read.clear()
        self._letters.clear()
        self._hours.clear()
        self._next_offsets.clear()
        self._batch.clear()
        self._rollup.clear()
        self._recovered()
        return done

    def _take(self, message: Message) -> None:
        topic = self._topics[message.topic]
        origin = Origin(message.topic, message.partition, message.offset)
        metrics.MESSAGES_CONSUMED.labels(topic.label).inc()
        if topic is Topic.DEAD_LETTERS:
            # Neither good nor poison: our own dead letters come by here, and must not reset the count of those.
            frame = dead_letter_rows(message.headers, message.value or b"", origin, message.timestamp)
            self._letters.append(frame)
            self._batch.add(frame.height, self._clock.monotonic())
            return
        headers = dict(message.headers)
        if topic is Topic.POSITION_EVENTS and headers.get("kind") not in _STORED_EVENTS:
            self._batch.add(0, self._clock.monotonic())
            return
        try:
            batch = decode(headers, message.value)
            table = TABLES.get(batch.kind)
            if table is None or table.topic is not topic:
                raise PoisonMessage(f"The kind {batch.kind.value} does not belong on {topic.label}")
        except PoisonMessage as error:
            self._bury(message, headers, error.reason, origin)
            return
        self._poison_in_a_row = 0
        metrics.ROWS_CONSUMED.labels(batch.kind.value).inc(batch.frame.height)
        if table.rolled_up:
            self._hours |= hours_of(batch)
            self._rollup.add(batch.frame.height, self._clock.monotonic())
        self._read.setdefault(batch.kind, []).append((batch, origin))
        self._batch.add(batch.frame.height, self._clock.monotonic())

    def _bury(self, message: Message, headers: Mapping[str, bytes], reason: str, origin: Origin) -> None:
        self._dead_letters.add(dead_letter_headers(reason, origin, STAGE, headers), message.value or b"")
        self._batch.add(0, self._clock.monotonic())
        metrics.DEAD_LETTERS.labels(STAGE).inc()
        self._poison_in_a_row += 1
        log.warning("dead letter", reason=reason, origin=str(origin), in_a_row=self._poison_in_a_row)
        if self._poison_in_a_row >= self._limit:
            self._dead_letters.flush()
            raise DeadLetterLimitExceeded(
                f"{self._poison_in_a_row} messages in a row were unreadable, the last one {origin}: {reason}. "
                "Something upstream is broken; see the view dead_letters"
            )

    def _write(self, final: bool = False) -> bool:
        """Insert, roll up where due, commit; return whether everything due was done."""
        now = self._clock.monotonic()
        if not final and now < self._retry_at:
            return False
        step = ""
        try:
            for kind in list(self._read):
                step = TABLES[kind].name
                self._database.insert(step, [rows_of_all(self._read[kind])])
                del self._read[kind]
            if self._letters:
                step = DEAD_LETTERS_TABLE
                self._database.insert(step, self._letters)
                self._letters = []
            if self._hours and (final or self._rollup.due(now)):
                step = "rollup"
                self._database.roll_up(self._hours)
                self._hours.clear()
                self._rollup.clear()
        except TransientError as error:
            self._failed(step, error)
            return False
        self._recovered()
        self._batch.clear()
        # While an hour waits for its rollup, the messages that touched it stay uncommitted.
        return True if self._hours else self._commit()

    def _commit(self) -> bool:
        if not self._next_offsets:
            return True
        try:
            self._dead_letters.flush()
            self._source.commit(self._next_offsets)
        except (KafkaError, TransientError) as error:
            # Rows are stored; a later commit covers these offsets, or another reader stores the same rows again.
            log.warning("offsets not committed yet", reason=str(error))
            return False
        self._next_offsets.clear()
        return True

    def _failed(self, step: str, error: TransientError) -> None:
        now = self._clock.monotonic()
        delay = min(LONGEST_DELAY, error.retry_after * 2.0 ** min(self._attempts, 10))
        self._attempts += 1
        self._retry_at = now + delay
        self._failure = str(error)
        if self._failing_since is None:
            self._failing_since = now
        metrics.INSERT_RETRIES.labels(step).inc()
        log.warning("insert failed", table=step, retry_in=delay, attempts=self._attempts, reason=str(error))

    def _recovered(self) -> None:
        if self._failing_since is not None:
            self._source.resume()
        self._failing_since = None
        self._attempts = 0
        self._retry_at = 0.0


_STORED_EVENTS = {kind.value.encode() for kind, table in TABLES.items() if table.topic is Topic.POSITION_EVENTS}
"""Kinds of position-events that are stored; the rest, and what cannot be told apart, is the processors' to judge."""
