"""The REST client against a server on loopback, on a clock that the tests move: budgets, bans, failures."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from aiohttp import web

from ingest.poller import Poller
from ingest.rest import BannedError, RestClient
from ingest.venues.interface import Poll, RateLimit, Request, wrap
from liqheat.domain.market import Venue
from liqheat.platform.clock import ManualClock
from liqheat.platform.errors import PoisonMessage, TransientError

Answer = Callable[[web.Request, int], Awaitable[web.Response] | web.Response]
LIMIT = RateLimit("test", weight=100, seconds=10, used_header="x-used")


class Venues:
    """A served address, the requests it saw, and a client on a manual clock."""

    def __init__(self, client: RestClient, clock: ManualClock, url: str, seen: list[web.Request]) -> None:
        self.client, self.clock, self.url, self.seen = client, clock, url, seen

    def request(self, weight: float = 1.0, **extra: object) -> Request:
        return Request(self.url, LIMIT, weight=weight, **extra)  # type: ignore[arg-type]


@asynccontextmanager
async def served(
    answer: Callable[[int], web.Response],
    clock: ManualClock | None = None,
    venue: Venue = Venue.BINANCE,
    patience: float | None = None,
) -> AsyncIterator[Venues]:
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request)
        await request.read()
        return answer(len(seen))

    app = web.Application()
    app.router.add_route("*", "/path", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    clock = clock or ManualClock()
    try:
        async with RestClient(venue, clock, patience=patience) as client:
            yield Venues(client, clock, f"http://127.0.0.1:{runner.addresses[0][1]}/path", seen)
    finally:
        await runner.cleanup()


async def test_a_body_is_handed_back_whole_and_parameters_go_out() -> None:
    async with served(lambda _: web.Response(body=b'{"a": 1}')) as venue:
        assert await venue.client.fetch(venue.request(parameters={"symbol": "TAOUSDT"})) == b'{"a": 1}'
        assert await venue.client.fetch(venue.request(body=b'{"type":"meta"}')) == b'{"a": 1}'
    first, second = venue.seen
    assert (first.method, first.query["symbol"]) == ("GET", "TAOUSDT")
    assert (second.method, second.content_type) == ("POST", "application/json")


async def test_no_window_holds_more_than_the_budget() -> None:
    spent: list[float] = []

    async with served(lambda _: web.Response(text="[]")) as venue:
        for _ in range(60):
            await venue.client.fetch(venue.request(weight=5))
            spent.append(venue.clock.monotonic())
    for start in spent:
        assert sum(5 for time in spent if start <= time < start + LIMIT.seconds) <= LIMIT.weight
    # And it is used: 300 weight at 100 in 10 s would take 20 s after the first burst; an even refill takes 36.
    assert 20 <= spent[-1] - spent[0] <= 40


async def test_what_the_venue_counts_is_believed_when_it_counts_more() -> None:
    async with served(lambda _: web.Response(text="[]", headers={"x-used": "100"})) as venue:
        await venue.client.fetch(venue.request())
        assert venue.clock.slept == []
        await venue.client.fetch(venue.request(weight=10))
    assert sum(venue.clock.slept) == pytest.approx(10 / (100 * 0.75 / 10), rel=0.01)


class SharedClock(ManualClock):
    """A clock whose sleepers wait until `step` has moved it far enough, as several at once need."""

    async def sleep(self, seconds: float) -> None:
        due = self.monotonic() + seconds
        while self.monotonic() < due:  # noqa: ASYNC110 - time moves by itself only in steps
            await asyncio.sleep(0)

    async def step_until(self, done: Callable[[], bool], at_most: float) -> float:
        """Move on in tenths of a second until `done`; return how many seconds it took."""
        started = self.monotonic()
        while not done():
            assert self.monotonic() - started < at_most
            self.advance(0.1)
            await asyncio.sleep(0.001)
        return self.monotonic() - started


async def test_a_heavy_request_is_not_starved_by_light_ones() -> None:
    """As Hyperliquid's wallets, which ask for all that comes in, beside a recovery of ten times their weight."""
    clock = SharedClock()
    async with served(lambda _: web.Response(text="[]"), clock) as venue:

        async def ask_on() -> None:
            while True:
                await venue.client.fetch(venue.request(weight=2))

        light = [asyncio.create_task(ask_on()) for _ in range(8)]
        await clock.step_until(lambda: len(venue.seen) > 40, at_most=60)
        heavy = asyncio.create_task(venue.client.fetch(venue.request(weight=20)))
        took = await clock.step_until(heavy.done, at_most=60)
        for task in light:
            task.cancel()
        await asyncio.gather(*light, return_exceptions=True)
    # Its own weight, and one light request of each that was in line before it.
    assert took <= (20 + 8 * 2) / (100 * 0.75 / 10) + 1


