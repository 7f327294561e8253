"""Which socket and which poll reads which instrument: one reader per instrument at any time, while listings change.

A contract that changes keeps its socket, and its mapper takes the new contract value from the next frame on. One that
goes is no longer mapped; a socket or poller without instruments ends. What still comes of it yields nothing, so that an
instrument which comes back is read once, by its new reader.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aiohttp

from ingest.connection import ConnectionPolicy, ConnectionRunner
from ingest.feed_health import Pulse
from ingest.intake import Intake
from ingest.poller import Poller
from ingest.publisher import Publisher
from ingest.refusals import RefusalLog
from ingest.venues.interface import Mapper, Rest, VenueFeed
from liqheat.domain.instruments import Instrument
from liqheat.platform.clock import Clock


@dataclass(frozen=True, slots=True)
class Changes:
    """What a listing changed: instruments to be taken up, those with another contract value, and those let go."""

    added: tuple[Instrument, ...] = ()
    changed: tuple[Instrument, ...] = ()
    gone: tuple[Instrument, ...] = ()


@dataclass(slots=True)
class _Reader:
    """One socket with its runner, or the polls of a group of instruments; `mapper` is the intake's own."""

    intake: Intake
    mapper: Mapper
    task: asyncio.Task[None]
    runner: ConnectionRunner | None = None
    poller: Poller | None = None


class Readers:
    """Starts, changes and ends the readers of one venue."""

    def __init__(
        self,
        feed: VenueFeed,
        policy: ConnectionPolicy,
        publisher: Publisher,
        rest: Rest,
        session: aiohttp.ClientSession,
        clock: Clock,
    ) -> None:
        self._feed = feed
        self._policy = policy
        self._publisher = publisher
        self._rest = rest
        self._session = session
        self._clock = clock
        self._refusals = RefusalLog(feed.venue)
        self._readers: list[_Reader] = []
        self._read: dict[str, Instrument] = {}
        self._connections_opened = 0
        self._of_tasks: Intake | None = None

    @property
    def intakes(self) -> list[Intake]:
        """The intakes of all readers, and that of the venue's own tasks."""
        return [*(reader.intake for reader in self._readers), *([self._of_tasks] if self._of_tasks else ())]

    @property
    def pulses(self) -> list[Pulse]:
        """What the sockets and polls hear; the venue's own tasks have no rhythm to judge."""
        return [reader.intake.pulse for reader in self._readers]

    @property
    def refusals(self) -> RefusalLog:
        """Where rows that are left out are counted."""
        return self._refusals

    def start(self, group: asyncio.TaskGroup, instruments: Sequence[Instrument], resume_from: int | None) -> None:
        """Read instruments that have no reader yet.

        `resume_from` (ms) is the end of the history, where the first recovery begins.
        """
        if not instruments:
            return
        for connection in self._feed.connections(instruments):
            self._connections_opened += 1
            mapper = self._feed.mapper(connection.instruments)
            intake = self._intake(mapper, connection.instruments)
            runner = ConnectionRunner(
                self._feed.venue, connection, intake, self._policy, self._clock, self._session, resume_from
            )
            task = group.create_task(runner.run(), name=f"{connection.name} {self._connections_opened}")
            self._readers.append(_Reader(intake, mapper, task, runner=runner))
        mapper = self._feed.mapper(instruments)
        intake = self._intake(mapper, instruments)
        poller = Poller(self._feed.polls(instruments), self._rest, intake, self._clock)
        task = group.create_task(poller.run(), name="polls")
        self._readers.append(_Reader(intake, mapper, task, poller=poller))
        self._read.update({instrument.name: instrument for instrument in instruments})

    def start_tasks(
        self,
        group: asyncio.TaskGroup,
        instruments: Sequence[Instrument],
        tasks_of: Callable[[Mapper, Intake], Sequence[Awaitable[None]]],
    ) -> None:
        """Start the venue's own tasks, with mapper and intake of their own, which outlive every reader."""
        mapper = self._feed.mapper(instruments)
        intake = self._intake(mapper, instruments)
        for task in tasks_of(mapper, intake):
            self._of_tasks = intake
            group.create_task(_awaited(task), name="venue's own")

    def follow(self, instruments: Sequence[Instrument]) -> None:
        """Let the venue's own tasks read exactly these instruments, however their readers came and went."""
        if self._of_tasks is not None and tuple(instruments) != self._of_tasks.instruments:
            self._of_tasks.want(instruments)

    def changes(self, instruments: Sequence[Instrument]) -> Changes:
        """Return what is different where exactly `instruments` are to be read; an instrument is known by its name."""
        wanted = {instrument.name: instrument for instrument in instruments}
        return Changes(
            tuple(item for name, item in wanted.items() if name not in self._read),
            tuple(item for name, item in wanted.items() if name in self._read and self._read[name] != item),
            tuple(item for name, item in self._read.items() if name not in wanted),
        )

    async def apply(self, changes: Changes) -> None:
        """Change or end readers; those of added instruments are started by `start`."""
        changed = {instrument.name: instrument for instrument in changes.changed}
        gone = {instrument.name for instrument in changes.gone}
        if not changed and not gone:
            return
        self._read = {name: changed.get(name, item) for name, item in self._read.items() if name not in gone}
        for reader in list(self._readers):
            own = reader.intake.instruments
            left = [changed.get(item.name, item) for item in own if item.name not in gone]
            if tuple(left) == own:
                continue
            reader.intake.want(left)
            for instrument in own:
                if instrument.name in gone:
                    self._let_go(reader, instrument.name)
            if not left:
                reader.task.cancel()
                await reader.intake.close()
                self._readers.remove(reader)

    async def close(self) -> None:
        """Give up what the intakes still fill."""
        for intake in self.intakes:
            await intake.close()

    def _let_go(self, reader: _Reader, name: str) -> None:
        if reader.runner is not None:
            reader.runner.drop(name)
        if reader.poller is not None:
            reader.poller.drop(name)

    def _intake(self, mapper: Mapper, instruments: Sequence[Instrument]) -> Intake:
        return Intake(self._feed, mapper, instruments, self._publisher, self._rest, self._clock, self._refusals)


async def _awaited(task: Awaitable[None]) -> None:
    await task
