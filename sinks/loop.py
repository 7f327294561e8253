"""The sink's loop: messages to batches, batches to tables, and only then offsets to Kafka.

    poll -> decode -> gather by table -> insert -> (roll up touched hours) -> dead letters out -> commit

Offsets are committed once their rows are stored *and* the hours that they touch are rolled up, so a sink killed
anywhere reads the same messages again; rows are absolute and keyed, so writing them again changes nothing. While
the database refuses rows, partitions are paused and what was read is kept: memory holds one batch and one poll.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn, Protocol

import polars as pl
import structlog
from kafka.errors import KafkaError

from liqheat.domain.events import Batch, Kind
from liqheat.platform import metrics
from liqheat.platform.clock import Clock
from liqheat.platform.codec import encode
from liqheat.platform.dead_letters import PoisonLimit
from liqheat.platform.errors import Origin, PoisonMessage, TransientError
from liqheat.platform.odd_rows import decode_sane_rows
from liqheat.platform.retry import BackOff, Outage
from liqheat.platform.settings import Settings
from liqheat.platform.topics import Topic
from sinks.clickhouse.rollup import MarketHour
from sinks.clickhouse.rows import dead_letter_rows, hours_of_minutes, rows_of_all
from sinks.clickhouse.tables import DEAD_LETTERS, MARKET_HOURS, RETIRED_KINDS, STORED, TOPICS
from sinks.gathering import Gathering
from sinks.judging import judge

log = structlog.get_logger()

STAGE = "sink"
POLL_MESSAGES = 100
"""Most messages taken in one poll: with the broker's limit on message size, what a full batch may overshoot by."""
LONGEST_DELAY = 30.0
SILENCE_LIMIT = 120.0
COMMIT_RETRY = 1.0
"""Seconds after which a refused commit is tried again, also where no message comes."""

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

    def add(self, reason: str, origin: Origin, headers: Mapping[str, bytes], value: bytes) -> None:
        """Take one dead letter: why, from where, and the original message."""

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
        self._topics: dict[str, Topic] = {settings.kafka.topic(topic): topic for topic in TOPICS}
        self._gathering = Gathering(settings.sink)
        self._maximum_lead_ms = settings.engine.maximum_lead_ms
        self._limit = PoisonLimit(settings.sink.dead_letter_limit, "LIQHEAT_SINK__DEAD_LETTER_LIMIT")
        self._outage = Outage(BackOff(1.0, LONGEST_DELAY))
        self._moved = False
        self._doing = ""
        self._commit_again_at = float("inf")
        self._stored: dict[Partition, int] = {}
        self._last_step = clock.monotonic()

    @property
    def waiting_rows(self) -> int:
        """Rows read but not stored yet."""
        return self._gathering.rows

    def problem(self) -> str | None:
        """Say what is wrong, for the health endpoint; None while all is well. Callable from any thread."""
        now, since = self._clock.monotonic(), self._outage.since
        if since is not None:
            return f"No rows stored for {now - since:.0f} s: {self._outage.reason}"
        if now - self._last_step > SILENCE_LIMIT:
            return f"The sink has not polled for {now - self._last_step:.0f} s"
        return None

    def step(self, wait: float = 1.0) -> None:
        """Poll once, and write what is due; return after about `wait` seconds at most.

        Raises:
            DeadLetterLimitExceeded: too many messages in a row were unreadable; what was read before is committed.
            FatalError: the database will never take these rows.
        """
        now = self._last_step = self._clock.monotonic()
        if not self._outage.lasts:
            # In the middle of a rollup only what is here already is taken: it shall end soon too.
            timeout = 0.0 if self._gathering.slices else min(wait, self._gathering.remaining(now))
        else:
            # Polling on keeps the membership of the group; paused partitions hand out nothing.
            self._source.pause()
            timeout = min(wait, max(0.0, self._outage.retry_at - now))
        for partition, messages in self._source.poll(timeout, POLL_MESSAGES).items():
            for message in messages:
                self._take(message)
                self._gathering.next_offsets[partition] = message.offset + 1
                if self._limit.reached:
                    self._stop()
                if self._gathering.due(self._clock.monotonic()):
                    self._write()
        now = self._clock.monotonic()
        if self._moved:
            self._moved = False
            self._write(final=True)
            # Others may have read them meanwhile, or they come back from where they were committed.
            self._stored = {}
        elif self._gathering.due(now) or self._gathering.rollup_due(now) or now >= self._commit_again_at:
            self._write()
        metrics.QUEUE_ROWS.labels(STAGE).set(self.waiting_rows)

    def stored(self) -> dict[Partition, int]:
        """Return the offset before which all rows are stored, of each partition read since it came; from any thread."""
        return self._stored

    def partitions_moved(self) -> None:
        """Have the next step write and commit what was read, for others may read it again from where that was done.

        Called by the client's network thread, which may neither write nor wait for a commit. Nothing is forgotten:
        partitions that stay here are read on from where they were.
        """
        self._moved = True

    def finish(self) -> bool:
        """Write everything and commit, in one try; return whether that worked.

        Called before the end. What could not be written was not committed either, so the next reader of these
        partitions writes it.
        """
        done = self._write(final=True)
        if not done:
            log.warning("rows left for the next reader", rows=self.waiting_rows, reason=self._outage.reason)
        self._gathering.forget()
        self._recovered()
        return done

    def _take(self, message: Message) -> None:
        topic = self._topics[message.topic]
        origin = Origin(message.topic, message.partition, message.offset)
        now = self._clock.monotonic()
        metrics.MESSAGES_CONSUMED.labels(topic.label).inc()
        if topic is Topic.DEAD_LETTERS:
            # Neither good nor poison: our own dead letters come by here, and must not reset the count of those.
            now_ms = self._clock.now_ms()
            letter = dead_letter_rows(message.headers, message.value or b"", origin, message.timestamp, now_ms)
            self._gathering.add_letter(letter, now)
            return
        headers = dict(message.headers)
        kind = headers.get("kind")
        if kind in RETIRED_KINDS or (topic is Topic.POSITION_EVENTS and kind not in _STORED_EVENTS):
            self._gathering.pass_over(now)
            return
        try:
            batch = self._decoded(headers, message, topic, origin)
        except PoisonMessage as error:
            self._dead_letters.add(error.reason, origin, headers, message.value or b"")
            self._gathering.pass_over(now)
            self._limit.count(error.reason, origin)
            log.warning("dead letter", reason=error.reason, origin=str(origin), in_a_row=self._limit.in_a_row)
            return
        if batch is None:
            # A clock that is wrong is not a log that cannot be read.
            self._gathering.pass_over(now)
            return
        self._limit.good()
        metrics.ROWS_CONSUMED.labels(batch.kind.value).inc(batch.frame.height)
        self._gathering.add(batch, origin, now)

    def _decoded(self, headers: dict[str, bytes], message: Message, topic: Topic, origin: Origin) -> Batch | None:
        """Return a message's rows, None without any; those not sane or too early become a dead letter of their own.

        Raises:
            PoisonMessage: there is nothing to store in the message.
        """
        read = decode_sane_rows(headers, message.value)
        batch = read.batch
        stored = STORED.get(batch.kind)
        if stored is None or stored.topic is not topic:
            raise PoisonMessage(f"The kind {batch.kind.value} does not belong on {topic.label}")
        if read.odd is not None:
            self._dead_letters.add(read.reason, origin, headers, read.odd)
            log.warning("dead letter", reason=read.reason, origin=str(origin), rows_stored=batch.frame.height)
        if topic is not Topic.POSITION_EVENTS:
            return batch
        judged = judge(batch, message.timestamp, self._maximum_lead_ms)
        if judged.early is not None:
            self._dead_letters.add(judged.reason, origin, headers, encode(judged.early)[1])
            log.warning("dead letter", reason=judged.reason, origin=str(origin))
        return judged.kept

    def _stop(self) -> NoReturn:
        """End because of the limit, with all that was read written and committed: it is not read again."""
        self._write(final=True)
        raise self._limit.error()

    def _write(self, final: bool = False) -> bool:
        """Insert, roll up where due, commit; return whether everything due was done."""
        now = self._clock.monotonic()
        if not final and not self._outage.may_retry(now):
            return False
        try:
            # Between two slices of a rollup rows wait for their batch as ever.
            if final or not self._gathering.slices or self._gathering.due(now):
                self._insert()
            self._doing = "rollup"
            self._roll_up(final)
        except TransientError as error:
            delay = self._outage.failed(str(error), now, error.retry_after)
            metrics.INSERT_RETRIES.labels(self._doing).inc()
            attempts = self._outage.back_off.failures
            log.warning("insert failed", table=self._doing, retry_in=delay, attempts=attempts, reason=str(error))
            return False
        self._recovered()
        return self._commit()

    def _insert(self) -> None:
        """Store all rows and letters that were read.

        Raises:
            TransientError: the database cannot now; what is not stored is kept.
        """
        gathered = self._gathering
        for kind in list(gathered.read):
            self._doing = STORED[kind].table.name
            rows = rows_of_all(gathered.read[kind])
            self._database.insert(self._doing, [rows])
            if kind is Kind.MARKET_MINUTES:
                self._database.insert(MARKET_HOURS.name, [hours_of_minutes(rows)])
            del gathered.read[kind]
        if gathered.letters:
            self._doing = DEAD_LETTERS.name
            self._database.insert(self._doing, gathered.letters)
            gathered.letters = []
        gathered.written()
        self._stored = self._stored | gathered.next_offsets

    def _roll_up(self, final: bool) -> None:
        """Roll up some of the hours that are due; with `final` all that were touched.

        Raises:
            TransientError: the database cannot now; the rest is left for later.
        """
        gathered = self._gathering
        while True:
            now = self._clock.monotonic()
            if not gathered.slices and gathered.hours and (final or gathered.rollup_due(now)):
                gathered.begin_round()
            if not gathered.slices:
                return
            self._database.roll_up(gathered.slices[-1])
            ended = self._clock.monotonic()
            gathered.rolled_up(ended - now, ended)
            if not final:
                return

    def _commit(self) -> bool:
        self._commit_again_at = float("inf")
        offsets = self._gathering.committable()
        if not offsets:
            return True
        try:
            self._dead_letters.flush()
            self._source.commit(offsets)
        except (KafkaError, TransientError) as error:
            # Rows are stored; a later commit covers these offsets, or another reader stores the same rows again.
            # Dead letters wait for it too, so it is not left until the next message comes.
            log.warning("offsets not committed yet", reason=str(error))
            self._commit_again_at = self._clock.monotonic() + COMMIT_RETRY
            return False
        self._gathering.committed(offsets)
        return True

    def _recovered(self) -> None:
        if self._outage.over():
            self._source.resume()


_STORED_EVENTS = {kind.value.encode() for kind, stored in STORED.items() if stored.topic is Topic.POSITION_EVENTS}
"""Kinds of position-events that are stored; the rest, and what cannot be recognised, is the processors' to judge."""
