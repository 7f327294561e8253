"""What waits for a message, and how rows become messages: of one kind, venue and partition, small enough for Kafka.

The publisher gathers into these; nothing here knows a thread or a broker.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import msgspec
import polars as pl
import structlog

from liqheat.domain.events import Kind, to_batch
from liqheat.domain.market import Venue
from liqheat.platform import codec, metrics
from liqheat.platform.errors import Origin
from liqheat.platform.kafka import MAXIMUM_VALUE_BYTES, dead_letter_headers
from liqheat.platform.settings import Ingest
from liqheat.platform.topics import Topic

log = structlog.get_logger(__name__)

STAGE = "ingest"

_market_of = attrgetter("symbol", "instrument")


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """When rows are sent: see the module. Ages in seconds; `queue_rows` may wait in all.

    Attributes:
        rows: most rows of one message.
        age: how long rows wait at least, unless a message is full.
        worth_rows: this number of rows of one venue and partition is sent without waiting.
        quiet_age: how long fewer rows wait.
        queue_rows: rows that may be undelivered before `room` holds callers up.
    """

    rows: int = 500
    age: float = 0.25
    worth_rows: int = 64
    quiet_age: float = 2.0
    queue_rows: int = 50_000

    @classmethod
    def of(cls, settings: Ingest) -> "BatchPolicy":
        """Read the policy from the settings."""
        return cls(
            rows=settings.batch_rows,
            age=settings.batch_age,
            worth_rows=settings.batch_worth_rows,
            quiet_age=max(settings.batch_quiet_age, settings.batch_age),
            queue_rows=settings.queue_rows,
        )


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send; without a partition the producer chooses one."""

    topic: Topic
    partition: int | None
    headers: codec.Headers
    value: bytes


@dataclass(slots=True, eq=False)
class SealedRows:
    """Rows of one kind for one partition, sealed."""

    partition: int
    events: list[Any]


@dataclass(slots=True, eq=False)
class OpenRows:
    """What waits for one partition of one venue: rows by kind, in order of first rows, since `opened` (s)."""

    opened: float
    count: int = 0
    kinds: dict[type, list[Any]] = field(default_factory=dict)


Place = tuple[Venue, int]
Job = SealedRows | Message
_STOP = None


def messages_of(job: Job) -> Iterable[Message]:
    """Return the messages of sealed rows, each small enough for Kafka; a message stays what it is."""
    if isinstance(job, Message):
        return [job]
    # Rows of one market side by side: their order between markets means nothing, and readers take runs of them.
    job.events.sort(key=_market_of)
    return _cut(job)


def _cut(job: SealedRows) -> Iterable[Message]:
    """Return messages of at most Kafka's limit; a row that no column can hold is buried, and the others are sent."""
    try:
        batch = to_batch(job.events)
        headers, value = codec.encode(batch)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        return _halves(job) if len(job.events) > 1 else [_buried(job.events[0], error)]
    if len(value) > MAXIMUM_VALUE_BYTES and len(job.events) > 1:
        return _halves(job)
    topic = Topic.GAPS if batch.kind is Kind.GAPS else Topic.POSITION_EVENTS
    return [Message(topic, job.partition, headers, value)]


def _halves(job: SealedRows) -> list[Message]:
    middle = len(job.events) // 2
    halves = job.events[:middle], job.events[middle:]
    return [message for half in halves for message in _cut(SealedRows(job.partition, half))]


def _buried(event: Any, error: Exception) -> Message:
    """Return the dead letter of a row that cannot be written; it has passed every check, so its like is a defect."""
    venue = event.venue.value
    reason = f"{event.instrument!r}: a row of {type(event).__name__} cannot be written: {error}"
    metrics.DEAD_LETTERS.labels(STAGE).inc()
    log.error("A row cannot be written; it became a dead letter", venue=venue, reason=reason)
    try:
        row = msgspec.json.encode(event)
    except (TypeError, ValueError, OverflowError):
        row = repr(event).encode(errors="replace")
    headers = dead_letter_headers(reason, Origin(f"{venue}:publisher"), STAGE)
    return Message(Topic.DEAD_LETTERS, None, headers, row[:MAXIMUM_VALUE_BYTES])
