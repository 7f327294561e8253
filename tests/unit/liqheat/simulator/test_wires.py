"""The wires: payloads have the recorded ones' keys, and what a mapper reads from them is what happened."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.venues.interface import Mapper
from ingest.venues.registry import mapper_for
from liqheat.domain.events import Event, Liquidation, Mark, OpenInterest, Position, Trade, Turnover
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.simulator.exchange import Exchange
from liqheat.simulator.history import VenueMarket
from liqheat.simulator.running import wires_for
from liqheat.simulator.truth import account_address, truth_of
from liqheat.simulator.wire.base import Frame, Subscriber, Wire

RECORDED = Path(__file__).parents[3] / "data" / "recorded"
NAMES = {venue: facts.name_of("FARTCOIN") for venue, facts in VENUE_FACTS.items()}


def recorded(path: str) -> Any:
    return json.loads((RECORDED / path).read_text())


def keys(payload: Any) -> Any:
    """Return the shape of a payload: its keys, nested."""
    if isinstance(payload, dict):
        return {key: keys(value) for key, value in payload.items()}
    return [keys(payload[0])] if isinstance(payload, list) and payload else None


def frames_until(exchange: Exchange, wire: Wire, part: str, steps: int = 4_000) -> list[Frame]:
    """Step until a frame whose topic contains `part` is published; return those frames of that step."""
    for _ in range(steps):
        exchange.advance(1_000)
        views = exchange.views[wire.venue].values()
        found = [frame for view in views for frame in wire.publish(view) if part in frame.topic]
        if found:
            return found
    raise AssertionError(f"No frame of {part} in {steps} steps")


@pytest.mark.parametrize(
    ("venue", "part", "path"),
    [
        (Venue.BINANCE, "aggTrade", "binance/agg_trade_stream.json"),
        (Venue.BINANCE, "forceOrder", "binance/liquidation_stream.json"),
        (Venue.BINANCE, "markPrice@1s", "binance/mark_price_stream.json"),
        (Venue.OKX, "trades:", "okx/ws_trades.json"),
    ],
)
def test_frames_have_the_keys_of_the_recorded_ones(exchange: Exchange, venue: Venue, part: str, path: str) -> None:
    frame = frames_until(exchange, wires_for(exchange)[venue], part)[0]
    assert keys(frame.payload) == keys(recorded(path))


def subset(some: Any, whole: Any) -> bool:
    """Return whether every key of `some` is in `whole`, nested."""
    if isinstance(some, dict):
        return isinstance(whole, dict) and all(key in whole and subset(some[key], whole[key]) for key in some)
    return not isinstance(some, list) or (isinstance(whole, list) and subset(some[0], whole[0]))


def test_richer_frames_have_at_least_the_keys_we_read(exchange: Exchange) -> None:
    wires = wires_for(exchange)
    trade = frames_until(exchange, wires[Venue.BYBIT], "publicTrade")[0]
    assert subset(keys(recorded("bybit/ws_public_trade.json")), keys(trade.payload))
    subscriber = Subscriber()
    answers = list(wires[Venue.BYBIT].receive('{"op":"subscribe","args":["tickers.TAOUSDT"]}', subscriber))
    assert keys(json.loads(answers[0])) == keys(recorded("bybit/ws_subscription_ack.json"))
    snapshot, expected = keys(json.loads(answers[1])), keys(recorded("bybit/ws_ticker_linear.json"))
    for left_out in ("highPrice24h", "lowPrice24h", "prevPrice1h"):
        del expected["data"][left_out]
    assert subset(expected, snapshot)
    funding = frames_until(exchange, wires[Venue.OKX], "funding-rate")[0]
    assert subset(keys(recorded("okx/ws_funding_rate.json")), keys(funding.payload))
    hyperliquid = wires[Venue.HYPERLIQUID]
    trades = hyperliquid.answer("/info", {"type": "recentTrades", "coin": "TAO"})
    assert subset(keys(recorded("hyperliquid/http_recent_trades_btc.json")), keys(trades))
    contexts = frames_until(exchange, hyperliquid, "allDexsAssetCtxs")[0]
    real = recorded("hyperliquid/ws_all_dexs_asset_ctxs.json")["data"]["ctxs"][0][1][0]
    assert isinstance(contexts.payload, dict)
    assert keys(contexts.payload["data"]["ctxs"][0][1][0]) == keys(real)


def mapped(wire: Wire, mapper: Mapper, view: VenueMarket) -> Iterator[Event]:
    for frame in wire.publish(view):
        yield from mapper.map(wire.encode(frame, Subscriber()).encode(), view.time)


@pytest.mark.parametrize("venue", list(Venue))
def test_a_mapper_reads_what_happened(exchange: Exchange, venue: Venue) -> None:
    wire, view = wires_for(exchange)[venue], exchange.views[venue][NAMES[venue]]
    mapper = mapper_for(venue, contract_values={NAMES[venue]: view.listing.contract_value})
    if venue is Venue.BYBIT:
        for answer in wire.receive(f'{{"op":"subscribe","args":["tickers.{NAMES[venue]}"]}}', Subscriber()):
            list(mapper.map(answer.encode(), exchange.now))
    meta: Any = None
    if venue is Venue.HYPERLIQUID:
        meta = wire.answer("/info", {"type": "meta"})
        list(mapper.map(json.dumps(meta).encode(), exchange.now))
    kinds: set[type] = set()
    for _ in range(60):
        exchange.advance(1_000)
        events = list(mapped(wire, mapper, view))
        kinds.update(map(type, events))
        mine = [event for event in events if event.symbol == "FARTCOIN"]
        trades = {
            (event.event_time, event.price, round(event.quantity, 6), event.taker_side)
            for event in mine
            if isinstance(event, Trade)
        }
        assert trades == {
            (row.time, row.price, round(row.quantity, 6), row.taker_side) for row in view.trades_of(view.step)
        }
        marks = [event for event in mine if isinstance(event, Mark)]
        assert marks
        assert marks[-1].mark_price == pytest.approx(view.mark_price)
        interests = [event for event in mine if isinstance(event, OpenInterest)]
        assert all(event.quantity == pytest.approx(view.open_interest) for event in interests)
    expected = {Trade, Mark} if venue is Venue.BINANCE else {Trade, Mark, OpenInterest, Turnover}
    assert expected <= kinds


@pytest.mark.parametrize("venue", [Venue.BINANCE, Venue.BYBIT, Venue.OKX])
def test_liquidations_name_the_side_that_died(exchange: Exchange, venue: Venue) -> None:
    wire, view = wires_for(exchange)[venue], exchange.views[venue][NAMES[venue]]
    mapper = mapper_for(venue, contract_values={NAMES[venue]: view.listing.contract_value})
    seen, happened = [], 0
    for _ in range(700):
        exchange.advance(1_000)
        rows = view.liquidations_of(view.step)
        happened += len(rows)
        for frame in wire.publish(view):
            if "iquidation" in frame.topic or "@forceOrder" in frame.topic:
                events = list(mapper.map(wire.encode(frame, Subscriber()).encode(), view.time))
                for event in events:
                    assert isinstance(event, Liquidation)
                    assert (event.event_time, event.side, round(event.quantity, 6)) in {
                        (row.time, row.side, round(row.quantity, 6)) for row in rows
                    }
                    seen.append(event)
    assert seen
    if venue is Venue.BYBIT:
        assert len(seen) == happened
    else:
        assert len({event.event_time // 1_000 for event in seen}) == len(seen)


def test_okx_liquidations_begin_with_a_backlog_that_the_mapper_does_not_count_twice(exchange: Exchange) -> None:
    wire = wires_for(exchange)[Venue.OKX]
    live = frames_until(exchange, wire, "liquidation-orders")
    message = '{"op":"subscribe","args":[{"channel":"liquidation-orders","instType":"SWAP"}]}'
    acknowledged, backlog = list(wire.receive(message, Subscriber()))
    assert json.loads(acknowledged)["event"] == "subscribe"
    mapper = mapper_for(Venue.OKX, contract_values={"FARTCOIN-USDT-SWAP": 1.0, "TAO-USDT-SWAP": 0.01})
    first = [event for frame in live for event in mapper.map(json.dumps(frame.payload).encode(), 0)]
    assert len(first) == len(live)
    assert list(mapper.map(backlog.encode(), 0)) == []


def test_bybit_tickers_send_only_what_changed(exchange: Exchange) -> None:
    wire = wires_for(exchange)[Venue.BYBIT]
    subscriber = Subscriber()
    snapshot = json.loads(list(wire.receive('{"op":"subscribe","args":["tickers.TAOUSDT"]}', subscriber))[1])
    assert snapshot["type"] == "snapshot"
    known = dict(snapshot["data"])
    for _ in range(20):
        exchange.advance(1_000)
        view = exchange.views[Venue.BYBIT]["TAOUSDT"]
        (frame,) = [frame for frame in wire.publish(view) if frame.topic == "tickers.TAOUSDT"]
        assert isinstance(frame.payload, dict)
        delta = frame.payload["data"]
        assert frame.payload["type"] == "delta"
        assert len(delta) < len(known)
        assert all(known[key] != value for key, value in delta.items() if key != "symbol")
        known.update(delta)
        assert float(known["openInterest"]) == pytest.approx(2 * view.open_interest)
        assert float(known["singleOpenInterest"]) == pytest.approx(view.open_interest)


def test_hyperliquids_accounts_are_the_true_positions(exchange: Exchange) -> None:
    wire, view = wires_for(exchange)[Venue.HYPERLIQUID], exchange.views[Venue.HYPERLIQUID]["FARTCOIN"]
    wire.answer("/Mainnet/leaderboard", {})
    mapper = mapper_for(Venue.HYPERLIQUID)
    truth = {
        row["account"]: row
        for row in truth_of(view.market).positions.iter_rows(named=True)
        if row["venue"] == "hyperliquid"
    }
    found = 0
    for address, expected in truth.items():
        state = wire.answer("/info", {"type": "clearinghouseState", "user": address})
        frame = json.dumps({"channel": "clearinghouseState", "user": address, "data": state}).encode()
        for event in mapper.map(frame, exchange.now):
            assert isinstance(event, Position)
            assert event.side == expected["side"]
            assert event.quantity == pytest.approx(expected["quantity"])
            assert event.is_cross == expected["is_cross"]
            assert event.liquidation_price == pytest.approx(expected["liquidation_price"], nan_ok=True)
            found += 1
    assert 0 < found <= len(truth)
    unknown = wire.answer("/info", {"type": "clearinghouseState", "user": account_address("NOBODY", 1)})
    assert isinstance(unknown, dict)
    assert unknown["assetPositions"] == []
