"""Hyperliquid's recorded and documented payloads through its mapper, compared as full events."""

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.venues.hyperliquid.mapper import HyperliquidMapper
from liqheat.domain.events import (
    Contract,
    Event,
    Liquidation,
    MarginTier,
    Mark,
    OpenInterest,
    Position,
    Trade,
    Turnover,
)
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage
from tests.support.playback import played, same
from tests.support.venue_cases import VenueCase

RECORDED = Path(__file__).parents[1] / "data" / "recorded" / "hyperliquid"
CASE = VenueCase(
    trades_topic="trades:WLD",
    marks_topic="activeAssetCtx:WLD",
    marks_carry_open_interest=True,
    socket_path="/ws",
    rest_path="/info",
    connection="perpetuals-",
    has_trade_history=False,  # the ten latest trades are all that it gives
    sends_backlog=True,
    stamps_marks=False,  # contexts carry no time and are stamped with ours
)
RECEIVED_AT = 1_800_000_000_000
NAN = float("nan")
NO_LIMIT = 1e15
HOUR = 3_600_000
NEXT_HOUR = RECEIVED_AT // HOUR * HOUR + HOUR
BTC, ETH, ATOM = ((Venue.HYPERLIQUID, name, name) for name in ("BTC", "ETH", "ATOM"))
PEPE = (Venue.HYPERLIQUID, "PEPE", "kPEPE")


def play(*frames: bytes | str, mapper: HyperliquidMapper | None = None) -> list[Event]:
    return played(mapper or HyperliquidMapper(), frames, RECEIVED_AT)


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.json").read_bytes()


def test_meta_is_contracts_and_margin_tiers() -> None:
    same(
        play(recorded("http_meta_perp_sample")),
        [
            Contract(*BTC, RECEIVED_AT, "trading", NAN, 1e-05, 1.0, HOUR),
            MarginTier(*BTC, RECEIVED_AT, 1, 1, 0.0, NO_LIMIT, 40.0, 0.0125, 0.0),
            Contract(*ETH, RECEIVED_AT, "trading", NAN, 0.0001, 1.0, HOUR),
            MarginTier(*ETH, RECEIVED_AT, 1, 1, 0.0, NO_LIMIT, 25.0, 0.02, 0.0),
            Contract(*ATOM, RECEIVED_AT, "trading", NAN, 0.01, 1.0, HOUR),
            MarginTier(*ATOM, RECEIVED_AT, 1, 1, 0.0, NO_LIMIT, 5.0, 0.1, 0.0),
        ],
    )


def test_builder_deployed_markets_are_left_out_and_noted() -> None:
    mapper = HyperliquidMapper()
    same(
        play(recorded("http_all_perp_metas_non_usdc_collateral"), mapper=mapper),
        [
            Contract(*BTC, RECEIVED_AT, "trading", NAN, 1e-05, 1.0, HOUR),
            MarginTier(*BTC, RECEIVED_AT, 1, 1, 0.0, NO_LIMIT, 40.0, 0.0125, 0.0),
        ],
    )
    assert set(mapper.instruments.ignored) == {"km:US500", "hyna:BTC"}
    assert mapper.universe == ["BTC"]


def test_recent_trades_and_their_traders() -> None:
    traders: dict[str, float] = {}
    mapper = HyperliquidMapper(traders=traders)
    expected: list[Event] = [
        Trade(*BTC, 1769916000000, 104300.0, 0.005, -1, 300001),
        Trade(*BTC, 1769916001000, 104310.5, 0.02, 1, 300002),
        Trade(*BTC, 1769916002000, 104320.0, 0.015, -1, 300003),
    ]
    same(play(recorded("http_recent_trades_btc"), recorded("http_recent_trades_btc"), mapper=mapper), expected)
    assert mapper.duplicates == 3
    assert len(traders) == 6
    assert traders["0xseller2"] == pytest.approx(104310.5 * 0.02)


