"""One partition of the log in this process: its engine state, its symbols' places in the log, and what is on its way.

The driver works on these; nothing here waits for anything.
"""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

import numpy as np

from liqheat.platform.codec import Headers
from liqheat.platform.codec_blocks import RowBlock
from liqheat.platform.dead_letters import PoisonLimit
from liqheat.platform.errors import FatalError
from liqheat.platform.topics import Topic
from processors.worker.cursor import LogCursor
from processors.worker.deaths import DeathWatch
from processors.worker.engine import State


class Outlet(Protocol):
    """What the driver does to the outside; `processors.worker.app` does it with Faust, unit tests in memory."""

    async def send(self, topic: Topic, value: bytes | None, headers: Headers, partition: int | None) -> Awaitable[Any]:
        """Hand a message to the producer; what comes back ends when the broker has it."""

    async def save(self, symbol: str, partition: int, packed: bytes) -> None:
        """Write a checkpoint; return when the broker has it."""

    def saved(self, symbol: str) -> bytes | None:
        """Return the latest checkpoint of `symbol`."""

    def go_on_from(self, partition: int, offset: int) -> None:
        """Note that no message of `partition` before `offset` need come again."""

    async def start_offset(self, partition: int) -> int:
        """Return the offset with which the group goes on: the committed one, or the log's first."""

    def end_offset(self, partition: int) -> int | None:
        """Return the offset that the log's next message will get; None where the client does not know."""

    def rewind(self, partition: int, offset: int) -> None:
        """Have the messages from `offset` on delivered again."""


@dataclass(slots=True, eq=False)
class SymbolPlace:
    """One symbol in this process: the last offset that is in its state, and the first that no checkpoint covers."""

    name: str
    applied_offset: int
    uncovered: int | None = None

    def cover(self, first: int, last: int) -> None:
        """Note that its messages at the offsets `first` to `last` are in its state."""
        self.applied_offset = max(self.applied_offset, last)
        self.uncovered = first if self.uncovered is None else min(self.uncovered, first)


@dataclass(slots=True, eq=False)
class Partition(Generic[State]):
    """One partition of the log in this process; dropped as a whole when it leaves."""

    number: int
    state: State
    limit: PoisonLimit
    cursor: LogCursor | None = None
    watch: DeathWatch | None = None
    symbols: dict[str, SymbolPlace] = field(default_factory=dict)
    # Held while messages are applied and their outputs handed over, so that no checkpoint falls in between.
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    deliveries: list[Awaitable[Any]] = field(default_factory=list)
    taken_over: list[str] = field(default_factory=list)
    highest_applied: int = -1
    reached: int = -1
    """Offset before which all messages are in the state or buried. The cursor is ahead of it while some wait."""
    committed: int = -1
    is_lost: bool = False

    def changed(self) -> list[SymbolPlace]:
        """Return the symbols that no checkpoint covers up to now, the one longest without first."""
        changed = [each for each in self.symbols.values() if each.uncovered is not None]
        return sorted(changed, key=lambda each: each.uncovered or 0)

    def cover(self, block: RowBlock, offsets: Sequence[int]) -> None:
        """Note that the messages of `block`, which are at `offsets`, are in the state of their symbols."""
        self.highest_applied = max(self.highest_applied, offsets[-1])
        if len(offsets) == 1:
            for name, _ in block.markets:
                self.symbols[name].cover(offsets[0], offsets[0])
            return
        of_run = np.repeat(np.array(offsets), block.runs)
        first, last = np.empty((2, len(block.markets)), np.int64)
        # Of those given for one place the last one stays.
        first[block.market[::-1]], last[block.market] = of_run[::-1], of_run
        for (name, _), low, high in zip(block.markets, first.tolist(), last.tolist(), strict=True):
            self.symbols[name].cover(low, high)

    def covered_up_to(self, reached: int) -> int:
        """Return the offset before which all messages are in checkpoints, `reached` being where the cursor was."""
        waiting = [each.uncovered for each in self.symbols.values() if each.uncovered is not None]
        return min([reached, *waiting])

    def without_applied(
        self, block: RowBlock, offsets: Sequence[int], end: int | None, topic: str
    ) -> Iterator[RowBlock]:
        """Yield of messages at `offsets` the rows of symbols whose states do not have them yet.

        Raises:
            FatalError: checkpoints are ahead of `end`, where the log `topic` is known to end: it was created again.
        """
        for place, offset, rows in zip(block.places.tolist(), offsets, block.rows(), strict=True):
            fresh = np.array([self.symbols[name].applied_offset < offset for name, _ in rows.markets])
            if fresh.all():
                yield RowBlock.of(rows, place)
                continue
            if end is not None and self.highest_applied >= end:
                highest = max(self.symbols.values(), key=lambda each: each.applied_offset)
                raise FatalError(
                    f"The checkpoint of {highest.name} covers offset {highest.applied_offset}, which the log "
                    f"{topic} has not reached: it was created again; delete the changelog topic too"
                )
            places = np.flatnonzero(np.repeat(fresh, np.diff(rows.starts, append=rows.height)))
            if places.size:
                yield RowBlock.of(rows.select(places), place)
