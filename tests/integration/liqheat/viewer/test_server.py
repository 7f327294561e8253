"""The page's server over real HTTP: what it does with too many viewers, with slow questions and with those who go."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from clickhouse_connect.driver.client import Client

from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.clock import SystemClock
from liqheat.platform.errors import TransientError
from liqheat.platform.settings import Viewer
from liqheat.viewer.server import ViewerServer
from tests.support.viewer_map import STORED_FACTOR, Level, insert_minute

pytestmark = pytest.mark.clickhouse


class SlowSymbol:
    """A client whose questions about one symbol wait until they are let go."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.asked = 0

    def _wait(self, parameters: dict[str, Any] | None) -> None:
        values = parameters or {}
        if "SLOW" in values.get("symbols", [values.get("symbol")]):
            self.asked += 1
            self.begun.release()
            assert self.go.wait(60)

    def query(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        self._wait(parameters)
        return self._client.query(query, parameters=parameters)

    def query_np(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        self._wait(parameters)
        return self._client.query_np(query, parameters=parameters)

    def raw_query(self, query: str, parameters: dict[str, Any] | None = None, *, fmt: str | None = None) -> bytes:
        self._wait(parameters)
        return self._client.raw_query(query, parameters=parameters, fmt=fmt)

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=60)


@pytest.fixture
def slow(clickhouse: Client) -> Iterator[SlowSymbol]:
    minute = SystemClock().now_ms() // MINUTE_MS * MINUTE_MS
    for symbol in ("SLOW", "VIRTUAL"):
        insert_minute(clickhouse, "binance", minute, 1.0, [Level("long", 0.95, 10.0)], symbol=symbol)
    client = SlowSymbol(clickhouse)
    yield client
    client.go.set()


@asynccontextmanager
async def served(client: SlowSymbol, **settings: int) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        ViewerServer(Viewer(port=0, **settings), lambda: client, STORED_FACTOR) as server,
        aiohttp.ClientSession(server.address, connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        yield session
        client.go.set()


async def asked(session: aiohttp.ClientSession, symbol: str, **query: str) -> tuple[int, dict[str, Any], str | None]:
    async with session.get("/api/heatmap", params={"symbol": symbol, "range": "1h"} | query) as answer:
        return answer.status, await answer.json(), answer.headers.get("Retry-After")


async def test_a_slow_symbol_keeps_no_viewer_of_another_waiting(slow: SlowSymbol) -> None:
    async with served(slow, query_threads=2) as session:
        waiting = [asyncio.create_task(asked(session, "SLOW", span=span)) for span in ("3", "5", "10", "20", "40")]
        await slow.has_begun()

        status, answer, _ = await asked(session, "VIRTUAL")

        assert (status, answer["state"]) == (200, "ready")
        assert not any(task.done() for task in waiting)
        slow.go.set()
        assert [answer["state"] for _, answer, _ in await asyncio.gather(*waiting)] == ["ready"] * 5


async def test_a_full_queue_asks_to_come_again_later(slow: SlowSymbol) -> None:
    async with served(slow, maximum_questions=2) as session:
        waiting = asyncio.create_task(asked(session, "SLOW"))
        await slow.has_begun()

        status, answer, retry_after = await asked(session, "SLOW", range="3h")

        assert (status, retry_after) == (503, "2")
        assert answer["problem"] == "Many viewers ask at once; this page tries again by itself."
        slow.go.set()
        assert (await waiting)[0] == 200


async def test_one_address_has_a_limit_of_open_requests(slow: SlowSymbol) -> None:
    async with served(slow, maximum_requests_per_client=1) as session:
        waiting = asyncio.create_task(asked(session, "SLOW"))
        await slow.has_begun()

        status, _, retry_after = await asked(session, "VIRTUAL")

        assert (status, retry_after) == (429, "2")
        slow.go.set()
        assert (await waiting)[0] == 200


async def test_a_viewer_who_hangs_up_stops_its_questions(slow: SlowSymbol) -> None:
    async with served(slow) as session:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asked(session, "SLOW"), 1.0)
        await slow.has_begun()
        slow.go.set()

        assert (await asked(session, "VIRTUAL"))[0] == 200
        # One question ran while it hung up; the ten and more after it were not asked.
        assert slow.asked == 1


async def test_a_database_that_cannot_be_reached_is_a_sentence_that_names_no_server() -> None:
    def unreachable() -> Client:
        raise TransientError("Cannot reach ClickHouse at db.internal:8123")

    async with (
        ViewerServer(Viewer(port=0), unreachable, STORED_FACTOR) as server,
        aiohttp.ClientSession(server.address) as session,
    ):
        status, answer, retry_after = await asked(session, "VIRTUAL")

    assert (status, retry_after) == (503, "2")
    assert answer == {"problem": "ClickHouse does not answer; the log of the page says why."}
