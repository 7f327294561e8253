"""The market bench's load over real sockets: subscriptions, requests, and what is counted of them."""

from typing import Any

import aiohttp

from liqheat.domain.market import Venue
from tests.bench.market.activity import markets_of
from tests.bench.market.generator import wires_of
from tests.bench.market.server import LoadServer, serving
from tests.bench.market.tape import STEP_MS, Tape

START = 1_790_000_000_000


async def test_a_client_gets_what_it_subscribed_to_and_nothing_else() -> None:
    markets = markets_of(36)
    storms: list[float] = []
    server = LoadServer(wires_of(markets, 1), START, lambda: START + 100, storms.append)
    tape = Tape(markets, 1)
    async with serving(server, 0) as base, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{base}/bybit/v5/public/linear") as socket:
            first = next(market.name for market in markets if market.venue is Venue.BYBIT)
            await socket.send_json({"req_id": first, "op": "subscribe", "args": [f"tickers.{first}"]})
            assert (await socket.receive_json(timeout=5))["success"] is True
            for number in range(1, 11):
                server.publish(tape.step(START + number * STEP_MS, number / 10))
            heard: dict[str, Any] = await socket.receive_json(timeout=5)
            assert (heard["topic"], heard["type"]) == (f"tickers.{first}", "delta")
            await socket.send_json({"op": "ping"})
            # Nothing came between: this second held one mark of the one market.
            assert (await socket.receive_json(timeout=5))["ret_msg"] == "pong"
        async with session.get(f"{base}/okx/api/v5/market/tickers", params={"instType": "SWAP"}) as answer:
            assert len((await answer.json())["data"]) == 6
        async with session.get(f"{base}/okx/api/v5/nothing") as answer:
            assert answer.status == 404
        async with session.post(f"{base}/_storm", params={"seconds": "60"}) as answer:
            state = await answer.json()
    assert storms == [60.0]
    assert state["sent"] == {"bybit": 1}
    assert state["requests"] == {"okx /api/v5/market/tickers": 1, "okx /api/v5/nothing": 1}
