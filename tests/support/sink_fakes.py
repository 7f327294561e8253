"""What surrounds the sink's loop, in memory: a log with committed offsets, a database that may refuse, dead letters."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
from kafka import TopicPartition
from kafka.errors import KafkaConnectionError

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.price_grid import bucket_of
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.platform.codec import encode
from liqheat.platform.errors import Origin, TransientError
from liqheat.platform.kafka import dead_letter_headers
from liqheat.platform.topics import Topic
from sinks.clickhouse.rollup import MarketHour

MIDNIGHT = 1_799_971_200_000
"""2027-01-15 00:00 UTC: an exact day, so that hours and days of the tests are whole."""
TIME_MS = 1_800_000_000_000


@dataclass
class Record:
    """One message of the log."""

    topic: str
    partition: int
    offset: int
    headers: list[tuple[str, bytes]]
    value: bytes | None
    timestamp: int = TIME_MS


@dataclass
class MemorySource:
    """A log; a new source over the same records and `committed` is a restarted consumer."""

    records: list[Record] = field(default_factory=list)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    refused_commits: int = 0
    paused: bool = False
    _position: int = 0

    def add(self, topic: Topic, batch: Batch | None = None, value: bytes | None = None) -> Record:
        """Append a message: `batch` encoded, with its value replaced by `value` where one is given."""
        headers, encoded = encode(batch) if batch else ([], b"")
        offset = sum(record.topic == topic.label for record in self.records)
        record = Record(topic.label, 0, offset, headers, encoded if value is None else value)
        self.records.append(record)
        return record

    @property
    def exhausted(self) -> bool:
        """Whether everything has been handed out."""
        return self._position == len(self.records)

    def restarted(self) -> "MemorySource":
        """Return the consumer that takes over after this one died."""
        return MemorySource(self.records, self.committed)

    def forget(self) -> None:
        """Drop what was handed out, so that a long run does not keep its log."""
        self.records.clear()
        self.committed.clear()
        self._position = 0

    def poll(self, timeout: float, limit: int) -> Mapping[TopicPartition, Sequence[Record]]:
        if self.paused:
            self.steps.append("poll while paused")
            return {}
        polled: dict[TopicPartition, list[Record]] = {}
        taken = 0
        while self._position < len(self.records) and taken < limit:
            record = self.records[self._position]
            self._position += 1
            partition = TopicPartition(record.topic, record.partition)
            if record.offset >= self.committed.get(partition, 0):
                polled.setdefault(partition, []).append(record)
                taken += 1
        return polled

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self.steps.append("resume")

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self.refused_commits:
            self.refused_commits -= 1
            self.steps.append("commit refused")
            raise KafkaConnectionError("gone")
        self.committed.update(offsets)
        self.steps.append("commit")


@dataclass
class MemoryDatabase:
    """Tables in memory; the next `refusals` inserts or rollups fail as an overloaded server would."""

    steps: list[str]
    refusals: int = 0
    refused_tables: set[str] = field(default_factory=set)
    tables: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    rolled_up: list[set[MarketHour]] = field(default_factory=list)

    def insert(self, table: str, frames: Sequence[pl.DataFrame]) -> int:
        if table in self.refused_tables:
            self.refusals = 1
        self._maybe_refuse(f"{table} refused")
        frame = pl.concat(frames)
        self.tables.setdefault(table, []).append(frame)
        self.steps.append(f"insert {table}")
        return frame.height

    def roll_up(self, hours: Iterable[MarketHour]) -> None:
        self._maybe_refuse("rollup refused")
        self.rolled_up.append(set(hours))
        self.steps.append("roll up")

    def _maybe_refuse(self, step: str) -> None:
        if self.refusals:
            self.refusals -= 1
            self.steps.append(step)
            raise TransientError("too many parts", retry_after=1.0)

    def rows(self, table: str) -> pl.DataFrame:
        return pl.concat(self.tables[table])


@dataclass
class MemoryDeadLetters:
    """The dead-letter topic."""

    steps: list[str]
    waiting: list[tuple[dict[str, bytes], bytes]] = field(default_factory=list)
    sent: list[tuple[dict[str, bytes], bytes]] = field(default_factory=list)

    def add(self, reason: str, origin: Origin, headers: Mapping[str, bytes], value: bytes) -> None:
        self.waiting.append((dict(dead_letter_headers(reason, origin, "sink", headers)), value))

    def flush(self) -> None:
        if self.waiting:
            self.steps.append("dead letters")
        self.sent += self.waiting
        self.waiting = []


def heatmap_batch(
    minute: int = 0,
    *,
    symbol: str = "TAO",
    venue: str = "binance",
    buckets: Sequence[int] = (0,),
    revision: int = 1,
    at_risk: int = 5_000_000,
    opened: int = 1_000_000,
    side: int = 1,
    model_version: int = 2,
) -> Batch:
    """One minute of a small map, one row; bucket n begins at 100 + n and is 1 wide, below 100 half as wide."""
    size = len(buckets)
    row = {
        "window_start": MIDNIGHT + minute * MINUTE_MS,
        "side": side,
        "basis": "inferred",
        "leverage_band": "10-25x",
        "bucket": bucket_of([100.0 + bucket for bucket in sorted(buckets)], 10).tolist(),
        "at_risk_usd": [at_risk] * size,
        "expected_usd": [at_risk // 10] * size,
        "opened_usd": [opened] * size,
        "closed_usd": [0] * size,
        "swept_usd": [0] * size,
        "liquidated_usd": [0] * size,
        "confidence": [0.5] * size,
        "grid_factor": 10,
        "model_version": model_version,
        "revision": revision,
    }
    frame = pl.DataFrame([row], schema=schema_of(Kind.HEATMAP_LEVELS).polars)
    return Batch.of_market(Kind.HEATMAP_LEVELS, venue, symbol, f"{symbol}USDT", frame)


def hour(symbol: str, number: int) -> MarketHour:
    """Return the hour `number` of the tests' day."""
    return MarketHour(symbol, MIDNIGHT + number * HOUR_MS)


def filled_batch(kind: Kind, *rows: Mapping[str, object], symbol: str = "TAO", venue: str = "binance") -> Batch:
    """Rows of any kind; columns that a row does not name are 0 (a version 1), NaN, empty or false."""
    columns = schema_of(kind).polars
    blank: dict[str, object] = {}
    for name, dtype in columns.items():
        blank[name] = (
            []
            if dtype == pl.List
            else 1
            if name == "model_version"
            else 0
            if dtype.is_integer()
            else float("nan")
            if dtype.is_float()
            else ""
            if dtype == pl.String
            else False
        )
    frame = pl.DataFrame([blank | dict(row) for row in rows], schema=columns)
    return Batch.of_market(kind, venue, symbol, f"{symbol}USDT", frame)