def test_contexts_are_aligned_with_the_universe() -> None:
    mapper = HyperliquidMapper()
    play(recorded("http_meta_perp_sample"), mapper=mapper)
    contexts = json.loads(recorded("ws_all_dexs_asset_ctxs"))["data"]["ctxs"][0][1]
    expected: list[Event] = []
    for where, context in zip((BTC, ETH, ATOM), contexts, strict=False):
        expected += [
            Mark(
                *where,
                RECEIVED_AT,
                float(context["markPx"]),
                float(context["oraclePx"]),
                float(context["funding"]),
                NEXT_HOUR,
            ),
            OpenInterest(*where, RECEIVED_AT, float(context["openInterest"])),
            Turnover(*where, RECEIVED_AT, float(context["dayNtlVlm"])),
        ]
    events = play(recorded("ws_all_dexs_asset_ctxs"), mapper=mapper)
    same(events, expected)
    same(
        events[:2],
        [
            Mark(*BTC, RECEIVED_AT, 77562.0, 77605.0, -0.0000015186, NEXT_HOUR),
            OpenInterest(*BTC, RECEIVED_AT, 27353.17682),
        ],
    )


def test_contexts_before_the_universe_are_refused() -> None:
    with pytest.raises(PoisonMessage, match="read its meta first"):
        play(recorded("ws_all_dexs_asset_ctxs"))


@pytest.mark.parametrize(
    "frame",
    [
        recorded("ws_allmids"),
        recorded("http_funding_history"),
        recorded("http_clearinghouse_state_negative_total_raw_usd"),
        '{"channel":"pong"}',
        '{"channel":"subscriptionResponse","data":{"method":"subscribe","subscription":{"type":"trades","coin":"BTC"}}}',
        "[]",
        '{"channel":"trades","data":[{"coin":"@142","side":"B","px":"1","sz":"1","time":1,"tid":1}]}',
        '{"channel":"trades","data":[{"coin":"xyz:AAPL","side":"B","px":"1","sz":"1","time":1,"tid":1}]}',
        '{"channel":"trades","data":[{"coin":"PURR/USDC","side":"B","px":"1","sz":"1","time":1,"tid":1}]}',
    ],
)
def test_acknowledgements_spot_and_builders_emit_nothing(frame: bytes | str) -> None:
    assert play(frame) == []


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        ('{"channel":"error","data":"Invalid subscription"}', "refused: .*Invalid subscription"),
        ("{", "Not a Hyperliquid frame"),
        ('{"channel":"trades","data":[{"coin":"BTC","side":"S","px":"1","sz":"1","time":1,"tid":1}]}', "A or B"),
        (
            '{"channel":"trades","data":[{"coin":"BTC","side":"B","px":"0","sz":"1","time":1,"tid":1}]}',
            "a Hyperliquid trade",
        ),
        ('{"channel":"clearinghouseState","data":{"assetPositions":[],"time":1}}', "Expected the user"),
    ],
)
def test_what_cannot_be_read_is_poison(frame: str, sentence: str) -> None:
    with pytest.raises(PoisonMessage, match=sentence):
        play(frame)


def test_a_context_of_thousands_is_counted_in_coins() -> None:
    frame = (
        '{"channel":"activeAssetCtx","data":{"coin":"kPEPE","ctx":{"funding":"0.0000125","openInterest":"5.0",'
        '"prevDayPx":"0.01","dayNtlVlm":"7.5","premium":null,"oraclePx":"0.0104","markPx":"0.0105","midPx":null,'
        '"impactPxs":null,"dayBaseVlm":"0.0"}}}'
    )
    same(
        play(frame),
        [
            Mark(*PEPE, RECEIVED_AT, 0.0105 / 1000, 0.0104 / 1000, 0.0000125, NEXT_HOUR),
            OpenInterest(*PEPE, RECEIVED_AT, 5000.0),
            Turnover(*PEPE, RECEIVED_AT, 7.5),
        ],
    )