async def test_a_budget_that_is_used_up_holds_up_no_other() -> None:
    clock = SharedClock()
    slow = RateLimit("slow", weight=1, seconds=3_600)
    async with served(lambda _: web.Response(text="[]"), clock) as venue:
        waiting = [asyncio.create_task(venue.client.fetch(Request(venue.url, slow))) for _ in range(20)]
        await clock.step_until(lambda: len(venue.seen) == 1, at_most=60)
        await clock.step_until(asyncio.create_task(venue.client.fetch(venue.request())).done, at_most=60)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("status", [429, 418])
async def test_a_ban_is_obeyed_by_every_request(status: int) -> None:
    def answer(number: int) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": "7"}) if number == 1 else web.Response(body=b"ok")

    async with served(answer) as venue:
        started = venue.clock.monotonic()
        with pytest.raises(TransientError) as limited:
            await venue.client.fetch(venue.request(), attempts=1)
        assert limited.value.retry_after == 7
        assert await venue.client.fetch(venue.request(), attempts=1) == b"ok"
        assert venue.clock.monotonic() - started >= 7


async def test_a_ban_without_a_time_is_a_minute() -> None:
    async with served(lambda number: web.Response(status=429 if number == 1 else 200, text="[]")) as venue:
        started = venue.clock.monotonic()
        await venue.client.fetch(venue.request())
        assert venue.clock.monotonic() - started >= 60


async def test_a_ban_by_403_stops_all_requests_for_ten_minutes() -> None:
    def answer(number: int) -> web.Response:
        return web.Response(status=403, text="too frequent") if number == 1 else web.Response(body=b"ok")

    async with served(answer, venue=Venue.BYBIT) as venue:
        started = venue.clock.monotonic()
        assert await venue.client.fetch(venue.request()) == b"ok"
        assert venue.clock.monotonic() - started >= 600
        assert len(venue.seen) == 2


async def test_the_end_of_a_ban_is_read_from_the_message_and_from_a_date() -> None:
    def answer(number: int) -> web.Response:
        now = venue.clock.now_ms()
        of_venue = {"Date": formatdate(now / 1_000, usegmt=True)}
        if number == 1:
            until = f"Way too many requests; IP banned until {now + 90_000}."
            return web.json_response({"code": -1003, "msg": until}, status=418, headers=of_venue)
        if number == 2:
            date = formatdate((now + 40_000) / 1_000, usegmt=True)
            return web.Response(status=429, headers={"Retry-After": date} | of_venue)
        return web.Response(body=b"ok")

    async with served(answer) as venue:
        started = venue.clock.monotonic()
        assert await venue.client.fetch(venue.request()) == b"ok"
        assert 128 <= venue.clock.monotonic() - started <= 150


async def test_busy_with_status_200_is_asked_again() -> None:
    busy = (
        {"retCode": 10006, "retMsg": "Too many visits!", "result": {}},
        {"retCode": 10016, "retMsg": "server busy", "result": {}},
    )
    good = {"retCode": 0, "retMsg": "OK", "result": {"list": []}}
    async with served(lambda number: web.json_response((*busy, good)[number - 1]), venue=Venue.BYBIT) as venue:
        started = venue.clock.monotonic()
        assert json.loads(await venue.client.fetch(venue.request())) == good
        assert venue.clock.monotonic() - started >= 5
    async with served(lambda _: web.json_response(busy[0]), venue=Venue.BYBIT) as venue:
        with pytest.raises(TransientError, match="Too many visits"):
            await venue.client.fetch(venue.request(), attempts=3)
        assert len(venue.seen) == 3


async def test_a_web_page_with_status_200_is_no_body() -> None:
    async with served(lambda _: web.Response(text="<html>checking</html>", content_type="text/html")) as venue:
        with pytest.raises(TransientError, match=r"web page \(HTML\)"):
            await venue.client.fetch(venue.request(), attempts=2)


async def test_a_command_that_somebody_waits_for_says_a_long_ban_at_once() -> None:
    async with served(lambda _: web.Response(status=403), patience=10.0) as venue:
        with pytest.raises(BannedError, match="403"):
            await venue.client.fetch(venue.request())
        with pytest.raises(BannedError, match="limits our requests for another 300 s"):
            await venue.client.fetch(venue.request())
        assert len(venue.seen) == 1, "a ban is not asked into"


async def test_maintenance_is_tried_again_and_given_up_as_transient() -> None:
    async with served(lambda number: web.Response(status=503 if number < 3 else 200, body=b"up")) as venue:
        assert await venue.client.fetch(venue.request()) == b"up"
        assert len(venue.seen) == 3
    async with served(lambda _: web.Response(status=503, text="down for maintenance")) as venue:
        with pytest.raises(TransientError, match="503: down for maintenance"):
            await venue.client.fetch(venue.request(), attempts=2)
        assert len(venue.seen) == 2


