"""The connection runner against a WebSocket server on loopback: loss, silence, overlap, lost subscriptions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from aiohttp import web

from ingest.connection import ConnectionPolicy, ConnectionRunner
from ingest.venues.interface import Connection, Ping
from ingest.watch import EXPECTED_KINDS, Stream
from liqheat.domain.events import Kind
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.platform.clock import ManualClock, SystemClock
from liqheat.platform.retry import BackOff
from tests.support.waiting import until

TAO = Instrument(Venue.BINANCE, "TAOUSDT", "TAO")
WLD = Instrument(Venue.BINANCE, "WLDUSDT", "WLD")
QUICK = ConnectionPolicy(
    silence_limit=0.4, reconnect_after=60.0, overlap=0.05, backoff_initial=0.01, backoff_maximum=0.02, healthy_after=0.0
)

Session = Callable[[web.WebSocketResponse, int], Awaitable[None]]


class Handler:
    """Notes what it is handed; a frame speaks of all streams of the symbols it names, or of the kinds it names."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.recoveries: list[tuple[int, int, str]] = []
        self.order: list[str] = []
        self.lost: list[list[Stream]] = []

    async def handle(self, frame: bytes, stream: str) -> Collection[Stream] | None:
        self.frames.append(frame)
        self.order.append(frame.decode())
        kinds = [kind for kind in Kind if kind.value.encode() in frame] or EXPECTED_KINDS
        symbols = [item for item in (TAO, WLD) if item.symbol.encode() in frame]
        return [Stream(item.name, kind) for item in symbols for kind in kinds] or ([] if b"known" in frame else None)

    async def recover(
        self, connection: Connection, start: int, end: int, reason: str, lost: Collection[Stream] = ()
    ) -> None:
        self.recoveries.append((start, end, reason))
        self.lost.append(list(lost))
        self.order.append("recovery")

    def missed(self, stream: str, start: int, end: int, count: int, reason: str) -> None:
        raise AssertionError("a connection misses no polls")


