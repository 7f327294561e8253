"""From log messages to engine, outputs and checkpoints: everything about exactness but Faust itself.

Order is what makes it exact. Outputs are with the broker before the checkpoints that cover them are written, and the
group's offset moves only past messages that checkpoints of all their symbols cover. A crash in between sends outputs
again, which are absolute and carry a revision, and never loses any.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Generic

import numpy as np
import structlog

from liqheat.domain.events import Batch
from liqheat.platform.codec import Rows, encode
from liqheat.platform.codec_blocks import RowBlock, messages_of
from liqheat.platform.dead_letters import PoisonLimit
from liqheat.platform.errors import FatalError, PoisonMessage
from liqheat.platform.metrics import (
    BATCH_SECONDS,
    ENGINE_COUNTS,
    MESSAGES_CONSUMED,
    MESSAGES_PUBLISHED,
    ROWS_CONSUMED,
    SYMBOLS_ACTIVE,
)
from liqheat.platform.settings import Engine as EngineSettings
from liqheat.platform.topics import Topic
from processors.worker.burial import Burial
from processors.worker.checkpoint import Checkpoint
from processors.worker.cursor import LogCursor, Step
from processors.worker.dead_letters import STAGE
from processors.worker.deaths import DeathWatch, Mark, mark_name
from processors.worker.engine import INPUT_KINDS, OUTPUT_TOPICS, Engine, State
from processors.worker.partition import Outlet, Partition, SymbolPlace
from processors.worker.parts import parts_of
from processors.worker.reading import LogMessage, Read, Refused, offsets_of, origin_of, read_messages
from processors.worker.saving import Saver

_LOG = structlog.get_logger()

# How many symbols are checkpointed at a time, letting messages through in between.
_SYMBOLS_AT_ONCE = 16


class Driver(Generic[State]):
    """Feeds an engine from the log, some messages at a time; all its methods run on one event loop."""

    def __init__(self, engine: Engine[State], settings: EngineSettings, outlet: Outlet, partitions: int) -> None:
        """Drive `engine` over a log of `partitions` partitions."""
        self._engine = engine
        self._settings = settings
        self._outlet = outlet
        self._count = partitions
        self._partitions: dict[int, Partition[State]] = {}
        self._checkpointing = asyncio.Lock()
        self._seconds = BATCH_SECONDS.labels("engine")
        self._burial: Burial[State] = Burial(outlet)
        self._saver = Saver(engine, outlet)
        self._active = SYMBOLS_ACTIVE.labels(STAGE)
        self._messages = MESSAGES_CONSUMED.labels(Topic.POSITION_EVENTS.label)
        self._rows = {kind: ROWS_CONSUMED.labels(kind) for kind in INPUT_KINDS}
        self.handled: Counter[int] = Counter()
        """Messages handled so far by partition; while none changes, the worker is idle."""

    async def handle(self, messages: Sequence[LogMessage]) -> None:
        """Apply messages of one partition of the log, in order; what cannot be applied becomes a dead letter.

        Raises:
            DeadLetterLimitExceeded: too many in a row were poison.
            FatalError: the log and the checkpoints do not belong together.
        """
        partition = self._partition(messages[0].partition)
        self.handled[partition.number] += len(messages)
        cursor = await self._cursor(partition)
        in_turn = cursor.take_in_turn([message.offset for message in messages])
        taken = messages if in_turn else [each for each in messages if self._follows(partition, cursor, each)]
        if not taken or partition.is_lost:
            return
        self._messages.inc(len(taken))
        async with partition.busy:
            while taken:
                count = await self._take_some(partition, taken)
                partition.reached = taken[count - 1].offset + 1
                taken = taken[count:]

    async def end(self) -> None:
        """Note that this process ends well, for its successors."""
        for partition in list(self._partitions.values()):
            if partition.watch is not None and not partition.is_lost:
                await self._leave(partition, partition.watch.end())

    async def checkpoint(self) -> float:
        """Write the state of every symbol that has changed, then let the group's offset move past what they cover.

        Returns:
            Seconds spent on it, without waiting for the broker.
        """
        spent = 0.0
        async with self._checkpointing:
            for partition in list(self._partitions.values()):
                changed = partition.changed()
                for start in range(0, max(len(changed), 1), _SYMBOLS_AT_ONCE):
                    spent += await self._saver.save(partition, changed[start : start + _SYMBOLS_AT_ONCE])
        return spent

    async def publish_open_windows(self, *, everything: bool = False) -> float:
        """Send the still open windows that have changed since, and those of symbols just taken over; or all of them.

        A predecessor may have written its last checkpoint and not its last open window, hence the latter.

        Returns:
            Seconds spent on it, without waiting for the broker or for what else was being done.
        """
        self._report_counts()
        return sum([await self._publish_open(each, everything) for each in list(self._partitions.values())])

    async def hand_over(self, dropped: Iterable[Partition[State]]) -> None:
        """Publish all open windows of partitions that `drop` returned: there may be no successor for a while."""
        for partition in dropped:
            await self._publish_open(partition, everything=True)

    async def ask_for_missed(self, assigned: Set[int], ends: Mapping[int, int]) -> None:
        """Ask again for what the log holds and has not delivered; for a moment at which nothing comes.

        Messages missed in a rebalance are noticed when a later one comes, else here. `assigned` is the caller's living
        set of this worker's partitions, `ends` where the broker says they end: the client knows of those it fetches.
        """
        for number in sorted(assigned):
            partition = self._partition(number)
            cursor = await self._cursor(partition)
            # A rebalance may have come while that was asked.
            if partition.is_lost or number not in assigned:
                continue
            if cursor.is_missed(max(self._outlet.end_offset(number) or 0, ends.get(number, 0))):
                _LOG.info("asking again for messages", partition=number, expected=cursor.next_offset)
                self._outlet.rewind(number, cursor.next_offset)

    def reached(self, number: int) -> int | None:
        """Return the offset before which all messages are in the state; None before the first. From any thread."""
        partition = self._partitions.get(number)
        return None if partition is None or partition.reached < 0 else partition.reached

    def take_over(self, symbols: Iterable[tuple[str, int]]) -> None:
        """Note the symbols, with their partitions, whose checkpoints were read back after an assignment."""
        for name, number in symbols:
            self._partition(number).taken_over.append(name)

    def drop(self, partitions: Iterable[int]) -> list[Partition[State]]:
        """Forget everything of partitions that were revoked: states, offsets and deliveries alike; return them."""
        dropped = [self._partitions.pop(number) for number in partitions if number in self._partitions]
        for partition in dropped:
            partition.is_lost = True
        self._count_symbols()
        return dropped

    async def _publish_open(self, partition: Partition[State], everything: bool) -> float:
        while partition.taken_over and not partition.is_lost:
            async with partition.busy:
                for name in partition.taken_over[-_SYMBOLS_AT_ONCE:]:
                    self._symbol(partition, name)
                del partition.taken_over[-_SYMBOLS_AT_ONCE:]
            await asyncio.sleep(0)
        async with partition.busy:
            started = time.monotonic()
            only = list(partition.symbols) if everything else None
            outputs = self._engine.snapshot(partition.state, only)
            spent = time.monotonic() - started + await self._publish(partition, outputs)
        await asyncio.sleep(0)
        return spent

    async def _take_some(self, partition: Partition[State], messages: Sequence[LogMessage]) -> int:
        """Take as many of `messages` as may be taken together; return how many."""
        watch, first = partition.watch, messages[0].offset
        count = watch.at_once(first) if watch is not None else 0
        if watch is None or not count:
            await self._take(partition, messages)
            return len(messages)
        chosen = [message for message in messages if message.offset < first + count]
        if watch.is_deadly(first):
            await self._burial.bury(
                partition, chosen[0], PoisonMessage("Workers have died of this message again and again")
            )
        else:
            await self._leave(partition, watch.at(first, count))
            await self._take(partition, chosen)
        await self._leave(partition, watch.passed(chosen[-1].offset + 1))
        return len(chosen)

    async def _take(self, partition: Partition[State], messages: Sequence[LogMessage]) -> None:
        reading = read_messages(messages, self._count, self._settings.maximum_lead_ms)
        span = [each for block in reading.blocks for each in self._fresh(partition, messages, block)]
        for place, read in reading.others.items():
            rows = await self._admitted(partition, read)
            if rows is not None:
                span += self._fresh(partition, messages, RowBlock.of(rows, place))
        if span:
            await self._apply(partition, messages, span)

    def _partition(self, number: int) -> Partition[State]:
        partition = self._partitions.get(number)
        if partition is None:
            state = self._engine.new_state(self._settings)
            limit = PoisonLimit(self._settings.dead_letter_limit, "LIQHEAT_ENGINE__DEAD_LETTER_LIMIT")
            partition = Partition(number, state, limit)
            self._partitions[number] = partition
        return partition

    async def _cursor(self, partition: Partition[State]) -> LogCursor:
        if partition.cursor is None:
            start = await self._outlet.start_offset(partition.number)
            if partition.cursor is None:
                packed = self._outlet.saved(mark_name(partition.number))
                partition.watch = DeathWatch(Mark() if packed is None else Mark.unpack(packed), start)
                partition.cursor, partition.committed, partition.reached = LogCursor(start), start, start
                await self._leave(partition, partition.watch.mark)
        return partition.cursor

    async def _leave(self, partition: Partition[State], mark: Mark) -> None:
        await self._outlet.save(mark_name(partition.number), partition.number, mark.packed(partition.number))

    def _symbol(self, partition: Partition[State], name: str) -> SymbolPlace:
        symbol = partition.symbols.get(name)
        if symbol is not None:
            return symbol
        packed = self._outlet.saved(name)
        symbol = SymbolPlace(name, -1)
        if packed is not None:
            saved = Checkpoint.unpack(packed)
            if saved.partition != partition.number:
                raise FatalError(
                    f"{name} is on partition {partition.number} of the log, its checkpoint on {saved.partition}: "
                    "the partition count was changed; delete the changelog topic to rebuild from the log"
                )
            self._engine.load(partition.state, saved.state)
            symbol.applied_offset = saved.applied_offset
            partition.highest_applied = max(partition.highest_applied, saved.applied_offset)
        partition.symbols[name] = symbol
        self._count_symbols()
        return symbol

    def _report_counts(self) -> None:
        sums: Counter[str] = Counter()
        for partition in self._partitions.values():
            sums.update(self._engine.counts(partition.state))
        for what, count in sums.items():
            ENGINE_COUNTS.labels(what).set(count)

    def _count_symbols(self) -> None:
        self._active.set(sum(len(each.symbols) for each in self._partitions.values()))

    def _follows(self, partition: Partition[State], cursor: LogCursor, message: LogMessage) -> bool:
        expected = cursor.next_offset
        step = cursor.meet(message.offset)
        if step is Step.ASK_AGAIN:
            _LOG.info("asking again for messages", origin=str(origin_of(message)), expected=expected)
            self._outlet.rewind(partition.number, expected)
        elif step is Step.TAKE and cursor.take_hole():
            _LOG.warning("the log has a hole", origin=str(origin_of(message)), expected=expected)
        return step is Step.TAKE

    async def _admitted(self, partition: Partition[State], read: Read) -> Rows | None:
        """Return the rows of a message that are to be applied; what is refused is buried."""
        message, rows = read.message, read.rows
        if read.poison is not None:
            await self._burial.bury(partition, message, read.poison)
            return None
        for each in read.refused:
            await self._burial.bury_rows(partition, message, each)
        if rows is None:
            await self._burial.note_poison(partition, PoisonMessage(read.refused[0].reason), message)
            return None
        return rows

    def _fresh(
        self, partition: Partition[State], messages: Sequence[LogMessage], block: RowBlock
    ) -> Iterable[RowBlock]:
        """Return a block without the rows that checkpoints have already."""
        for symbol, _ in block.markets:
            self._symbol(partition, symbol)
        offsets = offsets_of(messages, block)
        if offsets[0] > partition.highest_applied:
            return (block,)
        return partition.without_applied(block, offsets, self._outlet.end_offset(partition.number), messages[0].topic)

    async def _apply(self, partition: Partition[State], messages: Sequence[LogMessage], span: list[RowBlock]) -> None:
        """Apply messages together; if that fails one by one, and of those that fail bury the failing rows."""
        try:
            outputs = self._engine_apply(partition, span)
        except PoisonMessage:
            for place, rows in messages_of(span).items():
                await self._apply_split(partition, messages[place], rows)
            return
        for block in span:
            self._cover(partition, messages, block)
        partition.limit.good()
        await self._publish(partition, outputs)

    def _cover(self, partition: Partition[State], messages: Sequence[LogMessage], block: RowBlock) -> None:
        self._rows[block.kind].inc(block.height)
        partition.cover(block, offsets_of(messages, block))

    def _engine_apply(self, partition: Partition[State], span: Sequence[RowBlock]) -> list[Batch]:
        with self._seconds.time():
            return self._engine.apply(partition.state, span)

    async def _apply_split(self, partition: Partition[State], message: LogMessage, rows: Rows) -> None:
        """Apply the rows of one message that can be applied; bury the others, none of which has changed anything."""
        failed: list[tuple[int, PoisonMessage]] = []
        pending = [np.arange(rows.height)]
        while pending:
            places = pending.pop()
            part = rows.select(places)
            try:
                outputs = self._engine_apply(partition, [RowBlock.of(part, 0)])
            except PoisonMessage as error:
                if len(places) == 1:
                    failed.append((int(places[0]), error))
                else:
                    # Markets apart first: one market's poison is that market's alone.
                    middle = int(part.starts[len(part.starts) // 2]) if len(part.starts) > 1 else len(places) // 2
                    pending += [places[middle:], places[:middle]]
            else:
                await self._publish(partition, outputs)
        self._cover(partition, [message], RowBlock.of(rows, 0))
        if len(failed) == rows.height:
            await self._burial.bury(partition, message, failed[0][1])
        elif failed:
            refused = rows.select(np.array(sorted(place for place, _ in failed)))
            await self._burial.bury_rows(partition, message, Refused.of(refused, failed[0][1].reason))
            partition.limit.good()
        else:
            partition.limit.good()

    async def _publish(self, partition: Partition[State], outputs: Iterable[Batch]) -> float:
        """Hand outputs to the producer, which may wait for the broker; return the seconds spent without that."""
        spent = 0.0
        for output in outputs:
            topic = OUTPUT_TOPICS[output.kind]
            for part in parts_of(output):
                started = time.monotonic()
                headers, value = encode(part)
                spent += time.monotonic() - started
                delivery = await self._outlet.send(topic, value, headers, partition.number)
                partition.deliveries.append(delivery)
                MESSAGES_PUBLISHED.labels(topic.label).inc()
        return spent