META = {
    "universe": [
        {"szDecimals": 1, "name": "WLD", "maxLeverage": 10, "marginTableId": 52},
        {"szDecimals": 0, "name": "AIXBT", "maxLeverage": 3, "marginTableId": 3},
        {"szDecimals": 0, "name": "AI16Z", "maxLeverage": 3, "marginTableId": 3, "isDelisted": True},
    ],
    "marginTables": [
        [3, {"description": "", "marginTiers": [{"lowerBound": "0.0", "maxLeverage": 3}]}],
        [
            52,
            {
                "description": "tiered 10x",
                "marginTiers": [
                    {"lowerBound": "0.0", "maxLeverage": 10},
                    {"lowerBound": "20000000.0", "maxLeverage": 5},
                ],
            },
        ],
    ],
}
CONTEXT = {"funding": "0", "openInterest": "1", "dayNtlVlm": "2", "oraclePx": "3", "markPx": "4"}


def test_meta_with_contexts_and_tiered_margin() -> None:
    events = play(json.dumps([META, [CONTEXT, CONTEXT, {**CONTEXT, "markPx": "0.0"}]]))
    wld = (Venue.HYPERLIQUID, "WLD", "WLD", RECEIVED_AT)
    aixbt = (Venue.HYPERLIQUID, "AIXBT", "AIXBT", RECEIVED_AT)
    elizaos = (Venue.HYPERLIQUID, "ELIZAOS", "AI16Z", RECEIVED_AT)
    same(
        events,
        [
            Contract(*wld, "trading", NAN, 0.1, 1.0, HOUR),
            MarginTier(*wld, 1, 2, 0.0, 2e7, 10.0, 0.05, 0.0),
            MarginTier(*wld, 2, 2, 2e7, NO_LIMIT, 5.0, 0.1, 1e6),
            Contract(*aixbt, "trading", NAN, 1.0, 1.0, HOUR),
            MarginTier(*aixbt, 1, 1, 0.0, NO_LIMIT, 3.0, 1 / 6, 0.0),
            Contract(*elizaos, "delisted", NAN, 6.0, 6.0, HOUR),
            Mark(*wld, 4.0, 3.0, 0.0, NEXT_HOUR),
            OpenInterest(*wld, 1.0),
            Turnover(*wld, 2.0),
            Mark(*aixbt, 4.0, 3.0, 0.0, NEXT_HOUR),
            OpenInterest(*aixbt, 1.0),
            Turnover(*aixbt, 2.0),
            OpenInterest(*elizaos, 6.0),
            Turnover(*elizaos, 2.0),
        ],
    )


def account(at: int, *positions: dict[str, Any]) -> str:
    data = {
        "marginSummary": {"accountValue": "1000.5", "totalNtlPos": "0", "totalRawUsd": "0", "totalMarginUsed": "0"},
        "crossMarginSummary": {"accountValue": "900"},
        "crossMaintenanceMarginUsed": "12.5",
        "withdrawable": "1",
        "time": at,
        "assetPositions": [{"type": "oneWay", "position": position} for position in positions],
    }
    return json.dumps({"channel": "clearinghouseState", "user": "0xabc", "data": data})


LONG_ETH = {
    "coin": "ETH",
    "szi": "0.015",
    "leverage": {"type": "isolated", "value": 5, "rawUsd": "-30"},
    "entryPx": "2458.5",
    "positionValue": "36.9",
    "unrealizedPnl": "0.1",
    "returnOnEquity": "0.1",
    "liquidationPx": "2000.25",
    "marginUsed": "7.4",
    "maxLeverage": 50,
    "cumFunding": {"allTime": "0", "sinceOpen": "0", "sinceChange": "0"},
}
SHORT_PEPE = {
    **LONG_ETH,
    "coin": "kPEPE",
    "szi": "-20",
    "leverage": {"type": "cross", "value": 3},
    "entryPx": "0.01",
    "liquidationPx": None,
}