async def test_a_refused_request_is_poison_and_not_tried_again() -> None:
    async with served(lambda _: web.json_response({"code": -1121}, status=400)) as venue:
        with pytest.raises(PoisonMessage, match="-1121"):
            await venue.client.fetch(venue.request())
        assert len(venue.seen) == 1


async def test_a_venue_out_of_reach_is_transient() -> None:
    async with RestClient(Venue.BINANCE, ManualClock()) as client:
        with pytest.raises(TransientError, match="cannot be reached"):
            await client.fetch(Request("http://127.0.0.1:9/path", LIMIT), attempts=2)


class Done(Exception):
    """Ends a poller from the inside."""


class PollHandler:
    """Notes frames with their times, and ends the run after `enough` of them."""

    def __init__(self, clock: ManualClock, enough: int) -> None:
        self.clock, self.enough = clock, enough
        self.frames: list[tuple[float, bytes]] = []
        self.holes: list[tuple[str, int, int, int, str]] = []

    async def handle(self, frame: bytes, stream: str) -> tuple[()]:
        self.frames.append((self.clock.monotonic(), frame))
        if len(self.frames) == self.enough:
            raise Done
        return ()

    async def recover(self, *_: object) -> None:
        raise AssertionError("a poller recovers no connection")

    def missed(self, stream: str, start: int, end: int, count: int, reason: str) -> None:
        self.holes.append((stream, start, end, count, reason))


class ScriptedRest:
    """Answers from a script by turn: a body, or an error."""

    def __init__(self, script: Callable[[Request, int], bytes]) -> None:
        self.script = script
        self.turns = 0

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        self.turns += 1
        return self.script(request, self.turns)


async def polled(rest: ScriptedRest, polls: list[Poll], enough: int) -> PollHandler:
    clock = ManualClock(0)
    handler = PollHandler(clock, enough)
    with pytest.raises(ExceptionGroup) as ended:
        await Poller(polls, rest, handler, clock).run()
    assert ended.group_contains(Done)
    return handler


async def test_failed_polls_are_one_hole_once_they_work_again() -> None:
    def script(_: Request, turn: int) -> bytes:
        if turn in (2, 3):
            raise TransientError("429")
        return b"{}"

    poll = Poll("openInterest", 10.0, (Request("u", LIMIT, stream="TAOUSDT@openInterest"),))
    handler = await polled(ScriptedRest(script), [poll], enough=3)
    assert handler.frames[0] == (0.0, wrap("TAOUSDT@openInterest", b"{}"))
    assert [time for time, _ in handler.frames] == [0.0, 30.0, 40.0]
    assert handler.holes == [("TAOUSDT@openInterest", 0, 30_000, 2, "429")]


async def test_answers_that_a_ban_held_up_are_a_hole_though_none_failed() -> None:
    clock = ManualClock(0)

    class Banned:
        async def fetch(self, request: Request, attempts: int = 5) -> bytes:
            if clock.monotonic() == 10:
                await clock.sleep(45)
            return b"{}"

    poll = Poll("openInterest", 10.0, (Request("u", LIMIT, stream="TAOUSDT@openInterest"),))
    handler = PollHandler(clock, enough=3)
    with pytest.raises(ExceptionGroup):
        await Poller([poll], Banned(), handler, clock).run()
    assert [time for time, _ in handler.frames] == [0.0, 55.0, 60.0]
    assert handler.holes == [("TAOUSDT@openInterest", 0, 55_000, 5, "the answer came late")]


async def test_failures_up_to_the_end_are_a_hole_too() -> None:
    def script(_: Request, turn: int) -> bytes:
        if turn > 1:
            raise TransientError("503")
        return b"{}"

    clock = ManualClock(0)
    handler = PollHandler(clock, enough=9)
    poll = Poll("openInterest", 10.0, (Request("u", LIMIT, stream="TAOUSDT@openInterest"),))
    running = asyncio.create_task(Poller([poll], ScriptedRest(script), handler, clock).run())
    while clock.monotonic() < 30:  # noqa: ASYNC110 - the poller itself moves the clock
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    ((stream, start, end, count, reason),) = handler.holes
    assert (stream, start, reason) == ("TAOUSDT@openInterest", 0, "503")
    assert end >= 30_000
    assert count >= 2


async def test_a_wrapped_frame_names_its_stream() -> None:
    assert wrap("TAOUSDT@klines", b"[]") == b'{"stream":"TAOUSDT@klines","data":[]}'