@asynccontextmanager
async def running(
    session_of: Session,
    policy: ConnectionPolicy = QUICK,
    resume_from: int | None = None,
    instruments: tuple[Instrument, ...] = (TAO,),
    ping: Ping | None = None,
    handler: Handler | None = None,
) -> AsyncIterator[Handler]:
    """Serve each connection by `session_of(socket, number)` and run a runner against it."""
    numbers = iter(range(1_000))

    async def accept(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await session_of(socket, next(numbers))
        return socket

    app = web.Application()
    app.router.add_get("/market", accept)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    handler = handler or Handler()
    connection = Connection("market", f"http://127.0.0.1:{port}/market", instruments, ('{"subscribe":1}',), ping=ping)
    async with aiohttp.ClientSession() as session:
        feed = ConnectionRunner(Venue.BINANCE, connection, handler, policy, SystemClock(), session, resume_from)
        task = asyncio.create_task(feed.run())
        try:
            yield handler
            assert not task.done(), "the runner goes on"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await runner.cleanup()


async def speak(socket: web.WebSocketResponse, text: str, times: int = 10_000) -> None:
    with suppress(ConnectionResetError):
        for _ in range(times):
            await socket.send_str(text)
            await asyncio.sleep(0.02)


async def test_a_greeting_is_no_answer_to_the_subscriptions() -> None:
    """What REST says has to join on to what the venue sends once it has read our subscriptions, not before."""
    subscribed = asyncio.Event()

    async def serve(socket: web.WebSocketResponse, _: int) -> None:
        await socket.send_str('{"type":"connected","connection_id":"1"}')
        await socket.receive_str()
        await asyncio.sleep(0.3)
        subscribed.set()
        await socket.send_str('{"type":"subscribed"}')
        await speak(socket, "TAO")

    class Late(Handler):
        async def recover(
            self, connection: Connection, start: int, end: int, reason: str, lost: Collection[Stream] = ()
        ) -> None:
            assert subscribed.is_set(), "recovered before the venue had our subscriptions"
            await super().recover(connection, start, end, reason, lost)

    async with running(serve, resume_from=1, handler=Late()) as handler:
        await until(lambda: len(handler.frames) > 3)
    assert handler.order[:3] == ["recovery", '{"type":"connected","connection_id":"1"}', '{"type":"subscribed"}']


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [(403, {}, 300.0), (429, {"Retry-After": "7"}, 7.0), (503, {"Retry-After": "90"}, 90.0)],
)
async def test_a_handshake_that_is_refused_by_a_ban_is_waited_out(
    status: int, headers: dict[str, str], seconds: float
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers)

    app = web.Application()
    app.router.add_get("/market", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    connection = Connection("market", f"http://127.0.0.1:{runner.addresses[0][1]}/market", (TAO,))
    clock = ManualClock()
    async with aiohttp.ClientSession() as session:
        feed = ConnectionRunner(Venue.BINANCE, connection, Handler(), QUICK, clock, session)
        task = asyncio.create_task(feed.run())
        try:
            await until(lambda: clock.slept)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await runner.cleanup()
    assert clock.slept[0] == pytest.approx(seconds)


async def test_it_subscribes_and_hands_frames_over() -> None:
    said: list[str] = []

    async def serve(socket: web.WebSocketResponse, _: int) -> None:
        said.append(await socket.receive_str())
        await speak(socket, "TAO")

    async with running(serve) as handler:
        await until(lambda: len(handler.frames) > 2)
    assert said == ['{"subscribe":1}']
    assert handler.recoveries == []


async def test_a_lost_connection_is_replaced_and_its_hole_read_before_the_next_frame() -> None:
    async def serve(socket: web.WebSocketResponse, number: int) -> None:
        if number == 0:
            await socket.send_str("TAO before")
            await socket.close()
        else:
            await speak(socket, "TAO after")

    async with running(serve) as handler:
        await until(lambda: b"TAO after" in handler.frames)
    assert handler.order[:3] == ["TAO before", "recovery", "TAO after"]
    start, end, reason = handler.recoveries[0]
    assert start < end
    assert reason.startswith("disconnected")


async def test_a_silent_connection_is_replaced_though_it_pongs() -> None:
    async def serve(socket: web.WebSocketResponse, number: int) -> None:
        await speak(socket, "TAO", times=2)
        await speak(socket, "pong" if number == 0 else "TAO again")

    async with running(serve) as handler:
        await until(lambda: b"TAO again" in handler.frames)
    assert [reason for _, _, reason in handler.recoveries] == ["silence: nothing for 0.4 s"]


async def test_a_stream_that_fell_silent_is_renewed_while_the_others_go_on() -> None:
    """Trades of WLD are lost while its marks and all of TAO go on: only they are read again, and nothing else stops."""
    connections: list[int] = []

    async def serve(socket: web.WebSocketResponse, number: int) -> None:
        connections.append(number)
        with suppress(ConnectionResetError):
            while True:
                for text in ("TAO", "WLD marks", *(["WLD trades again"] if number else [])):
                    await socket.send_str(text)
                await asyncio.sleep(0.02)

    policy = ConnectionPolicy(silence_limit=0.2, overlap=0.05, backoff_initial=0.01, stream_silence_factor=2.0)
    async with running(serve, policy, instruments=(TAO, WLD)) as handler:
        await until(lambda: b"WLD trades again" in handler.frames)
    assert connections == [0, 1]
    assert handler.lost == [[Stream("WLDUSDT", Kind.TRADES)]]
    assert [reason for _, _, reason in handler.recoveries] == ["subscription lost: no trades of WLDUSDT"]
    assert handler.order.index("recovery") < handler.order.index("WLD trades again")


async def test_a_stream_that_stays_silent_is_renewed_ever_more_rarely() -> None:
    connections: list[int] = []

    async def serve(socket: web.WebSocketResponse, number: int) -> None:
        connections.append(number)
        await speak(socket, "TAO")

    policy = ConnectionPolicy(silence_limit=0.1, overlap=0.0, backoff_initial=0.01, stream_silence_factor=1.0)
    async with running(serve, policy, instruments=(TAO, WLD)) as handler:
        await until(lambda: len(connections) == 3)
        await asyncio.sleep(0.8)
    # At an even pace there would be at least ten; a busy machine sleeps longer than it was told.
    assert len(connections) <= 7, "after 0.1, 0.2, 0.4 and 0.8 s"
    assert all(lost == [Stream("WLDUSDT", Kind.MARKS), Stream("WLDUSDT", Kind.TRADES)] for lost in handler.lost)


async def test_before_the_venues_limit_the_connection_is_replaced_with_an_overlap() -> None:
    """Every number is heard: the old connection is read until the new one has spoken."""
    counter = iter(range(100_000))
    subscribers: set[web.WebSocketResponse] = set()

    async def serve(socket: web.WebSocketResponse, _: int) -> None:
        await socket.receive_str()
        subscribers.add(socket)
        async for _message in socket:
            pass
        subscribers.discard(socket)

    async def publish() -> None:
        while True:
            text = f"TAO {next(counter)}"
            for socket in [item for item in subscribers if not item.closed]:
                await socket.send_str(text)
            await asyncio.sleep(0.005)

    policy = ConnectionPolicy(silence_limit=5.0, reconnect_after=0.3, overlap=0.05)
    publishing = asyncio.create_task(publish())
    async with running(serve, policy) as handler:
        await until(lambda: len(handler.frames) > 200)
    publishing.cancel()
    numbers = [int(frame.split()[1]) for frame in handler.frames]
    assert len(numbers) > len(set(numbers)), "some are heard on both sides"
    assert sorted(set(numbers)) == list(range(min(numbers), max(numbers) + 1)), "none is missed"
    assert handler.recoveries == []


async def test_a_successor_that_sends_only_what_is_known_is_a_good_one() -> None:
    """The slower of two connections says everything second, and every event of it is dropped."""
    connections: list[int] = []

    async def serve(socket: web.WebSocketResponse, number: int) -> None:
        connections.append(number)
        await speak(socket, "TAO" if number == 0 else "known", times=50)
        await speak(socket, "TAO")

    policy = ConnectionPolicy(silence_limit=0.3, reconnect_after=0.1, overlap=0.02)
    async with running(serve, policy) as handler:
        await until(lambda: len(connections) > 4)
    assert handler.recoveries == []


async def test_the_time_since_the_history_is_read_before_the_first_frame() -> None:
    async def serve(socket: web.WebSocketResponse, _: int) -> None:
        await speak(socket, "TAO")

    async with running(serve, resume_from=123) as handler:
        await until(lambda: len(handler.frames) > 1)
    assert handler.order[0] == "recovery"
    assert handler.recoveries[0][0] == 123


async def test_it_pings_as_the_venue_wants() -> None:
    said: list[str] = []

    async def serve(socket: web.WebSocketResponse, _: int) -> None:
        async for message in socket:
            said.append(message.data)
            await socket.send_str("TAO")

    async with running(serve, ping=Ping("ping", 0.05)):
        await until(lambda: said.count("ping") >= 3)


def test_waiting_doubles_with_jitter_up_to_a_limit_and_starts_small_again() -> None:
    backoff = BackOff(1.0, 8.0)
    waits = [backoff.next() for _ in range(200)]
    for wait, span in zip(waits, [1.0, 2.0, 4.0, 8.0, 8.0], strict=False):
        assert span / 2 <= wait <= span
    assert len({round(wait, 6) for wait in waits[10:]}) > 100, "jittered"
    backoff.reset()
    assert backoff.next() <= 1.0


async def test_a_venue_that_is_down_is_tried_again() -> None:
    handler = Handler()
    async with aiohttp.ClientSession() as session:
        connection = Connection("market", "http://127.0.0.1:9/market", (TAO,))
        feed = ConnectionRunner(Venue.BINANCE, connection, handler, QUICK, SystemClock(), session)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(feed.run(), 0.3)
    assert handler.frames == []
