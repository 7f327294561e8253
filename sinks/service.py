"""The sink as a service: a Kafka consumer, a ClickHouse client and the loop between them.

`liqheat sink` runs it in a process of its own; the local stack runs it in a thread beside the viewer, because
embedded ClickHouse is one engine a process.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from clickhouse_connect.driver.client import Client
from kafka import ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError

from liqheat.platform import kafka
from liqheat.platform.broker_watch import BrokerWatch, name_of
from liqheat.platform.clock import Clock, SystemClock
from liqheat.platform.dead_letters import KafkaDeadLetters
from liqheat.platform.errors import ConfigurationError, TransientError
from liqheat.platform.polling import CalmPoll, finish_joining
from liqheat.platform.settings import Settings
from liqheat.platform.standstill import Standstill
from liqheat.platform.topics import Topic
from sinks.clickhouse.migrate import pending_migrations
from sinks.clickhouse.tables import TOPICS
from sinks.clickhouse.writer import ClickHouseWriter
from sinks.loop import STAGE, Message, SinkLoop
from sinks.studies import Studies

log = structlog.get_logger()

_STUCK_SECONDS = 180.0
# A symbol is judged within a second.
_JUDGE_SECONDS = 10.0


class Sink:
    """Reads the output topics into ClickHouse until asked to stop."""

    def __init__(
        self, settings: Settings, client: Client, clock: Clock | None = None, studies: Studies | None = None
    ) -> None:
        """Take a client of its own: its calls must not wait for somebody's long query.

        `studies` run beside it in a thread of their own, while this sink leads its group.
        """
        self._settings = settings
        self._client = client
        self._clock = clock or SystemClock()
        self._studies = studies
        self.leads = False
        """Whether it is the one sink of its group that does what is to be done once, as of its last poll."""
        self._loop: SinkLoop | None = None
        self._source: KafkaSource | None = None
        self._standstill = Standstill[str]()
        self.broker: BrokerWatch | None = None
        """Says which partitions have messages to read; None: a client that delivers none of them goes unnoticed."""
        self.ready = threading.Event()
        """Set once the consumer has partitions to read."""

    def problem(self) -> str | None:
        """Say what is wrong, for the health endpoint; None while all is well."""
        return "The sink has not started" if self._loop is None else self._loop.problem()

    def reached(self) -> dict[tuple[str, int], int | None]:
        """Return the offset before which all rows are stored, of each partition that it reads; from any thread.

        Offsets are committed only once the hours that their rows touch are rolled up, a minute later or more.
        """
        loop, source = self._loop, self._source
        if loop is None or source is None:
            return {}
        stored = loop.stored()
        return {(place.topic, place.partition): stored.get(place) for place in source.held}

    def stuck(self) -> str | None:
        """Say that only a restart helps: Kafka has not been polled for minutes, not even to stay in the group."""
        if self._source is None:
            return None
        age = self._clock.monotonic() - self._source.polled_at
        return f"The sink has not polled for {age:.0f} s" if age > _STUCK_SECONDS else None

    def run(self, stop: threading.Event) -> None:
        """Consume until `stop` is set, then write and commit what was read. Blocks; the caller brings a thread.

        Raises:
            TransientError: Kafka or ClickHouse cannot be reached at start, a topic is missing, or Kafka's client
                delivers a partition no longer.
            ConfigurationError: the tables are missing or of another version.
            FatalError: see `SinkLoop.step`.
        """
        pending = pending_migrations(self._client, self._settings)
        if pending:
            raise ConfigurationError(
                f"The database {self._settings.clickhouse.database} lacks {len(pending)} migrations, the first "
                f"{pending[0].number:04d}_{pending[0].name}; run `liqheat migrate`"
            )
        source = self._source = KafkaSource(self._settings, self._clock)
        dead_letters = KafkaDeadLetters(self._settings.kafka, STAGE)
        try:
            database = ClickHouseWriter(self._client, self._settings.clickhouse)
            loop = self._loop = SinkLoop(self._settings, source, database, dead_letters, self._clock)
            source.start(loop)
            with self._judging(stop):
                while not stop.is_set():
                    loop.step()
                    self.leads = source.leads
                    if source.assigned:
                        self.ready.set()
                    self._end_at_standstill(loop, source)
                loop.finish()
        except KafkaError as error:
            raise kafka.unreachable(self._settings.kafka, error) from error
        finally:
            source.close()
            dead_letters.close()

    def _end_at_standstill(self, loop: SinkLoop, source: "KafkaSource") -> None:
        if self.broker is None:
            return
        # While nothing can be stored, nothing is asked for.
        halted = None if loop.problem() else self.broker.halted()
        place = self._standstill.look(source.polling_seconds, source.delivered, halted)
        if place is None:
            return
        loop.finish()
        raise TransientError(
            f"Kafka's client delivers nothing of {place}, though messages wait there; started again, the sink goes on "
            "from its last commit"
        )

    @contextmanager
    def _judging(self, stop: threading.Event) -> Iterator[None]:
        """Judge symbols in a thread until the end; one that is being judged is waited for, though not long."""
        if self._studies is None:
            yield
            return
        ended = threading.Event()
        thread = threading.Thread(target=self._judge, args=(self._studies, stop, ended), name="studies", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            # A query that hangs must not hold the partitions back; the thread ends with the process.
            thread.join(_JUDGE_SECONDS)

    def _judge(self, studies: Studies, stop: threading.Event, ended: threading.Event) -> None:
        while not stop.is_set() and not ended.wait(studies.step(self.leads)):
            pass


class KafkaSource:
    """kafka-python as the loop's source: a member of a group, or all partitions for a single local sink."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self.polled_at = self._clock.monotonic()
        """When the last poll began (monotonic s)."""
        self.held: frozenset[Any] = frozenset()
        """Partitions to read, as of the last poll: the client's own set changes in its thread."""
        self.delivered: dict[str, int] = {}
        """Messages handed out so far of each of these (`topic[number]`), since it came."""
        self.polling_seconds = 0.0
        """For how long the client could have handed out messages."""
        self._sink = settings.sink
        self._topics = [settings.kafka.topic(topic) for topic in TOPICS]
        self._consumer = kafka.consumer(
            settings.kafka,
            group=settings.kafka.topic_prefix + settings.sink.group,
            fetch_max_bytes=8_000_000,
            session_timeout_ms=round(settings.kafka.session_seconds * 1_000),
            heartbeat_interval_ms=round(settings.kafka.session_seconds * 1_000 / 6),
        )
        self._poll = CalmPoll(self._consumer)
        self._first = TopicPartition(settings.kafka.topic(Topic.SIGNALS), 0)

    @property
    def assigned(self) -> bool:
        """Whether there are partitions to read."""
        return bool(self._consumer.assignment())

    @property
    def leads(self) -> bool:
        """Whether this is the one reader of the group that does what is to be done once."""
        return self._first in self._consumer.assignment()

    def start(self, loop: SinkLoop) -> None:
        """Begin to read; when partitions are taken away, `loop` soon writes what it has.

        Raises:
            TransientError: a topic is missing.
        """
        # Also before joining a group: its leader hands out the partitions that it knows of, and a leader that
        # knows of none yet would leave all members without any until its next look at the topics, minutes later.
        partitions = []
        for topic in self._topics:
            partitions += [TopicPartition(topic, number) for number in kafka.partitions_of(self._consumer, topic)]
        if self._sink.join_group:
            self._consumer.subscribe(self._topics, listener=_Rebalances(loop))
        else:
            self._consumer.assign(partitions)

    def poll(self, timeout: float, limit: int) -> Mapping[Any, Sequence[Message]]:
        """See `Source`."""
        self.polled_at = self._clock.monotonic()
        polled = self._poll(timeout, limit)
        finish_joining(self._consumer)
        self.held = frozenset(self._consumer.assignment())
        self._note(polled, timeout)
        return polled

    def _note(self, polled: Mapping[Any, Sequence[Message]], timeout: float) -> None:
        """Count what was handed out, and the time; not that of a process which was itself held up."""
        self.polling_seconds += min(self._clock.monotonic() - self.polled_at, timeout + 1.0)
        counts = {place: self.delivered.get(name_of(*place), 0) + len(polled.get(place, ())) for place in self.held}
        self.delivered = {name_of(*place): count for place, count in counts.items()}

    def pause(self) -> None:
        """See `Source`."""
        self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        """See `Source`; partitions that were taken away while paused are passed over."""
        self._consumer.resume(*self._consumer.paused())

    def commit(self, offsets: Mapping[Any, int]) -> None:
        """See `Source`."""
        self._consumer.commit(
            {partition: OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}, timeout_ms=10_000
        )

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close(autocommit=False, timeout_ms=5_000)


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc] # kafka-python ships no types
    def __init__(self, loop: SinkLoop) -> None:
        self._loop = loop

    def on_partitions_revoked(self, revoked: object) -> None:
        if revoked:
            self._loop.partitions_moved()

    def on_partitions_assigned(self, assigned: object) -> None:
        log.info("partitions assigned", partitions=len(assigned) if isinstance(assigned, (list, set)) else 0)
