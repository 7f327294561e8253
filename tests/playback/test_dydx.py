"""dYdX's documented payloads through its mapper, compared as full events."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingest.venues.dydx.feed import MARKETS_PER_SOCKET, DydxFeed
from ingest.venues.dydx.mapper import DydxMapper
from ingest.venues.interface import Request, wrap
from liqheat.domain.events import (
    Contract,
    Depth,
    Event,
    Liquidation,
    MarginTier,
    Mark,
    OpenInterest,
    Trade,
    Turnover,
)
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.platform.errors import PoisonMessage
from liqheat.platform.settings import Settings
from liqheat.simulator.exchange import Exchange
from liqheat.simulator.running import wires_for
from liqheat.simulator.wire.base import Subscriber
from tests.support.playback import played, same
from tests.support.small_exchange import exchange
from tests.support.venue_cases import Rows, VenueCase

__all__ = ["exchange"]

RECORDED = Path(__file__).parents[1] / "data" / "recorded" / "dydx"


def _good_frames(time: int, number: int) -> list[tuple[Rows, Callable[[Rows], Any]]]:
    at = datetime.fromtimestamp(time / 1_000, UTC).isoformat()
    trade = {"id": f"t{number}", "side": "BUY", "size": "5", "price": "1.02", "createdAt": at, "type": "LIMIT"}
    prices = dict.fromkeys(("low", "high", "open", "close"), "1")
    candle = {"startedAt": at, **prices, "baseTokenVolume": "4", "usdVolume": "4", "startingOpenInterest": "9"}
    return [
        (
            [trade, {**trade, "id": f"t{number}b", "type": "LIQUIDATED"}],
            lambda rows: {
                "type": "channel_data", "channel": "v4_trades", "id": "WLD-USD", "contents": {"trades": rows},
            },
        ),
        ([candle], lambda rows: {"stream": "WLD-USD@candles", "data": {"candles": rows}}),
    ]  # fmt: skip


CASE = VenueCase(
    trades_topic="v4_trades:WLD-USD",
    marks_topic="v4_markets:",
    marks_carry_open_interest=True,
    marks_are_shared=True,
    socket_path="/v4/ws",
    rest_path="erpetualMarket",
    connection="indexer-",
    sends_backlog=True,
    frames=tuple(
        wrap(f"BTC-USD@{stream}", (RECORDED / f"{name}.json").read_bytes()).decode()
        for stream, name in (
            ("candles", "http_candles"),
            ("historicalFunding", "http_historical_funding"),
            ("depth", "http_order_book"),
        )
    ),
    good_frames=_good_frames,
    odd_instrument="ODD-USD",
    decisive_fields=("price", "open"),
)
RECEIVED_AT = 1_800_000_000_000
NEXT_HOUR = 1_800_003_600_000
NAN = float("nan")
BTC = (Venue.DYDX, "BTC", "BTC-USD")
ETH = (Venue.DYDX, "ETH", "ETH-USD")
BITCOIN = Instrument(Venue.DYDX, "BTC-USD", "BTC")


def play(*frames: bytes, mapper: DydxMapper | None = None) -> list[Event]:
    return played(mapper or DydxMapper(), frames, RECEIVED_AT)


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.json").read_bytes()


def test_the_first_trades_are_backlog_oldest_first() -> None:
    same(
        play(recorded("ws_trades_subscribed")),
        [
            Trade(*BTC, 1680568130516, 27848.0, 0.037703477, 1),
            Trade(*BTC, 1680568136226, 27848.0, 0.00396135, 1),
            Trade(*BTC, 1680568136226, 27841.0, 0.000019216, -1),
        ],
    )


def test_a_liquidation_is_a_trade_whose_taker_died() -> None:
    at = 1680568159353
    same(
        play(recorded("ws_trades")),
        [
            Trade(*BTC, at, 27839.0, 0.000100431, 1),
            Liquidation(*BTC, at, -1, 27839.0, 0.000100431),
            Trade(*BTC, at, 27839.0, 0.000000004, 1),
            Liquidation(*BTC, at, -1, 27839.0, 0.000000004),
            Trade(*BTC, at, 27837.0, 0.000000005, -1),
            Trade(*BTC, at, 27837.0, 0.000118502, -1),
        ],
    )


def test_trades_seen_before_are_dropped_and_counted() -> None:
    mapper = DydxMapper()
    assert len(play(recorded("ws_trades"), mapper=mapper)) == 6
    assert play(recorded("ws_trades"), mapper=mapper) == []
    assert mapper.duplicates == 4


def test_a_deleveraged_position_died_off_the_book() -> None:
    frame = recorded("ws_trades").replace(b"LIQUIDATED", b"DELEVERAGED").replace(b'"BUY"', b'"SELL"')
    events = play(frame)
    assert [type(event) for event in events] == [Liquidation, Liquidation, Trade, Trade]
    assert [event.side for event in events if isinstance(event, Liquidation)] == [1, 1]


def test_older_frames_say_by_a_flag_whether_a_trade_was_forced() -> None:
    assert [type(event) for event in play(recorded("ws_trades_before_types"))] == [Trade]
    forced = recorded("ws_trades_before_types").replace(b"false", b"true")
    assert [type(event) for event in play(forced)] == [Trade, Liquidation]


def test_markets_are_marks_open_interest_and_turnover() -> None:
    mapper = DydxMapper()
    same(
        play(recorded("ws_markets_subscribed"), mapper=mapper),
        [
            Mark(*BTC, RECEIVED_AT, 27752.92, NAN, 0.0, NEXT_HOUR),
            OpenInterest(*BTC, RECEIVED_AT, 1891.473716288),
            Turnover(*BTC, RECEIVED_AT, 63894023.044245577),
            Mark(*ETH, RECEIVED_AT, 1808.2, NAN, 0.0, NEXT_HOUR),
            OpenInterest(*ETH, RECEIVED_AT, 44027.853711),
            Turnover(*ETH, RECEIVED_AT, 67487133.70842158),
        ],
    )
    same(
        play(recorded("ws_markets"), mapper=mapper),
        [
            Mark(*BTC, RECEIVED_AT, 27752.92, NAN, 0.00006821875, NEXT_HOUR),
            Mark(*ETH, RECEIVED_AT, 1808.2, NAN, 0.00007478125, NEXT_HOUR),
            Turnover(*ETH, RECEIVED_AT, 1462890959.6541),
        ],
    )
    # Both names of the price, in one batch.
    same(
        play(recorded("ws_markets_oracle"), mapper=mapper),
        [
            Mark(*BTC, 1680568160000, 27750.5, NAN, 0.00006821875, 1680570000000),
            Mark(*BTC, 1680568161500, 27751.0, NAN, 0.00006821875, 1680570000000),
        ],
    )


def test_a_change_before_the_first_price_is_no_mark() -> None:
    same(play(recorded("ws_markets")), [Turnover(*ETH, RECEIVED_AT, 1462890959.6541)])


def test_markets_over_rest_are_contracts_and_tiers_too() -> None:
    body = json.dumps(json.loads(recorded("ws_markets_subscribed"))["contents"]).encode()
    events = play(wrap("markets@perpetualMarkets", body), mapper=DydxMapper([BITCOIN]))
    same(
        events[:2],
        [
            Contract(*BTC, RECEIVED_AT, "trading", 1.0, 1e-9, 1.0, HOUR_MS),
            MarginTier(*BTC, RECEIVED_AT, 1, 1, 0.0, 1e15, 20.0, 0.03, 0.0),
        ],
    )
    assert [type(event) for event in events[2:]] == [Mark, OpenInterest, Turnover]


def test_margin_fractions_out_of_order_are_refused_and_the_others_read() -> None:
    contents = json.loads(recorded("ws_markets_subscribed"))["contents"]
    contents["markets"]["ETH-USD"]["maintenanceMarginFraction"] = "0.06"
    mapper = DydxMapper()
    events = play(wrap("markets@perpetualMarkets", json.dumps(contents).encode()), mapper=mapper)
    assert [event.symbol for event in events if isinstance(event, MarginTier)] == ["BTC"]
    ((name, reason, _),) = mapper.report.refused
    assert (name, reason) == (
        "ETH-USD",
        "Broken margin tiers of dYdX: Expected margin fractions in order, were 0.05 and 0.06",
    )


def test_a_row_that_cannot_be_read_costs_no_other() -> None:
    mapper = DydxMapper()
    frame = recorded("ws_trades").replace(b'"size":"0.000100431","price":"27839"', b'"size":"1","price":"-1"')
    assert len(play(frame, mapper=mapper)) == 4
    assert len(mapper.report.refused) == 1
    ahead = recorded("ws_trades").replace(b"2023-04-04T00:29:19.353Z", b"2223-04-04T00:29:19.353Z", 1)
    assert len(play(ahead, mapper=DydxMapper())) == 4, "a time that has not come moves nothing"
    vague = recorded("ws_trades").replace(b"2023-04-04T00:29:19.353Z", b"2023-04-04T00:29:19.353", 1)
    assert len(play(vague, mapper=DydxMapper())) == 4, "a time without its zone cannot be put in order"


def test_candles_are_open_interest_trades_and_marks() -> None:
    start = 1709139000000
    price = 1458183.4133 / 23.6064
    same(
        play(wrap("BTC-USD@candles", recorded("http_candles"))),
        [
            OpenInterest(*BTC, start, 504.4262),
            Mark(*BTC, start, 61840.0),
            Mark(*BTC, start + 20_000, 61848.0),
            Trade(*BTC, start + 30_000, price, 11.8032, 1),
            Trade(*BTC, start + 30_000, price, 11.8032, -1),
            Mark(*BTC, start + 40_000, 61687.0),
            Mark(*BTC, start + 59_999, 61800.0),
            OpenInterest(*BTC, start + MINUTE_MS, 504.5),
            *(Mark(*BTC, start + MINUTE_MS + offset, 61800.0) for offset in (0, 20_000, 40_000, 59_999)),
        ],
    )


def test_settlements_are_marks_with_their_rate() -> None:
    same(
        play(wrap("BTC-USD@historicalFunding", recorded("http_historical_funding"))),
        [
            Mark(*BTC, 1709136000000, 61800.2, NAN, -0.000002),
            Mark(*BTC, 1709139600000, 61790.1, NAN, 0.0000125),
        ],
    )


def test_a_book_within_its_distances() -> None:
    bids = 28194 * 4.764826096 + 28193 * 3.115323739 + 28192 * 3.400340775 + 28191 * 3.177700682
    asks = 28195 * 3.219612343 + 28196 * 2.387087565 + 28197 * 2.698530469
    (depth,) = play(wrap("BTC-USD@depth", recorded("http_order_book")))
    assert isinstance(depth, Depth)
    assert (depth.event_time, depth.mid_price, depth.best_bid, depth.best_ask) == (RECEIVED_AT, 28194.5, 28194, 28195)
    assert depth.bid_0_1_usd == pytest.approx(bids)
    assert depth.ask_10_usd == pytest.approx(asks)
    assert (depth.bid_reach, depth.ask_reach) == (100.0, 100.0), "fewer levels than the 100 that the indexer gives"


@pytest.mark.parametrize("frame", [recorded("ws_connected"), b'{"type":"unsubscribed","channel":"v4_trades"}'])
def test_control_frames_are_no_events(frame: bytes) -> None:
    assert play(frame) == []


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b'{"type":"error","message":"Invalid subscription id"}', "Invalid subscription id"),
        (recorded("ws_trades_before_types").replace(b'"BUY"', b'"UP"'), "BUY or SELL"),
        (recorded("ws_trades_before_types").replace(b'"27839"', b'"-1"'), "Not a dYdX trade"),
        (recorded("ws_trades").replace(b'"trades"', b'"fills"'), "Not dYdX trades"),
        (b"[", "Not a dYdX frame"),
    ],
)
def test_what_dydx_does_not_document_is_poison(frame: bytes, reason: str) -> None:
    with pytest.raises(PoisonMessage, match=reason):
        play(frame)


def test_names_of_perpetuals() -> None:
    assert parse_instrument(Venue.DYDX, "PEPE-USD") == Instrument(Venue.DYDX, "PEPE-USD", "PEPE")
    for name in (
        "BUFFI,uniswap_v3,0x4c1b1302220d7de5c22b495e78b72f2dd2457d45-USD",
        "BUFFI,UNISWAP_V3,0X4C1B1302220D7DE5C22B495E78B72F2DD2457D45-USD",
    ):
        assert parse_instrument(Venue.DYDX, name) == Instrument(Venue.DYDX, name, "BUFFI4C1B13")


def test_many_markets_take_as_many_sockets_as_their_subscriptions_need() -> None:
    many = [Instrument(Venue.DYDX, f"A{number}-USD", f"A{number}") for number in range(70)]
    connections = DydxFeed(Settings()).connections(many)
    assert len(connections) == 3
    assert max(len(connection.instruments) for connection in connections) <= MARKETS_PER_SOCKET
    first = [json.loads(message) for message in connections[0].subscriptions]
    assert first[0] == {"type": "subscribe", "channel": "v4_markets", "batched": True}
    assert first[1] == {"type": "subscribe", "channel": "v4_trades", "id": "A0-USD", "batched": True}
    assert connections[0].ping is None


async def test_pages_of_trades_go_back_to_the_start_of_the_hole() -> None:
    asked: list[Request] = []

    class Rest:
        async def fetch(self, request: Request, attempts: int = 5) -> bytes:
            asked.append(request)
            page = len(asked) - 1
            rows = [
                {
                    "id": f"{page}-{row}",
                    "side": "BUY",
                    "size": "1",
                    "price": "2",
                    "type": "LIMIT",
                    "createdAt": f"2026-01-01T00:0{5 - page}:00.000Z",
                    "createdAtHeight": str(900 - page),
                }
                for row in range(1_000)
            ]
            return json.dumps({"trades": rows}).encode()

    start, end = 1767225840000, 1767226000000
    recovery = await DydxFeed(Settings()).recover(BITCOIN, start, end, Rest())
    assert recovery.complete
    assert [dict(request.parameters).get("createdBeforeOrAtHeight") for request in asked] == [None, "900"]
    trades = play(*recovery.frames)
    assert len(trades) == 2_000
    assert trades[0].event_time < trades[-1].event_time, "the oldest page comes first"


# Accounts of so small a venue die too rarely for a short test.
@pytest.mark.parametrize("exchange", ["crowd"], indirect=True)
def test_simulated_liquidations_are_trades_of_their_own_type(exchange: Exchange) -> None:
    name = VENUE_FACTS[Venue.DYDX].name_of("FARTCOIN")
    wire, view = wires_for(exchange)[Venue.DYDX], exchange.views[Venue.DYDX][name]
    mapper = DydxMapper()
    seen: list[tuple[int, float]] = []
    died: list[tuple[int, float]] = []
    for _ in range(3_000):
        exchange.advance(1_000)
        died += [(row.side, round(row.quantity, 6)) for row in view.liquidations_of(view.step)]
        for frame in wire.publish(view):
            events = mapper.map(wire.encode(frame, Subscriber()).encode(), view.time)
            seen += [(event.side, round(event.quantity, 6)) for event in events if isinstance(event, Liquidation)]
    assert died
    assert sorted(seen) == sorted(died)
