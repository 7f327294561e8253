"""The wires asked by REST, or in a socket's messages: history, listings, tiers, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.venues.registry import mapper_for
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.simulator.exchange import Exchange
from liqheat.simulator.running import wires_for
from liqheat.simulator.wire.base import RequestRefused, Subscriber

RECORDED = Path(__file__).parents[3] / "data" / "recorded"
NAMES = {venue: facts.name_of("FARTCOIN") for venue, facts in VENUE_FACTS.items()}


@pytest.mark.parametrize(
    ("venue", "path", "query"),
    [
        (Venue.BINANCE, "/fapi/v1/klines", {"symbol": "FARTCOINUSDT", "interval": "1m"}),
        (
            Venue.BYBIT,
            "/v5/market/kline",
            {"category": "linear", "symbol": "FARTCOINUSDT", "interval": "1", "limit": "1000"},
        ),
        (Venue.OKX, "/api/v5/market/history-candles", {"instId": "FARTCOIN-USDT-SWAP", "bar": "1m"}),
        (
            Venue.HYPERLIQUID,
            "/info",
            {"type": "candleSnapshot", "req": {"coin": "FARTCOIN", "interval": "1m", "startTime": 0}},
        ),
    ],
)
def test_bars_hold_the_trades_of_their_minutes(
    exchange: Exchange, venue: Venue, path: str, query: dict[str, Any]
) -> None:
    view = exchange.views[venue][NAMES[venue]]
    body = wires_for(exchange)[venue].answer(path, query)
    rows: Any = body
    if venue is Venue.BYBIT:
        rows = rows["result"]["list"]
    elif venue is Venue.OKX:
        rows = rows["data"]
    volumes = {
        int(row["t"] if venue is Venue.HYPERLIQUID else row[0]): float(
            row["v"] if venue is Venue.HYPERLIQUID else row[6 if venue is Venue.OKX else 5]
        )
        for row in rows
    }
    expected: dict[int, float] = {}
    for step in view.history.steps:
        minute = (step.time - 1) // 60_000 * 60_000
        expected[minute] = expected.get(minute, 0.0) + sum(row.quantity for row in view.trades_of(step))
    assert volumes == pytest.approx(expected)
    assert len(volumes) == 12


def test_a_buyers_share_of_a_bar_is_his(exchange: Exchange) -> None:
    view = exchange.views[Venue.BINANCE]["FARTCOINUSDT"]
    bars = view.bars()
    bought = sum(row.quantity for row in view.recent_trades() if row.taker_side > 0)
    assert sum(bar.taker_buy_volume for bar in bars) == pytest.approx(bought)
    assert sum(bar.volume for bar in view.bars(300_000)) == pytest.approx(sum(bar.volume for bar in bars))


def test_binance_history_fills_a_hole_by_id(exchange: Exchange) -> None:
    wire, view = wires_for(exchange)[Venue.BINANCE], exchange.views[Venue.BINANCE]["TAOUSDT"]
    trades = view.recent_trades()
    hole = trades[10:15]
    body: Any = wire.answer(
        "/fapi/v1/aggTrades", {"symbol": "TAOUSDT", "fromId": str(hole[0].identifier), "limit": "5"}
    )
    assert [row["a"] for row in body] == [row.identifier for row in hole]


def test_okx_pages_its_trades_back_by_id(exchange: Exchange) -> None:
    wire, view = wires_for(exchange)[Venue.OKX], exchange.views[Venue.OKX]["TAO-USDT-SWAP"]
    newest = view.recent_trades(latest=1)[-1].identifier
    query = {"instId": "TAO-USDT-SWAP", "after": str(newest - 3), "limit": "5"}
    answer: Any = wire.answer("/api/v5/market/history-trades", query)
    assert [int(row["tradeId"]) for row in answer["data"]] == [newest - number for number in range(4, 9)]


def test_recent_trades_reach_back_as_far_as_asked(exchange: Exchange) -> None:
    view = exchange.views[Venue.BINANCE]["TAOUSDT"]
    everything = view.recent_trades()
    for asked in (everything[5], everything[-3]):
        assert asked in view.recent_trades(from_id=asked.identifier)
        later = [row for row in everything if row.time >= asked.time]
        assert [row for row in view.recent_trades(since=asked.time) if row.time >= asked.time] == later
    assert view.recent_trades(latest=7)[-7:] == everything[-7:]
    wire = wires_for(exchange)[Venue.BINANCE]
    for query in ({"startTime": str(everything[-3].time)}, {"limit": "3"}):
        body: Any = wire.answer("/fapi/v1/aggTrades", {"symbol": "TAOUSDT", **query})
        assert [row["a"] for row in body] == [row.identifier for row in everything[-3:]]


def test_what_is_no_perpetual_is_listed_and_left_out(exchange: Exchange) -> None:
    info = wires_for(exchange)[Venue.BINANCE].answer("/fapi/v1/exchangeInfo", {})
    assert isinstance(info, dict)
    assert [row["contractType"] for row in info["symbols"]] == ["PERPETUAL", "PERPETUAL", "CURRENT_QUARTER"]
    events = mapper_for(Venue.BINANCE).map(json.dumps(info).encode(), exchange.now)
    assert [event.instrument for event in events] == ["FARTCOINUSDT", "TAOUSDT"]


def test_margin_tiers_survive_the_way_through_the_wire(exchange: Exchange) -> None:
    wires = wires_for(exchange)
    signed = {"symbol": "TAOUSDT", "timestamp": "1", "signature": "x"}
    brackets: Any = wires[Venue.BINANCE].answer("/fapi/v1/leverageBracket", signed)
    rows = [
        [row["notionalFloor"], row["notionalCap"], row["initialLeverage"], row["maintMarginRatio"], row["cum"]]
        for row in brackets[0]["brackets"]
    ]
    assert rows == exchange.views[Venue.BINANCE]["TAOUSDT"].listing.tiers.rows()
    with pytest.raises(RequestRefused):
        wires[Venue.BINANCE].answer("/fapi/v1/leverageBracket", {"symbol": "TAOUSDT"})
    body = wires[Venue.BYBIT].answer("/v5/market/risk-limit", {"category": "linear", "symbol": "TAOUSDT"})
    events: Any = list(mapper_for(Venue.BYBIT).map(json.dumps(body).encode(), 1))
    listed = exchange.views[Venue.BYBIT]["TAOUSDT"].listing.tiers
    assert [event.maintenance_amount for event in events] == pytest.approx(listed.maintenance_amount.tolist())
    body = wires[Venue.HYPERLIQUID].answer("/info", {"type": "meta"})
    events = [
        event
        for event in mapper_for(Venue.HYPERLIQUID).map(json.dumps(body).encode(), 1)
        if event.symbol == "FARTCOIN" and hasattr(event, "tier")
    ]
    listed = exchange.views[Venue.HYPERLIQUID]["FARTCOIN"].listing.tiers
    assert [event.maintenance_margin_rate for event in events] == listed.maintenance_margin_rate.tolist()


@pytest.mark.parametrize(
    ("venue", "path", "query", "status"),
    [
        (Venue.BINANCE, "/fapi/v1/openInterest", {"symbol": "NOPE"}, 400),
        (Venue.BINANCE, "/fapi/v1/openInterest", {}, 400),
        (Venue.BINANCE, "/fapi/v1/klines", {"symbol": "TAOUSDT", "interval": "7m"}, 400),
        (Venue.BINANCE, "/fapi/v9/nothing", {}, 404),
        (Venue.OKX, "/api/v5/public/open-interest", {"instId": "NOPE"}, 200),
        (Venue.HYPERLIQUID, "/info", {"type": "nothing"}, 422),
    ],
)
def test_wrong_requests_are_refused_as_the_venue_does(
    exchange: Exchange, venue: Venue, path: str, query: dict[str, str], status: int
) -> None:
    with pytest.raises(RequestRefused) as refused:
        wires_for(exchange)[venue].answer(path, query)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("venue", "text", "sign"),
    [
        (Venue.BINANCE, "nonsense", '"code":2'),
        (Venue.BYBIT, '{"op":"subscribe","args":["publicTrade.NOPE"]}', '"success":false'),
        (Venue.OKX, '{"op":"subscribe","args":[{"channel":"trades","instId":"NOPE"}]}', '"event":"error"'),
        (Venue.OKX, "ping", "pong"),
        (Venue.HYPERLIQUID, '{"method":"subscribe","subscription":{"type":"trades","coin":"NOPE"}}', "error"),
        (Venue.HYPERLIQUID, '{"method":"ping"}', '{"channel":"pong"}'),
    ],
)
def test_messages_are_answered_as_the_venue_does(exchange: Exchange, venue: Venue, text: str, sign: str) -> None:
    subscriber = Subscriber()
    assert sign in "".join(wires_for(exchange)[venue].receive(text, subscriber))
    assert not subscriber.topics
