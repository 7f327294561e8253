"""Listening without a broker: a venue's sockets and polls as in the live service, kept as raw frames.

`RecordingHandler` sits where an intake sits, so connections, polls and reconnects are the very same code.
"""

import asyncio
from collections.abc import Collection, Sequence

from ingest.connection import ConnectionPolicy, ConnectionRunner
from ingest.outbound import outbound_session
from ingest.poller import Poller
from ingest.recording.frames import Recorder
from ingest.rest import RestClient
from ingest.universe import choose
from ingest.venues.interface import Connection, Request, Rest, wrap
from ingest.venues.registry import feed_for
from ingest.watch import EXPECTED_KINDS, Stream
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.platform.clock import Clock
from liqheat.platform.settings import Settings

_FLUSH_SECONDS = 5.0


class RecordingHandler:
    """A `FrameHandler` that keeps frames instead of mapping them."""

    def __init__(self, recorder: Recorder, clock: Clock, instruments: Sequence[Instrument]) -> None:
        self._recorder = recorder
        self._clock = clock
        self._streams = [Stream(instrument.name, kind) for instrument in instruments for kind in EXPECTED_KINDS]

    async def handle(self, frame: bytes, stream: str) -> Collection[Stream] | None:
        """Write the frame; unmapped, it counts as speaking of everything."""
        self._recorder.write(self._clock.now_ms(), stream, frame)
        return self._streams

    async def recover(
        self, connection: Connection, start: int, end: int, reason: str, lost: Collection[Stream] = ()
    ) -> None:
        """Leave the hole: a recording shows what was heard, and its ids show what was not."""

    def missed(self, stream: str, start: int, end: int, count: int, reason: str) -> None:
        """Leave the hole."""


class RecordingRest:
    """A REST client that keeps the bodies it hands out, so that a replay knows contracts and tiers too."""

    def __init__(self, rest: Rest, recorder: Recorder, clock: Clock) -> None:
        self._rest = rest
        self._recorder = recorder
        self._clock = clock

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        """Fetch and keep; see `ingest.venues.interface.Rest`."""
        body = await self._rest.fetch(request, attempts)
        frame = wrap(request.stream, body) if request.stream else body
        self._recorder.write(self._clock.now_ms(), "rest", frame)
        return body


async def record_venue(settings: Settings, venue: Venue, recorder: Recorder, clock: Clock) -> None:
    """Record `venue` until cancelled: what it lists and its margin tiers first, then every frame.

    Raises:
        TransientError: the venue cannot be reached.
    """
    feed = feed_for(venue, settings)
    policy = ConnectionPolicy.of(settings.ingest)
    async with RestClient(venue, clock) as client, outbound_session() as session:
        rest = RecordingRest(client, recorder, clock)
        universe = choose(venue, await feed.listings(rest, clock.now_ms()), settings.ingest.symbols)
        instruments = universe.instruments
        await feed.margin_tiers(instruments, rest)
        async with asyncio.TaskGroup() as group:
            for connection in feed.connections(instruments):
                handler = RecordingHandler(recorder, clock, connection.instruments)
                runner = ConnectionRunner(venue, connection, handler, policy, clock, session)
                group.create_task(runner.run(), name=connection.name)
            # The polls keep their bodies by the handler, wrapped as a mapper will read them.
            handler = RecordingHandler(recorder, clock, instruments)
            group.create_task(Poller(feed.polls(instruments), client, handler, clock).run(), name="polls")
            group.create_task(_flush(recorder, clock), name="flush")


async def _flush(recorder: Recorder, clock: Clock) -> None:
    while True:
        await clock.sleep(_FLUSH_SECONDS)
        recorder.flush()
