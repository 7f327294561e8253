"""From log messages to engine, outputs and checkpoints: everything about exactness but Faust itself.

Order is what makes it exact. A symbol's outputs are with the broker before the checkpoint that covers
them is written, and its messages are acknowledged only after that. A crash in between sends outputs
again, which are absolute and carry a revision, and never loses any.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Set
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

import structlog

from liqheat.domain.events import Batch
from liqheat.platform.codec import Headers, encode
from liqheat.platform.errors import FatalError, PoisonMessage
from liqheat.platform.metrics import (
    BATCH_SECONDS,
    CHECKPOINT_BYTES,
    CHECKPOINTS_WRITTEN,
    DEAD_LETTERS,
    MESSAGES_CONSUMED,
    MESSAGES_PUBLISHED,
    ROWS_CONSUMED,
    SYMBOLS_ACTIVE,
)
from liqheat.platform.settings import Engine as EngineSettings
from liqheat.platform.topics import Topic
from processors.worker.checkpoint import Checkpoint
from processors.worker.dead_letters import STAGE, LogMessage, PoisonLimit, letter_headers, origin_of, read_batch
from processors.worker.engine import INPUT_KINDS, OUTPUT_TOPICS, Engine, State

_LOG = structlog.get_logger()

# A heatmap row takes some 120 bytes, so this is half of the megabyte that Kafka takes for one message.
_OUTPUT_ROWS = 4_000
# So many times the same message must come first before what is missing before it counts as not in the log.
_RESTARTS = 10
# Checkpoints and snapshots are made so many symbols at a time, letting messages through in between.
_SYMBOLS_AT_ONCE = 16


class Outlet(Protocol):
    """What the driver does to the outside; `processors.worker.app` does it with Faust, unit tests in memory."""

    async def send(self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers) -> Awaitable[Any]:
        """Hand a message to the producer; what comes back ends when the broker has it."""

    async def save(self, symbol: str, partition: int, packed: bytes) -> None:
        """Write a checkpoint; return when the broker has it."""

    def saved(self, symbol: str) -> bytes | None:
        """Return the latest checkpoint of `symbol`."""

    def acknowledge(self, message: LogMessage) -> None:
        """Note that `message` need not come again."""

    async def start_offset(self, partition: int) -> int:
        """Return the offset with which the group goes on: the committed one, or the log's first."""

    def end_offset(self, partition: int) -> int:
        """Return the offset that the log's next message will get."""

    def rewind(self, partition: int, offset: int) -> None:
        """Have the messages from `offset` on delivered again."""


@dataclass(slots=True, eq=False)
class _Symbol(Generic[State]):
    """One symbol in this process; dropped as a whole when its partition leaves."""

    name: str
    partition: int
    state: State
    applied_offset: int
    # Held while a message is applied and its outputs are handed over, so that no checkpoint falls in between.
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_published: bool = False
    deliveries: list[Awaitable[Any]] = field(default_factory=list)
    uncovered: list[LogMessage] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Partition(Generic[State]):
    """One partition of the log in this process."""

    limit: PoisonLimit
    symbols: dict[str, _Symbol[State]] = field(default_factory=dict)
    next_offset: int | None = None
    ahead: int | None = None
    restart: int | None = None
    restarts: int = 0
    asked: tuple[int, int] = (-1, 0)
    letters: list[tuple[Awaitable[Any], LogMessage]] = field(default_factory=list)
    taken_over: list[str] = field(default_factory=list)
    is_lost: bool = False


