"""What the driver does to the outside, done with Faust: its producer, its table of checkpoints, its consumer.

Satisfies `processors.worker.partition.Outlet`; the worker makes one, tests have one in memory.
"""

from collections.abc import Awaitable
from typing import Any, cast

import faust
from faust.types import TP

from liqheat.platform.codec import Headers
from liqheat.platform.settings import Kafka
from liqheat.platform.topics import Topic
from processors.worker.checkpoint import CheckpointTable
from processors.worker.rewinding_consumer import RewindingConsumer


class FaustOutlet:
    """The driver's hands in Kafka."""

    def __init__(self, app: faust.App, table: CheckpointTable, kafka: Kafka) -> None:
        self._app = app
        self._table = table
        self._names = {topic: kafka.topic(topic) for topic in Topic}
        self._log = self._names[Topic.POSITION_EVENTS]

    async def send(self, topic: Topic, value: bytes | None, headers: Headers, partition: int | None) -> Awaitable[Any]:
        """Hand a message to the producer; what comes back ends when the broker has it."""
        delivery: Awaitable[Any] = await self._app.producer.send(
            # aiokafka takes no message without key and value.
            self._names[topic],
            key=None,
            value=value or b"",
            partition=partition,
            timestamp=None,
            headers=headers,
        )
        return delivery

    async def save(self, symbol: str, partition: int, packed: bytes) -> None:
        """Write a checkpoint; return when the broker has it."""
        await self._table.save(symbol.encode(), partition, packed)

    def saved(self, symbol: str) -> bytes | None:
        """Return the latest checkpoint of `symbol`."""
        packed: bytes | None = self._table.data.get(symbol.encode())
        return packed

    def go_on_from(self, partition: int, offset: int) -> None:
        """Let the group go on from `offset` of `partition`."""
        self._consumer.go_on_from(TP(self._log, partition), offset)

    async def start_offset(self, partition: int) -> int:
        """Return the offset with which the group goes on: the committed one, or the log's first."""
        place = TP(self._log, partition)
        first = (await self._consumer.earliest_offsets(place)).get(place) or 0
        return max(first, self._consumer.committed_offset(place) or 0)

    def rewind(self, partition: int, offset: int) -> None:
        """Have the messages from `offset` on delivered again."""
        self._consumer.rewind(TP(self._log, partition), offset)

    def end_offset(self, partition: int) -> int | None:
        """Return the offset that the log's next message will get; None where the client does not know."""
        try:
            end: int | None = self._consumer.highwater(TP(self._log, partition))
        except AssertionError:
            # aiokafka's answer where a rebalance has just taken the partition away, in a thread of its own.
            return None
        return end

    @property
    def _consumer(self) -> RewindingConsumer:
        return cast(RewindingConsumer, self._app.consumer)
