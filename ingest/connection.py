"""The WebSocket runner: one `Connection` of a venue kept alive for as long as the service runs.

It connects, subscribes, pings, and hands every frame to a `FrameHandler`. A connection that is lost or silent is
replaced with jittered back-off, and the hole is read by REST before the new one is read on. Before the venue's own
limit (24 h), and when a single stream falls silent, it is replaced with an overlap, so that no other stream misses
anything.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import structlog
from aiohttp.http import WSMessageDecodeText, WSMessageNoDecodeText

from ingest.intake import CLOCK_MARGIN_MS, FrameHandler
from ingest.outbound import socket_proxy
from ingest.venues.answers import pause_in, pause_of
from ingest.venues.interface import Connection
from ingest.watch import Stream, StreamWatch
from liqheat.domain.market import Venue
from liqheat.platform import metrics
from liqheat.platform.clock import Clock
from liqheat.platform.retry import BackOff
from liqheat.platform.settings import Ingest

log = structlog.get_logger(__name__)

_CLOSE_SECONDS = 2.0
_MAXIMUM_FRAME_BYTES = 32 * 1024 * 1024
# How long a venue may take to answer our subscriptions; then a hole is read without waiting for it.
_ANSWER_SECONDS = 2.0
_SHORT_FRAME = 500
"""Greetings and errors are no longer (bytes)."""

_Message = WSMessageDecodeText | WSMessageNoDecodeText


@dataclass(frozen=True, slots=True)
class ConnectionPolicy:
    """When a connection is replaced, and how patiently; seconds throughout.

    `reconnect_after` is shortened at random by up to a tenth, so that connections opened together are not
    replaced together. A single stream may be quiet `stream_silence_factor` times as long as a connection, or
    longer where it usually is.
    """

    silence_limit: float = 30.0
    reconnect_after: float = 82_800.0
    overlap: float = 2.0
    backoff_initial: float = 0.5
    backoff_maximum: float = 30.0
    healthy_after: float = 30.0
    stream_silence_factor: float = 4.0

    @classmethod
    def of(cls, settings: Ingest) -> "ConnectionPolicy":
        """Read the policy from the settings."""
        return cls(silence_limit=settings.silence_limit, reconnect_after=settings.reconnect_after)


class _Link:
    """One physical connection: socket, reader and pinger."""

    def __init__(
        self,
        socket: "aiohttp.ClientWebSocketResponse[bool]",
        first: Sequence[_Message],
        now: float,
        now_ms: int,
    ) -> None:
        self.socket = socket
        self.first = deque(first)
        """What came while we waited for an answer to our subscriptions."""
        self.opened_at = now
        self.last_event_at = now
        self.last_event_ms = now_ms
        self.heard = asyncio.Event()
        self.asked_until = 0.0
        """Until when the venue wants to be left alone (monotonic s), as it said on this connection."""
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
            # The client's wait starts again with each frame that still comes, so the limit has to be around it.
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
        names = [instrument.name for instrument in connection.instruments]
        self._watch = StreamWatch(names, self._silence_limit * policy.stream_silence_factor)
        self._lost: list[Stream] = []
        self._overdue = asyncio.Event()

    def drop(self, instrument: str) -> None:
        """Expect nothing more of an instrument that is let go; what still comes of it yields nothing."""
        self._watch.drop(instrument)
        self._lost = [stream for stream in self._lost if stream.instrument != instrument]

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
        await self._wait_until_due(current)
        if self._clock.monotonic() - current.opened_at > self._policy.healthy_after:
            self._backoff.reset()
        if not current.is_reading:
            # An error of the reader itself (a fatal one, or a mistake of ours) ends the service here.
            reason = current.reader.result()
            log.warning("A connection was lost", venue=self._venue.value, name=self._connection.name, reason=reason)
            await self._clock.sleep(self._backoff.next())
        await self._clock.sleep(max(0.0, current.asked_until - self._clock.monotonic()))
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

    async def _wait_until_due(self, current: _Link) -> None:
        """Wait until the connection ends, a stream of it is overdue, or it is old."""
        assert current.reader is not None  # noqa: S101 - every current link has been started
        lifetime = self._policy.reconnect_after * (1.0 - random.random() / 10)  # noqa: S311 - jitter
        overdue = asyncio.create_task(self._overdue.wait())
        old = asyncio.create_task(self._clock.sleep(lifetime))
        try:
            await asyncio.wait({current.reader, overdue, old}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            overdue.cancel()
            old.cancel()

    async def _replace(self, current: _Link, successor: _Link) -> None:
        """Read by REST what the lost connection missed, then read its successor on."""
        assert current.reader is not None  # noqa: S101 - every current link has been started
        reason = current.reader.result()
        metrics.RECONNECTS.labels(self._venue.value, reason.partition(":")[0]).inc()
        self._take_lost()
        start = current.last_event_ms - CLOCK_MARGIN_MS
        await self._handler.recover(self._connection, start, self._clock.now_ms(), reason)
        self._start(successor)

    async def _overlap(self, current: _Link, successor: _Link) -> None:
        """Read both until the successor has spoken and a little longer; the mapper drops what comes twice.

        What lost streams missed is read by REST while their new frames still wait in the successor's socket.
        """
        lost = self._take_lost()
        metrics.RECONNECTS.labels(self._venue.value, "subscription lost" if lost else "planned").inc()
        if lost:
            reason = f"subscription lost: no {', no '.join(map(str, lost))}"
            log.warning("Subscriptions were lost", venue=self._venue.value, name=self._connection.name, reason=reason)
            now = self._clock.now_ms()
            await self._handler.recover(self._connection, now, now, reason, lost)
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

    def _take_lost(self) -> list[Stream]:
        lost, self._lost = self._lost, []
        self._overdue.clear()
        return lost

    async def _open(self) -> _Link:
        """Connect and subscribe, with back-off, until it works."""
        while True:
            try:
                socket = await self._session.ws_connect(
                    self._connection.url,
                    decode_text=False,
                    max_msg_size=_MAXIMUM_FRAME_BYTES,
                    proxy=socket_proxy(self._connection.url),
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                )
                try:
                    for message in self._connection.subscriptions:
                        await socket.send_str(message)
                        if self._connection.subscription_pause:
                            await self._clock.sleep(self._connection.subscription_pause)
                    first = await _first_messages(socket)
                except BaseException:
                    await socket.close()
                    raise
                log.info("Connected", venue=self._venue.value, name=self._connection.name)
                return _Link(socket, first, self._clock.monotonic(), self._clock.now_ms())
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                seconds = max(self._backoff.next(), self._pause_after(error))
                log.warning(
                    "Cannot connect",
                    venue=self._venue.value,
                    name=self._connection.name,
                    error=str(error) or type(error).__name__,
                    retry_seconds=round(seconds, 1),
                )
                await self._clock.sleep(seconds)

    def _pause_after(self, error: Exception) -> float:
        """Return how long the venue wants to be left alone, 0 where it does not say: a handshake is a request too."""
        if not isinstance(error, aiohttp.WSServerHandshakeError):
            return 0.0
        return pause_of(self._venue, error.status, error.headers or {}, b"", self._clock.now_ms())

    def _start(self, link: _Link) -> None:
        link.last_event_at = self._clock.monotonic()
        link.reader = asyncio.create_task(self._read(link), name=f"read {self._connection.name}")
        if self._connection.ping is not None:
            link.pinger = asyncio.create_task(self._keep_awake(link), name=f"ping {self._connection.name}")

    async def _read(self, link: _Link) -> str:
        """Read until the connection ends; return why."""
        tick = self._silence_limit / 4
        now = self._clock.monotonic()
        checked_at = now
        self._watch.restart(now)
        while True:
            message = link.first.popleft() if link.first else None
            try:
                message = message or await link.socket.receive(timeout=tick)
            except TimeoutError:
                message = None
            now = self._clock.monotonic()
            if message is not None:
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    # The reason of a close.
                    words = str(message.extra or "")
                    self._note_wish(link, words.encode(), now)
                    return f"disconnected: {message.type.name.lower()} {message.data or ''} {words}".rstrip()
                streams = await self._handler.handle(message.data, self._connection.name)
                if streams is None and len(message.data) < _SHORT_FRAME:
                    self._note_wish(link, bytes(message.data), now)
                if streams is not None:
                    now = link.last_event_at = self._clock.monotonic()
                    link.last_event_ms = self._clock.now_ms()
                    link.heard.set()
                    self._watch.heard(streams, now)
            if now - checked_at >= 2 * tick:
                # We were held up, so what is silent may be waiting to be read.
                self._watch.restart(now)
            if now - checked_at >= tick:
                checked_at = now
                if now - link.last_event_at >= self._silence_limit:
                    return f"silence: nothing for {self._silence_limit:g} s"
                if overdue := self._watch.overdue(now):
                    self._lost += overdue
                    self._overdue.set()

    def _note_wish(self, link: _Link, words: bytes, now: float) -> None:
        """Note for how long the venue wants to be left alone once this connection has ended, if it says so."""
        if pause := pause_in(words, self._clock.now_ms()):
            link.asked_until = max(link.asked_until, now + pause)

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


async def _first_messages(socket: "aiohttp.ClientWebSocketResponse[bool]") -> list[_Message]:
    """Return what the venue says first, a greeting and the message after it.

    Once the venue has answered, it has our subscriptions, and what REST says joins on. A greeting comes before it has
    read them, and is taken for no answer.
    """
    found: list[_Message] = []
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            while not found or _is_greeting(found[-1]):
                found.append(await socket.receive())
    except TimeoutError:
        pass
    return found


def _is_greeting(message: _Message) -> bool:
    """Whether a venue only says that we are connected."""
    data = message.data
    if not isinstance(data, str | bytes):
        return False
    text = data.encode() if isinstance(data, str) else data
    return len(text) < _SHORT_FRAME and (b'"connected"' in text or text.startswith(b"Websocket connection"))