def test_an_account_is_absolute_positions_and_what_it_left_ends() -> None:
    mapper = HyperliquidMapper()
    frames = (account(1, LONG_ETH, SHORT_PEPE), account(2, LONG_ETH), account(3), account(4))
    same(
        play(*frames, mapper=mapper),
        [
            Position(*ETH, 1, "0xabc", 1, 0.015, 2458.5, 5.0, False, 2000.25, 7.4, 1000.5),
            Position(*PEPE, 1, "0xabc", -1, 20_000.0, 0.01 / 1000, 3.0, True, NAN, 7.4, 1000.5),
            Position(*ETH, 2, "0xabc", 1, 0.015, 2458.5, 5.0, False, 2000.25, 7.4, 1000.5),
            Position(*PEPE, 2, "0xabc", -1, 0.0),
            Position(*ETH, 3, "0xabc", 1, 0.0),
        ],
    )


def test_only_wanted_coins_of_an_account_are_mapped() -> None:
    mapper = HyperliquidMapper([Instrument(Venue.HYPERLIQUID, "ETH", "ETH")])
    assert [event.symbol for event in play(account(1, LONG_ETH, SHORT_PEPE), mapper=mapper)] == ["ETH"]


def test_an_account_seen_first_ends_what_it_may_have_left() -> None:
    wanted = [Instrument(Venue.HYPERLIQUID, "ETH", "ETH"), Instrument(Venue.HYPERLIQUID, "BTC", "BTC")]
    mapper = HyperliquidMapper(wanted)
    same(play(account(1, LONG_ETH), mapper=mapper)[1:], [Position(*BTC, 1, "0xabc", 1, 0.0)])
    assert len(play(account(2, LONG_ETH), mapper=mapper)) == 1


def fill(side: str, user: str = "", crossed: bool = False) -> str:
    whose = {"user": user} if user else {}
    one = {
        "coin": "BTC",
        "px": "66653.0",
        "sz": "0.001",
        "side": side,
        "time": 1781528065899,
        "dir": "Open Short",
        "crossed": crossed,
        "tid": 745210434703679,
        "liquidation": {"liquidatedUser": "0xdead", "markPx": "66607.0", "method": "market"},
    }
    return json.dumps({"channel": "userFills" if user else "user", "data": {**whose, "fills": [one]}})


@pytest.mark.parametrize(
    ("frame", "died"),
    [
        (fill("A", user="0xdead"), 1),
        (fill("B", user="0xdead"), -1),
        (fill("A", user="0xother"), -1),
        (fill("A", crossed=True), 1),
        # As documented: a maker who sold to it, so the liquidated account bought back a short.
        (fill("A"), -1),
    ],
)
def test_a_liquidation_fill_names_the_position_that_died(frame: str, died: int) -> None:
    same(play(frame, frame), [Liquidation(*BTC, 1781528065899, died, 66653.0, 0.001)] * 1)


def test_other_fills_are_no_liquidations() -> None:
    plain = json.loads(fill("A"))
    del plain["data"]["fills"][0]["liquidation"]
    assert play(json.dumps(plain)) == []


def test_history_candles_are_trades_and_marks() -> None:
    candle = '[{"t":60000,"T":119999,"s":"ETH","i":"1m","o":"20","c":"25","h":"30","l":"10","v":"4","n":9}]'
    same(
        play('{"stream":"ETH@candleSnapshot","data":' + candle + "}"),
        [
            Mark(*ETH, 60_000, 20.0),
            Mark(*ETH, 80_000, 10.0),
            Trade(*ETH, 90_000, 21.25, 2.0, 1),
            Trade(*ETH, 90_000, 21.25, 2.0, -1),
            Mark(*ETH, 100_000, 30.0),
            Mark(*ETH, 119_999, 25.0),
        ],
    )