class Driver(Generic[State]):
    """Feeds an engine from the log, a message at a time; all its methods run on one event loop."""

    def __init__(self, engine: Engine[State], settings: EngineSettings, outlet: Outlet) -> None:
        self._engine = engine
        self._settings = settings
        self._outlet = outlet
        self._partitions: dict[int, _Partition[State]] = {}
        self._checkpointing = asyncio.Lock()
        self._seconds = BATCH_SECONDS.labels("engine")
        self._letters = DEAD_LETTERS.labels(STAGE)
        self._active = SYMBOLS_ACTIVE.labels(STAGE)
        self._messages = MESSAGES_CONSUMED.labels(Topic.POSITION_EVENTS.label)
        self._rows = {kind: ROWS_CONSUMED.labels(kind) for kind in INPUT_KINDS}
        self.handled = 0
        """Messages handled so far; while it stands still, the worker is idle."""

    async def handle(self, message: LogMessage) -> None:
        """Apply one message of the log, or make it a dead letter.

        Raises:
            DeadLetterLimitExceeded: too many in a row were poison.
            FatalError: the log and the checkpoints do not belong together.
        """
        self.handled += 1
        partition = self._partition(message.partition)
        if partition.next_offset is None:
            partition.next_offset = await self._outlet.start_offset(message.partition)
        if not self._follows(partition, message):
            return
        partition.next_offset = message.offset + 1
        self._messages.inc()
        try:
            batch = read_batch(message, self._settings.maximum_lead_ms)
            symbol = self._symbol(partition, batch.symbol, message.partition)
            if message.offset <= symbol.applied_offset:
                self._skip(symbol, message)
            else:
                async with symbol.busy:
                    await self._apply(symbol, message, batch)
        except PoisonMessage as error:
            await self._bury(partition, message, error)
        else:
            partition.limit.good()

    async def checkpoint(self) -> None:
        """Write the state of every symbol that has changed, then acknowledge the messages in it."""
        async with self._checkpointing:
            for partition in list(self._partitions.values()):
                await self._settle_letters(partition)
                changed = [each for each in partition.symbols.values() if each.uncovered or each.deliveries]
                for group in _groups(changed):
                    await asyncio.gather(*[self._save(partition, symbol) for symbol in group])

    async def publish_open_windows(self) -> None:
        """Send the still open windows of every symbol that has changed since, and of those just taken over.

        A predecessor may have written its last checkpoint and not its last open window, hence the latter.
        """
        for number, partition in list(self._partitions.items()):
            while partition.taken_over and not partition.is_lost:
                self._symbol(partition, partition.taken_over.pop(), number)
                await asyncio.sleep(0)
            for symbol in [each for each in partition.symbols.values() if not each.is_published]:
                async with symbol.busy:
                    symbol.is_published = True
                    for output in self._engine.snapshot(symbol.state):
                        await self._publish(symbol, output)
                await asyncio.sleep(0)

    async def ask_for_missed(self, assigned: Set[int]) -> None:
        """Ask again for what the log holds and has not delivered; for a moment at which nothing comes.

        `_follows` notices messages missed in a rebalance when a later one comes. Where none does, this is how
        they are noticed. `assigned` is the caller's living set of this worker's partitions.
        """
        for number in sorted(assigned):
            partition = self._partition(number)
            if partition.next_offset is None:
                partition.next_offset = await self._outlet.start_offset(number)
            # A rebalance may have come while that was asked.
            if partition.is_lost or number not in assigned:
                continue
            expected = partition.next_offset
            if self._outlet.end_offset(number) <= expected:
                continue
            offset, times = partition.asked
            partition.asked = (expected, times + 1 if offset == expected else 1)
            if partition.asked[1] <= _RESTARTS:
                _LOG.info("asking again for messages", partition=number, expected=expected)
                self._outlet.rewind(number, expected)

    def take_over(self, symbols: Iterable[tuple[str, int]]) -> None:
        """Note the symbols, with their partitions, whose checkpoints were read back after an assignment."""
        for name, number in symbols:
            self._partition(number).taken_over.append(name)

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget everything of partitions that were revoked: states, acknowledgements and deliveries alike."""
        for number in partitions:
            partition = self._partitions.pop(number, None)
            if partition is not None:
                partition.is_lost = True
        self._count_symbols()

    def _partition(self, number: int) -> _Partition[State]:
        partition = self._partitions.get(number)
        if partition is None:
            partition = self._partitions[number] = _Partition(PoisonLimit(self._settings.dead_letter_limit))
        return partition

    def _symbol(self, partition: _Partition[State], name: str, number: int) -> _Symbol[State]:
        symbol = partition.symbols.get(name)
        if symbol is not None:
            return symbol
        packed = self._outlet.saved(name)
        if packed is None:
            symbol = _Symbol(name, number, self._engine.new_state(name, self._settings), applied_offset=-1)
        else:
            saved = Checkpoint.unpack(packed)
            if saved.partition != number:
                raise FatalError(
                    f"{name} stands on partition {number} of the log, its checkpoint on {saved.partition}: "
                    "the partition count was changed; delete the changelog topic to rebuild from the log"
                )
            state = self._engine.load(saved.state, self._settings)
            symbol = _Symbol(name, number, state, saved.applied_offset)
        partition.symbols[name] = symbol
        self._count_symbols()
        return symbol

    def _count_symbols(self) -> None:
        self._active.set(sum(len(each.symbols) for each in self._partitions.values()))

    def _follows(self, partition: _Partition[State], message: LogMessage) -> bool:
        """Whether `message` comes next, or the log does not hold what comes before it.

        In a rebalance Faust may deliver messages that were fetched before it and go on from there, past the
        committed offset. They are asked for again then, and what is ahead is passed over until they come.
        """
        offset, expected, ahead = message.offset, partition.next_offset or 0, partition.ahead
        if offset <= expected:
            partition.ahead = partition.restart = None
            return True
        partition.ahead = offset
        if ahead is not None and offset > ahead:
            return False
        # The first message ahead, or the first after going back: only a hole is met there time and again.
        partition.restarts = partition.restarts + 1 if offset == partition.restart else 0
        partition.restart = offset
        origin = str(origin_of(message))
        if partition.restarts == _RESTARTS:
            _LOG.warning("the log has a hole", origin=origin, expected=expected)
            partition.ahead = partition.restart = None
            return True
        _LOG.info("asking again for messages", origin=origin, expected=expected)
        self._outlet.rewind(message.partition, expected)
        return False

    async def _apply(self, symbol: _Symbol[State], message: LogMessage, batch: Batch) -> None:
        with self._seconds.time():
            try:
                outputs = self._engine.apply(symbol.state, batch)
            except ValueError as error:
                raise PoisonMessage(f"The engine refuses this batch: {error}") from error
        self._rows[batch.kind].inc(batch.frame.height)
        symbol.applied_offset = message.offset
        symbol.is_published = False
        symbol.uncovered.append(message)
        for output in outputs:
            await self._publish(symbol, output)

    def _skip(self, symbol: _Symbol[State], message: LogMessage) -> None:
        if symbol.applied_offset >= self._outlet.end_offset(message.partition):
            raise FatalError(
                f"The checkpoint of {symbol.name} covers offset {symbol.applied_offset}, which the log "
                f"{origin_of(message).topic} has not reached: it was made anew; delete the changelog topic too"
            )
        self._outlet.acknowledge(message)

    async def _publish(self, symbol: _Symbol[State], output: Batch) -> None:
        topic = OUTPUT_TOPICS[output.kind]
        for part in _parts(output):
            headers, value = encode(part)
            symbol.deliveries.append(await self._outlet.send(topic, output.symbol.encode(), value, headers))
            MESSAGES_PUBLISHED.labels(topic.label).inc()

    async def _bury(self, partition: _Partition[State], message: LogMessage, error: PoisonMessage) -> None:
        self._letters.inc()
        _LOG.warning("dead letter", reason=error.reason, origin=str(origin_of(message)))
        headers = letter_headers(message, error.reason)
        delivery = await self._outlet.send(Topic.DEAD_LETTERS, message.key, message.value, headers)
        partition.letters.append((delivery, message))
        try:
            partition.limit.poison(error, origin_of(message))
        except FatalError:
            # The operator shall find the letters that the message speaks of.
            await self._settle_letters(partition)
            raise

    async def _settle_letters(self, partition: _Partition[State]) -> None:
        letters, partition.letters = partition.letters, []
        for delivery, message in letters:
            await delivery
            if not partition.is_lost:
                self._outlet.acknowledge(message)

    def _covered(self, symbol: _Symbol[State]) -> "_Covered":
        deliveries, symbol.deliveries = symbol.deliveries, []
        messages, symbol.uncovered = symbol.uncovered, []
        if not messages:
            return _Covered(None, deliveries, messages)
        state = self._engine.dump(symbol.state)
        packed = Checkpoint(symbol.partition, symbol.applied_offset, state).pack(symbol.name)
        return _Covered(packed, deliveries, messages)

    async def _save(self, partition: _Partition[State], symbol: _Symbol[State]) -> None:
        async with symbol.busy:
            covered = self._covered(symbol)
        await asyncio.gather(*covered.deliveries)
        if partition.is_lost or covered.packed is None:
            return
        await self._outlet.save(symbol.name, symbol.partition, covered.packed)
        CHECKPOINTS_WRITTEN.inc()
        CHECKPOINT_BYTES.labels(symbol.name).set(len(covered.packed))
        if not partition.is_lost:
            for message in covered.messages:
                self._outlet.acknowledge(message)


@dataclass(frozen=True, slots=True)
class _Covered:
    """What one checkpoint covers, taken at one moment; `packed` is None where only outputs were sent since."""

    packed: bytes | None
    deliveries: list[Awaitable[Any]]
    messages: list[LogMessage]


def _parts(batch: Batch) -> Iterator[Batch]:
    """Cut an output so that each part fits into a message."""
    if batch.frame.height <= _OUTPUT_ROWS:
        yield batch
        return
    for frame in batch.frame.iter_slices(_OUTPUT_ROWS):
        yield Batch(batch.kind, batch.venue, batch.symbol, batch.instrument, frame)


def _groups(symbols: list[_Symbol[State]]) -> Iterator[list[_Symbol[State]]]:
    for start in range(0, len(symbols), _SYMBOLS_AT_ONCE):
        yield symbols[start : start + _SYMBOLS_AT_ONCE]
