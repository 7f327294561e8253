"""The WebSocket runner: one `Connection` of a venue kept alive for as long as the service runs.

It connects, subscribes, pings, and hands every frame to a `FrameHandler`. A connection that is lost, silent,
or silent for one instrument is replaced with jittered back-off, and the hole is read by REST before the new
one is read on. Before the venue's own limit (24 h) it is replaced with an overlap, so that nothing is missed.
"""

import asyncio
import random
from dataclasses import dataclass

import aiohttp
import structlog

from ingest.contract import Connection
from ingest.intake import FrameHandler
from liqheat.domain.market import Venue
from liqheat.platform import metrics
from liqheat.platform.clock import Clock
from liqheat.platform.settings import Ingest

log = structlog.get_logger(__name__)

_CONNECT_SECONDS = 15.0
_CLOSE_SECONDS = 2.0
_MAXIMUM_FRAME_BYTES = 32 * 1024 * 1024
# The venue's clock is not ours: a hole is read from this much before the last event we had.
_CLOCK_MARGIN_MS = 3_000


@dataclass(frozen=True, slots=True)
class ConnectionPolicy:
    """When a connection is replaced, and how patiently; seconds throughout.

    `reconnect_after` is shortened at random by up to a tenth, so that connections opened together are not
    replaced together. An instrument may be quiet `instrument_silence_factor` times as long as a connection.
    """

    silence_limit: float = 30.0
    reconnect_after: float = 82_800.0
    overlap: float = 2.0
    backoff_initial: float = 0.5
    backoff_maximum: float = 30.0
    healthy_after: float = 30.0
    instrument_silence_factor: float = 4.0

    @classmethod
    def of(cls, settings: Ingest) -> "ConnectionPolicy":
        """Read the policy from the settings."""
        return cls(silence_limit=settings.silence_limit, reconnect_after=settings.reconnect_after)


class BackOff:
    """Exponential waiting with jitter; `reset` after success."""

    def __init__(self, initial: float, maximum: float) -> None:
        self._initial = initial
        self._maximum = maximum
        self._failures = 0

    def next(self) -> float:
        """Return the seconds to wait now: between half and all of a span that doubles up to the maximum."""
        span = min(self._maximum, self._initial * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return span * (0.5 + random.random() / 2)  # noqa: S311 - jitter is no secret

    def reset(self) -> None:
        """Start small again."""
        self._failures = 0


class _Link:
    """One physical connection: socket, reader and pinger."""

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse[bool]", now: float, now_ms: int) -> None:
        self.socket = socket
        self.opened_at = now
        self.last_event_at = now
        self.last_event_ms = now_ms
        self.heard = asyncio.Event()
        self.reader: asyncio.Task[str] | None = None
        self.pinger: asyncio.Task[None] | None = None

    @property
    def is_reading(self) -> bool:
        return self.reader is not None and not self.reader.done()

    async def close(self) -> None:
        for task in (self.reader, self.pinger):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in (self.reader, self.pinger) if task), return_exceptions=True)
        try:
            # The client waits anew after each frame that still comes, so the limit has to be around it.
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.socket.close()
        except TimeoutError:
            log.debug("A venue did not say goodbye; its connection was cut")


