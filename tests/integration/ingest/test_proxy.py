"""HTTPS_PROXY: REST and sockets of every venue go through it, and addresses of NO_PROXY do not."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from ingest.connection import ConnectionPolicy, ConnectionRunner
from ingest.intake import FrameHandler
from ingest.outbound import outbound_session, socket_proxy
from ingest.rest import RestClient
from ingest.venues.interface import Connection, RateLimit, Request
from liqheat.domain.market import Venue
from liqheat.platform.clock import ManualClock, SystemClock
from liqheat.platform.errors import TransientError


def request_to(url: str) -> Request:
    return Request(url, RateLimit("all", 100, 60.0))


class Proxy:
    """A proxy that notes where it was asked to connect to and refuses."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode()
        while await reader.readline() not in (b"\r\n", b""):
            continue
        method, target, _ = line.split()
        assert method == "CONNECT"
        self.asked.append(target)
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    proxy = Proxy()
    server = await asyncio.start_server(proxy.answer, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    yield proxy
    server.close()


async def test_rest_goes_through_the_proxy(proxy: Proxy) -> None:
    async with RestClient(Venue.BINANCE, SystemClock()) as rest:
        with pytest.raises(TransientError, match="cannot be reached"):
            await rest.fetch(request_to("https://venue.example/fapi/v1/time"), attempts=1)
    assert proxy.asked == ["venue.example:443"]


async def test_sockets_go_through_the_proxy(proxy: Proxy) -> None:
    connection = Connection("trades", "wss://stream.example/ws", (), ())
    clock = ManualClock()
    async with outbound_session() as session:
        policy = ConnectionPolicy()
        handler = cast(FrameHandler, None)
        runner = ConnectionRunner(Venue.BINANCE, connection, handler, policy, clock, session)
        running = asyncio.create_task(runner.run())
        while not proxy.asked:  # noqa: ASYNC110 - another program's doing is waited for
            await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert set(proxy.asked) == {"stream.example:443"}


async def test_addresses_of_no_proxy_are_reached_directly(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with RestClient(Venue.BINANCE, SystemClock()) as rest:
        with pytest.raises(TransientError):
            await rest.fetch(request_to("https://127.0.0.1:9/"), attempts=1)
    assert proxy.asked == []
    assert socket_proxy("wss://127.0.0.1:9/") is None
    assert socket_proxy("wss://stream.example/ws") == f"http://127.0.0.1:{proxy.port}"
