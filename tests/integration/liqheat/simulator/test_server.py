"""The server over real sockets: streams, limits, faults exactly when asked for, and a clean stop of the process."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import polars as pl
import pytest

from liqheat.domain.market import Venue
from liqheat.platform.clock import ManualClock
from liqheat.platform.errors import ConfigurationError
from liqheat.simulator.exchange import Exchange
from liqheat.simulator.faults import Fault, Faults, Trigger, parse_faults
from liqheat.simulator.running import wires_for
from liqheat.simulator.server import SimulatorServer, environment_of, serving

STREAMS = "?streams=taousdt@aggTrade/taousdt@markPrice@1s/fartcoinusdt@markPrice@1s"


class Rig:
    """A server that is stepped by hand, and a client session beside it."""

    def __init__(self, server: SimulatorServer, clock: ManualClock, url: str, session: aiohttp.ClientSession) -> None:
        self.server, self.clock, self.url, self.session = server, clock, url, session

    @asynccontextmanager
    async def binance(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with self.session.ws_connect(f"{self.url}/binance/market/stream{STREAMS}") as socket:
            yield socket

    async def frames(self, socket: aiohttp.ClientWebSocketResponse, part: str, steps: int) -> list[aiohttp.WSMessage]:
        """Step, and return the frames that carry `part`, up to the mark of the other coin in the last step."""
        found: list[aiohttp.WSMessage] = []
        for _ in range(steps):
            self.server.step()
            while True:
                message = await socket.receive(timeout=5)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return [*found, message]
                if part in message.data:
                    found.append(message)
                if (
                    f'"taousdt@markPrice@1s","data":{{"e":"markPriceUpdate","E":{self.server.exchange.now}'
                    in message.data
                ):
                    break
        return found


@pytest.fixture
async def rig(exchange: Exchange) -> AsyncIterator[Rig]:
    clock = ManualClock()
    server = SimulatorServer(exchange, wires_for(exchange), clock)
    async with serving(server, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
        yield Rig(server, clock, url, session)


async def test_combined_streams_carry_what_was_asked_for(rig: Rig) -> None:
    async with rig.binance() as socket:
        frames = [json.loads(message.data) for message in await rig.frames(socket, "", 10)]
    assert {frame["stream"] for frame in frames} == set(STREAMS.removeprefix("?streams=").split("/"))
    marks = [frame["data"]["E"] for frame in frames if frame["stream"] == "taousdt@markPrice@1s"]
    assert marks == list(range(marks[0], marks[0] + 10_000, 1_000))


async def test_raw_streams_and_subscribe_messages(rig: Rig) -> None:
    async with rig.session.ws_connect(f"{rig.url}/binance/market/ws/taousdt@markPrice@1s") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["fartcoinusdt@markPrice@1s"], "id": 7})
        assert await socket.receive_json(timeout=5) == {"result": None, "id": 7}
        rig.server.step()
        first, second = await socket.receive_json(timeout=5), await socket.receive_json(timeout=5)
        assert {first["s"], second["s"]} == {"TAOUSDT", "FARTCOINUSDT"}
        await socket.send_json({"method": "UNSUBSCRIBE", "params": ["fartcoinusdt@markPrice@1s"], "id": 8})
        await socket.receive_json(timeout=5)
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 9})
        assert await socket.receive_json(timeout=5) == {"result": ["taousdt@markPrice@1s"], "id": 9}


async def test_aggregate_ids_leave_no_hole_without_a_fault(rig: Rig) -> None:
    async with rig.binance() as socket:
        frames = await rig.frames(socket, "aggTrade", 40)
    numbers = [json.loads(message.data)["data"]["a"] for message in frames]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_a_gap_loses_a_frame_and_its_id(rig: Rig) -> None:
    rig.server.faults.trigger(Trigger(Fault.GAP, match="aggTrade"))
    view = rig.server.exchange.views[Venue.BINANCE]["TAOUSDT"]
    async with rig.binance() as socket:
        frames = await rig.frames(socket, "aggTrade", 30)
    received = [json.loads(message.data)["data"]["a"] for message in frames]
    published = [row.identifier for row in view.recent_trades()][-len(received) - 1 :]
    assert received == published[1:]


async def test_a_duplicate_comes_twice(rig: Rig) -> None:
    rig.server.faults.trigger(Trigger(Fault.DUPLICATE, match="aggTrade"))
    async with rig.binance() as socket:
        frames = await rig.frames(socket, "aggTrade", 30)
    assert frames[0].data == frames[1].data
    assert len({message.data for message in frames}) == len(frames) - 1


async def test_a_malformed_frame_is_no_json(rig: Rig) -> None:
    rig.server.faults.trigger(Trigger(Fault.MALFORMED, match="fartcoinusdt@markPrice"))
    async with rig.binance() as socket:
        (broken,) = await rig.frames(socket, "fartcoinusdt@markPrice", 1)
        with pytest.raises(ValueError, match=r"delimiter|Unterminated|Expecting"):
            json.loads(broken.data)
        (whole,) = await rig.frames(socket, "fartcoinusdt@markPrice", 1)
        json.loads(whole.data)


async def test_a_disconnect_comes_without_a_closing_frame(rig: Rig) -> None:
    rig.server.faults.trigger(Trigger(Fault.DISCONNECT, venue="binance"))
    async with rig.binance() as socket:
        last = (await rig.frames(socket, "", 1))[-1]
    assert last.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    assert socket.close_code in (None, 1006)


async def test_a_lost_subscription_falls_silent_and_the_others_go_on(rig: Rig) -> None:
    rig.server.faults.trigger(Trigger(Fault.UNSUBSCRIBE, match="fartcoinusdt"))
    async with rig.binance() as socket:
        assert await rig.frames(socket, "fartcoinusdt", 3) == []


@pytest.mark.parametrize(("fault", "status"), [("rate_limit", 429), ("ban", 418), ("maintenance", 503)])
async def test_requests_are_refused_when_asked_for(rig: Rig, fault: str, status: int) -> None:
    url = f"{rig.url}/binance/fapi/v1/openInterest?symbol=TAOUSDT"
    wanted = {"fault": fault, "count": 2, "venue": "binance", "match": "openInterest"}
    async with rig.session.post(f"{rig.url}/_faults", json=wanted) as response:
        assert response.status == 200
    statuses = []
    for _ in range(3):
        async with rig.session.get(url) as response:
            statuses.append(response.status)
            assert response.status == 200 or "Retry-After" in response.headers
    assert statuses == [status, status, 200]
    async with rig.session.get(f"{rig.url}/_faults") as response:
        assert (await response.json())["injected"] == {fault: 2}


async def test_a_fault_that_nobody_knows_is_refused(rig: Rig) -> None:
    async with rig.session.post(f"{rig.url}/_faults", json={"fault": "meteor"}) as response:
        assert response.status == 400


async def test_weights_are_counted_and_limited_by_the_minute(rig: Rig) -> None:
    url = f"{rig.url}/binance/fapi/v1/aggTrades?symbol=TAOUSDT&limit=1"
    statuses = []
    for _ in range(121):
        async with rig.session.get(url) as response:
            statuses.append((response.status, response.headers["x-mbx-used-weight-1m"]))
    assert statuses[119] == (200, "2400")
    assert statuses[120] == (429, "2420")
    rig.clock.advance(60)
    async with rig.session.get(url) as response:
        assert (response.status, response.headers["x-mbx-used-weight-1m"]) == (200, "20")


async def test_okx_cuts_a_silent_socket_and_a_ping_keeps_one(rig: Rig) -> None:
    url = f"{rig.url}/okx/ws/v5/public"
    async with rig.session.ws_connect(url) as silent, rig.session.ws_connect(url) as lively:
        rig.clock.advance(20)
        await lively.send_str("ping")
        assert await lively.receive_str(timeout=5) == "pong"
        rig.clock.advance(15)
        rig.server.step()
        assert (await silent.receive(timeout=5)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        await lively.send_str("ping")
        assert await lively.receive_str(timeout=5) == "pong"


async def test_the_markets_keep_pace_with_the_clock(exchange: Exchange) -> None:
    clock = ManualClock()
    server = SimulatorServer(exchange, {}, clock)
    start = exchange.now
    running = asyncio.create_task(server.run(speed=10))
    for _ in range(1_000):
        await asyncio.sleep(0)
        if clock.monotonic() >= 1_700_000_003:
            break
    running.cancel()
    assert 29_000 <= exchange.now - start <= 31_000


async def test_a_taken_port_is_a_clear_error(rig: Rig) -> None:
    port = int(rig.url.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match="--port"):
        async with serving(rig.server, "127.0.0.1", port):
            pass


def test_faults_by_probability_happen_about_that_often_and_the_same_way_again() -> None:
    def drawn() -> list[Fault | None]:
        faults = Faults(parse_faults(["duplicate=0.1", "gap=0.05"]), seed=3)
        return [faults.for_frame(Venue.BINANCE, "x") for _ in range(2_000)]

    assert drawn() == drawn()
    assert 140 < drawn().count(Fault.DUPLICATE) < 260
    assert 60 < drawn().count(Fault.GAP) < 140


@pytest.mark.parametrize("pair", ["meteor=1", "gap", "gap=often", "gap=2"])
def test_a_wrong_fault_option_is_refused(pair: str) -> None:
    with pytest.raises(ConfigurationError):
        Faults(parse_faults([pair]))


def test_the_environment_points_every_venue_at_the_simulator() -> None:
    variables = environment_of("http://127.0.0.1:9", tuple(Venue))
    assert variables["LIQHEAT_BINANCE__WEBSOCKET_URL"] == "ws://127.0.0.1:9/binance"
    assert variables["LIQHEAT_OKX__REST_URL"] == "http://127.0.0.1:9/okx"


def test_the_command_says_where_it_listens_and_stops_cleanly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "liqheat", "simulate", "--port", "0", "--hours", "0.1", "--symbols", "TAO"]
    command += ["--traders", "50", "--truth", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        assert process.stdout is not None
        lines: list[Any] = [process.stdout.readline(), process.stdout.readline()]
        process.send_signal(signal.SIGINT)
        lines.append(process.stdout.read())
        assert process.wait(20) == 0
    assert "LIQHEAT_BINANCE__REST_URL=http://127.0.0.1:" in lines[1]
    assert "stopped" in lines[2]
    maps = sorted(tmp_path.glob("map-*.parquet"))
    assert maps
    assert pl.read_parquet(maps[-1]).height > 0
