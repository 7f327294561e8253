"""A broker in memory for tests of the driver: a log, its committed offsets, checkpoints and outputs."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from liqheat.domain.events import Batch, Kind
from liqheat.platform.codec import Headers, decode, encode
from liqheat.platform.partitions import partition_of as partition_of_symbol
from liqheat.platform.topics import Topic
from processors.worker.checkpoint import partition_of
from processors.worker.deaths import is_mark

NOW_MS = 1_800_000_000_000


@dataclass(slots=True, eq=False)
class Message:
    """What Faust's consumer would hand over."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]] | None
    timestamp: int = NOW_MS


@dataclass(slots=True)
class MemoryLog:
    """The outside of a driver; what happens is noted in `steps`, in order."""

    partitions: int = 1
    messages: dict[int, list[Message]] = field(default_factory=dict)
    done: dict[int, int] = field(default_factory=dict)
    checkpoints: dict[str, bytes] = field(default_factory=dict)
    marks: dict[str, bytes] = field(default_factory=dict)
    sent: list[tuple[Topic, int | None, bytes | None, Headers]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    on_their_way: set[asyncio.Task[None]] = field(default_factory=set)

    def write(self, batch: Batch) -> Message:
        """Append a batch to the log, to the partition of its first symbol."""
        headers, value = encode(batch)
        return self.write_raw(home_of(batch.symbols[0], self.partitions), value, headers)

    def write_raw(
        self, partition: int, value: bytes | None, headers: Headers | None, timestamp: int = NOW_MS
    ) -> Message:
        """Append any message to the log."""
        messages = self.messages.setdefault(partition, [])
        message = Message("position-events", partition, len(messages), None, value, headers, timestamp)
        messages.append(message)
        return message

    def committed(self, partition: int) -> int:
        """Return the offset at which the group goes on."""
        return self.done.get(partition, 0)

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

    async def send(self, topic: Topic, value: bytes | None, headers: Headers, partition: int | None) -> Awaitable[Any]:
        """Take a message; the broker has it once the returned task is done, later than any checkpoint would be.

        Like a producer with a full buffer it makes its caller wait first.
        """
        for _ in range(4):
            await asyncio.sleep(0)

        async def deliver() -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            self.sent.append((topic, partition, value, headers))
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
        if is_mark(symbol):
            self.marks[symbol] = packed
            return
        self.checkpoints[symbol] = packed
        self.steps.append(f"save {symbol}")

    def saved(self, symbol: str) -> bytes | None:
        """Return the latest checkpoint."""
        return (self.marks if is_mark(symbol) else self.checkpoints).get(symbol)

    def go_on_from(self, partition: int, offset: int) -> None:
        """Note that the messages before `offset` need not come again."""
        assert offset > self.done.get(partition, 0)
        self.done[partition] = offset
        self.steps.append(f"go on from {offset}")

    async def start_offset(self, partition: int) -> int:
        """Return the offset at which the group goes on."""
        return self.committed(partition)

    def rewind(self, partition: int, offset: int) -> None:
        """Note that messages are wanted again."""
        self.steps.append(f"rewind {offset}")

    def end_offset(self, partition: int) -> int:
        """Return the offset of the log's next message."""
        return len(self.messages.get(partition, []))


def home_of(symbol: str, partitions: int) -> int:
    """Return the partition of a symbol."""
    return partition_of_symbol(symbol, partitions)


def comparable(value: Any) -> Any:
    """Return a value that equals itself: NaN as text, lists as tuples."""
    if isinstance(value, list):
        return tuple(comparable(each) for each in value)
    return "nan" if value != value else value


def merge_rows(latest: dict[tuple[Any, ...], tuple[Any, ...]], batch: Batch) -> None:
    """Merge output rows into `latest` as a ReplacingMergeTree does: by identity, the highest revision wins.

    Two rows of one identity and revision must be equal, since a revision depends on the log alone.
    """
    identity = (
        ("symbol", "window_start", "side", "basis", "leverage_band")
        if batch.kind is Kind.HEATMAP_LEVELS
        else ("symbol", "window_start")
    )
    for row in batch.frame.iter_rows(named=True):
        key = (batch.kind, batch.venue, *(row[name] for name in identity))
        values = tuple(comparable(value) for value in row.values())
        known = latest.get(key)
        position = batch.frame.columns.index("revision")
        if known is not None and known[position] == row["revision"]:
            assert known == values, f"revision {row['revision']} of {key} has two meanings"
        if known is None or known[position] <= row["revision"]:
            latest[key] = values
