"""A broker in memory for tests of the driver: a log, its committed offsets, checkpoints and outputs."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from liqheat.domain.events import Batch, Kind
from liqheat.platform.codec import Headers, decode, encode
from liqheat.platform.topics import Topic
from processors.worker.checkpoint import partition_of
from processors.worker.dead_letters import LogMessage

NOW_SECONDS = 1_800_000_000.0


@dataclass(slots=True, eq=False)
class Message:
    """What Faust's consumer would hand over."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]] | None
    timestamp: float = NOW_SECONDS


@dataclass(slots=True)
class MemoryLog:
    """The outside of a driver; what happens is noted in `steps`, in order."""

    partitions: int = 1
    messages: dict[int, list[Message]] = field(default_factory=dict)
    acknowledged: set[tuple[int, int]] = field(default_factory=set)
    checkpoints: dict[str, bytes] = field(default_factory=dict)
    sent: list[tuple[Topic, bytes | None, bytes | None, Headers]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    on_their_way: set[asyncio.Task[None]] = field(default_factory=set)

    def write(self, batch: Batch) -> Message:
        """Append a batch to the log; a symbol's partition is fixed by its name."""
        headers, value = encode(batch)
        return self.write_raw(batch.symbol.encode(), value, headers)

    def write_raw(
        self, key: bytes | None, value: bytes | None, headers: Headers | None, timestamp: float = NOW_SECONDS
    ) -> Message:
        """Append any message to the log."""
        partition = sum(key or b"") % self.partitions
        messages = self.messages.setdefault(partition, [])
        message = Message("position-events", partition, len(messages), key, value, headers, timestamp)
        messages.append(message)
        return message

    def committed(self, partition: int) -> int:
        """Return the first offset that is not acknowledged, as Kafka's consumers commit it."""
        offset = 0
        while (partition, offset) in self.acknowledged:
            offset += 1
        return offset

    def pending(self) -> list[Message]:
        """Return the messages that a restarted worker is given, partitions taking turns."""
        rest = [self.messages[number][self.committed(number) :] for number in sorted(self.messages)]
        longest = max(map(len, rest), default=0)
        return [each[row] for row in range(longest) for each in rest if row < len(each)]

    def recovered(self) -> list[tuple[str, int]]:
        """Return the symbols with a checkpoint, and their partitions."""
        return [(symbol, partition_of(packed)) for symbol, packed in self.checkpoints.items()]

    def letters(self) -> list[dict[str, bytes]]:
        """Return the headers of the dead letters."""
        return [dict(headers) for topic, _, _, headers in self.sent if topic is Topic.DEAD_LETTERS]

    def rows(self) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Return the heatmap as its readers see it: of each bucket the row with the highest revision."""
        latest: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for topic, _, value, headers in self.sent:
            if topic is Topic.HEATMAP_BUCKETS:
                merge_rows(latest, decode(headers, value))
        return latest

    async def send(self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers) -> Awaitable[Any]:
        """Take a message; the broker has it once the returned task is done, later than any checkpoint would be.

        Like a producer with a full buffer it makes its caller wait first.
        """
        for _ in range(4):
            await asyncio.sleep(0)

        async def deliver() -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            self.sent.append((topic, key, value, headers))
            self.steps.append(f"deliver {topic.label}")

        task = asyncio.create_task(deliver())
        self.on_their_way.add(task)
        task.add_done_callback(self.on_their_way.discard)
        return task

    def lose_connection(self) -> None:
        """Lose what was handed over and not delivered, as when the process dies."""
        for task in list(self.on_their_way):
            task.cancel()

    async def save(self, symbol: str, partition: int, packed: bytes) -> None:
        """Write a checkpoint."""
        await asyncio.sleep(0)
        self.checkpoints[symbol] = packed
        self.steps.append(f"save {symbol}")

    def saved(self, symbol: str) -> bytes | None:
        """Return the latest checkpoint."""
        return self.checkpoints.get(symbol)

    def acknowledge(self, message: LogMessage) -> None:
        """Note that a message need not come again."""
        self.acknowledged.add((message.partition, message.offset))
        self.steps.append(f"acknowledge {message.offset}")

    async def start_offset(self, partition: int) -> int:
        """Return the first offset that is not acknowledged."""
        return self.committed(partition)

    def rewind(self, partition: int, offset: int) -> None:
        """Note that messages are wanted again."""
        self.steps.append(f"rewind {offset}")

    def end_offset(self, partition: int) -> int:
        """Return the offset of the log's next message."""
        return len(self.messages.get(partition, []))


def merge_rows(latest: dict[tuple[Any, ...], tuple[Any, ...]], batch: Batch) -> None:
    """Merge output rows into `latest` as a ReplacingMergeTree does: by identity, the highest revision wins.

    Two rows of one identity and revision must be equal, since a revision depends on the log alone.
    """
    identity = (
        ("window_start", "side", "basis", "leverage_band", "price_low")
        if batch.kind is Kind.HEATMAP_BUCKETS
        else ("window_start",)
    )
    for row in batch.frame.iter_rows(named=True):
        key = (batch.kind, batch.symbol, batch.venue, *(row[name] for name in identity))
        values = tuple("nan" if value != value else value for value in row.values())
        known = latest.get(key)
        position = batch.frame.columns.index("revision")
        if known is not None and known[position] == row["revision"]:
            assert known == values, f"revision {row['revision']} of {key} has two meanings"
        if known is None or known[position] <= row["revision"]:
            latest[key] = values
