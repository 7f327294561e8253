"""A venue's own tasks while listings change: what is taken up, let go and brought back is read to the end."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from ingest.batching import BatchPolicy
from ingest.publisher import Publisher
from ingest.service import VenueService
from ingest.venues.interface import Request
from ingest.venues.registry import feed_for
from liqheat.domain.events import Kind
from liqheat.domain.market import Venue
from liqheat.platform.clock import SystemClock
from liqheat.platform.settings import Ingest, Settings
from tests.support.kept_messages import KeptMessages
from tests.support.waiting import until


class Lister:
    """A REST client whose venue lists the coins of `listed` at the time, and has something new of every coin."""

    def __init__(self, answer: Callable[[Request, list[str]], Any]) -> None:
        self.listed = ["WLD"]
        self._answer = answer

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        await asyncio.sleep(0)
        return json.dumps(self._answer(request, self.listed)).encode()


def now_ms() -> int:
    return int(time.time() * 1_000)


def okx(request: Request, listed: list[str]) -> Any:
    data: list[Any] = []
    if request.url.endswith("public/instruments"):
        row = {"instType": "SWAP", "ctType": "linear", "ctVal": "1", "ctMult": "1", "state": "live"}
        data = [{"instId": f"{coin}-USDT-SWAP", **row} for coin in listed]
    elif request.url.endswith("liquidation-orders"):
        detail = {"bkPx": "1", "sz": "5", "ts": str(now_ms()), "posSide": "long", "side": "sell"}
        data = [{"instId": f"{request.parameters['instFamily']}-SWAP", "details": [detail]}]
    return {"code": "0", "msg": "", "data": data}


def hyperliquid(request: Request, listed: list[str]) -> Any:
    query = json.loads(request.body or b"{}")
    universe = {"universe": [{"name": coin, "maxLeverage": 10, "szDecimals": 1} for coin in listed]}
    if not query:
        return {"leaderboardRows": [{"ethAddress": "0xa", "accountValue": "5"}]}
    if query["type"] == "meta":
        return universe
    if query["type"] == "metaAndAssetCtxs":
        return [universe, [{} for _ in listed]]
    positions = [{"position": {"coin": coin, "szi": "3", "entryPx": "1"}} for coin in ("WLD", "ENA")]
    return {"assetPositions": positions, "time": now_ms()}


TASKS: dict[Venue, tuple[Callable[[Request, list[str]], Any], Kind]] = {
    Venue.OKX: (okx, Kind.LIQUIDATIONS),
    Venue.HYPERLIQUID: (hyperliquid, Kind.POSITIONS),
}


def settings_of(venue: Venue) -> Settings:
    # Nobody listens there: this is about tasks, not about sockets.
    nowhere: dict[str, Any] = {venue.value: {"websocket_url": "http://127.0.0.1:9"}}
    intervals: dict[str, Any] = {"reference_interval": 0.05, "liquidation_interval": 0.05, "turnover_interval": 30.0}
    return Settings(**nowhere, ingest=Ingest(symbols=("all",), depth=False, **intervals))


def test_every_venue_with_tasks_is_tried() -> None:
    for venue in Venue:
        context: Any = None
        tasks: list[Any] = [*feed_for(venue, Settings()).tasks(context)]
        assert bool(tasks) == (venue in TASKS)
        for task in tasks:
            task.close()


@pytest.mark.parametrize("venue", TASKS)
async def test_what_is_taken_up_let_go_and_brought_back_is_read(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.venues.hyperliquid.wallet_poller.ROUND_SECONDS", 0.05)
    monkeypatch.setattr("ingest.venues.hyperliquid.wallets.SOONEST_MS", 0)
    answer, kind = TASKS[venue]
    settings, kept, rest = settings_of(venue), KeptMessages(), Lister(answer)
    feed = feed_for(venue, settings)

    def read_of(symbol: str) -> int:
        return sum(row["symbol"] == symbol and row["quantity"] > 0 for row in kept.rows(kind))

    async with Publisher(kept, BatchPolicy(age=0.01, quiet_age=0.01)) as publisher, aiohttp.ClientSession() as session:
        service = VenueService(feed, settings.ingest, publisher, rest, session, SystemClock())
        task = asyncio.create_task(service.run())
        await until(lambda: read_of("WLD") > 1)
        assert not read_of("ENA")
        rest.listed = ["WLD", "ENA"]
        await until(lambda: read_of("ENA") > 1)
        # None of those that the service began with is left.
        rest.listed = ["ENA"]
        await until(lambda: [item.symbol for item in service.instruments] == ["ENA"])
        before = read_of("ENA")
        await until(lambda: read_of("ENA") > before + 1)
        rest.listed = ["ENA", "WLD"]
        before = read_of("WLD")
        await until(lambda: read_of("WLD") > before + 1)
        assert not task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