class ConnectionRunner:
    """Keeps one `Connection` alive; `run` ends only by cancellation or a fatal error."""

    def __init__(
        self,
        venue: Venue,
        connection: Connection,
        handler: FrameHandler,
        policy: ConnectionPolicy,
        clock: Clock,
        session: aiohttp.ClientSession,
        resume_from: int | None = None,
    ) -> None:
        """Prepare; `resume_from` (ms) is the end of the history, where the first recovery starts."""
        self._venue = venue
        self._connection = connection
        self._handler = handler
        self._policy = policy
        self._clock = clock
        self._session = session
        self._resume_from = resume_from
        self._backoff = BackOff(policy.backoff_initial, policy.backoff_maximum)
        self._silence_limit = connection.silence_limit or policy.silence_limit
        self._spoke_at: dict[str, float] = {}
        self._quiet: set[str] = set()

    async def run(self) -> None:
        """Connect and read, again and again."""
        current = await self._open()
        try:
            if self._resume_from is not None:
                end = self._clock.now_ms()
                reason = "between the history and the live feed"
                await self._handler.recover(self._connection, self._resume_from, end, reason)
            self._start(current)
            while True:
                current = await self._succeed(current)
        finally:
            await current.close()

    async def _succeed(self, current: _Link) -> _Link:
        """Wait until the connection ends or is due, and return its reading successor."""
        assert current.reader is not None  # noqa: S101 - every current link has been started
        lifetime = self._policy.reconnect_after * (1.0 - random.random() / 10)  # noqa: S311 - jitter
        await asyncio.wait({current.reader}, timeout=lifetime)
        if not current.is_reading:
            # An error of the reader itself (a fatal one, or a mistake of ours) ends the service here.
            reason = current.reader.result()
            log.warning("A connection was lost", venue=self._venue.value, name=self._connection.name, reason=reason)
            if self._clock.monotonic() - current.opened_at > self._policy.healthy_after:
                self._backoff.reset()
            await self._clock.sleep(self._backoff.next())
        successor = await self._open()
        try:
            if current.is_reading:
                await self._overlap(current, successor)
            else:
                await self._replace(current, successor)
        except BaseException:
            await successor.close()
            raise
        await current.close()
        return successor

    async def _replace(self, current: _Link, successor: _Link) -> None:
        """Read by REST what the lost connection missed, then read its successor on."""
        assert current.reader is not None  # noqa: S101 - every current link has been started
        reason = current.reader.result()
        metrics.RECONNECTS.labels(self._venue.value, reason.partition(":")[0]).inc()
        start = current.last_event_ms - _CLOCK_MARGIN_MS
        await self._handler.recover(self._connection, start, self._clock.now_ms(), reason)
        self._start(successor)

    async def _overlap(self, current: _Link, successor: _Link) -> None:
        """Read both until the successor has spoken and a little longer; the mapper drops what comes twice."""
        metrics.RECONNECTS.labels(self._venue.value, "planned").inc()
        self._start(successor)
        assert successor.reader is not None  # noqa: S101 - just started
        heard = asyncio.create_task(successor.heard.wait())
        try:
            await asyncio.wait({heard, successor.reader}, return_when=asyncio.FIRST_COMPLETED)
            await self._clock.sleep(self._policy.overlap)
        finally:
            heard.cancel()
        # Were the successor already gone, its hole would start where the old connection ended.
        successor.last_event_ms = max(successor.last_event_ms, current.last_event_ms)

    async def _open(self) -> _Link:
        """Connect and subscribe, with back-off, until it works."""
        while True:
            try:
                socket = await self._session.ws_connect(
                    self._connection.url,
                    decode_text=False,
                    max_msg_size=_MAXIMUM_FRAME_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                )
                try:
                    for message in self._connection.subscriptions:
                        await socket.send_str(message)
                        if self._connection.subscription_pause:
                            await self._clock.sleep(self._connection.subscription_pause)
                except BaseException:
                    await socket.close()
                    raise
                log.info("Connected", venue=self._venue.value, name=self._connection.name)
                return _Link(socket, self._clock.monotonic(), self._clock.now_ms())
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                seconds = self._backoff.next()
                log.warning(
                    "Cannot connect",
                    venue=self._venue.value,
                    name=self._connection.name,
                    error=str(error) or type(error).__name__,
                    retry_seconds=round(seconds, 1),
                )
                await self._clock.sleep(seconds)

    def _start(self, link: _Link) -> None:
        link.last_event_at = self._clock.monotonic()
        link.reader = asyncio.create_task(self._read(link), name=f"read {self._connection.name}")
        if self._connection.ping is not None:
            link.pinger = asyncio.create_task(self._keep_awake(link), name=f"ping {self._connection.name}")

    async def _read(self, link: _Link) -> str:
        """Read until the connection ends; return why."""
        tick = self._silence_limit / 4
        next_check = self._clock.monotonic() + tick
        for instrument in self._connection.instruments:
            if instrument.name not in self._quiet:
                self._spoke_at[instrument.name] = self._clock.monotonic()
        while True:
            try:
                message = await link.socket.receive(timeout=tick)
            except TimeoutError:
                message = None
            now = self._clock.monotonic()
            if message is not None:
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    return f"disconnected: {message.type.name.lower()} {message.data or ''}".rstrip()
                spoken_of = await self._handler.handle(message.data, self._connection.name)
                if spoken_of:
                    now = link.last_event_at = self._clock.monotonic()
                    link.last_event_ms = self._clock.now_ms()
                    link.heard.set()
                    for instrument in spoken_of:
                        self._spoke_at[instrument.name] = now
            if now >= next_check:
                next_check = now + tick
                if now - link.last_event_at >= self._silence_limit:
                    return f"silence: nothing for {self._silence_limit:g} s"
                if silent := self._newly_silent(now):
                    return f"subscription lost: nothing of {', '.join(silent)}"

    def _newly_silent(self, now: float) -> list[str]:
        """Return instruments that fell silent on a connection that speaks, each once until it speaks again.

        A subscription may be lost alone; a delisted instrument is silent for ever and replacing the
        connection again would not help.
        """
        limit = self._silence_limit * self._policy.instrument_silence_factor
        silent = {name for name, spoke_at in self._spoke_at.items() if now - spoke_at >= limit}
        fresh = silent - self._quiet
        self._quiet = silent
        return sorted(fresh)

    async def _keep_awake(self, link: _Link) -> None:
        ping = self._connection.ping
        assert ping is not None  # noqa: S101 - started only with a ping
        while not link.socket.closed:
            await self._clock.sleep(ping.interval)
            try:
                await link.socket.send_str(ping.message)
            except (aiohttp.ClientError, OSError):
                # The reader sees the same end and acts on it.
                return
