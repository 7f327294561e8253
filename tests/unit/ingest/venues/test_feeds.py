"""What the feeds of Bybit, OKX and Hyperliquid ask for, and what they make of pages, refusals and limits."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ingest.venues.bars import whole_minutes
from ingest.venues.bybit.feed import BybitFeed
from ingest.venues.hyperliquid.feed import HyperliquidFeed
from ingest.venues.interface import Request
from ingest.venues.okx.feed import OkxFeed
from liqheat.domain.events import Trade
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import PoisonMessage
from liqheat.platform.settings import Ingest, Settings

NOW = 1_767_225_600_000
Answer = Callable[[Mapping[str, str]], Any]


class CannedRest:
    """Answers by the last part of the path (or the type of a POST), and remembers what was asked."""

    def __init__(self, **answers: Answer) -> None:
        self._answers = {name.replace("_", "-"): answer for name, answer in answers.items()}
        self.requests: list[Request] = []

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        self.requests.append(request)
        query = json.loads(request.body) if request.body else request.parameters
        name = query["type"] if request.body else request.url.rpartition("/")[2]
        return json.dumps(self._answers[name](query)).encode()


def instrument(venue: Venue, name: str, symbol: str, value: float = 1.0) -> Instrument:
    return Instrument(venue, name, symbol, contract_value=value)


WLD_BYBIT = instrument(Venue.BYBIT, "WLDUSDT", "WLD")
TAO_BYBIT = instrument(Venue.BYBIT, "TAOUSDT", "TAO")
WLD_OKX = instrument(Venue.OKX, "WLD-USDT-SWAP", "WLD", 2.0)


def bybit(items: list[Any], **more: Any) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": items, **more}, "time": NOW}


def bybit_info(symbol: str, kind: str = "LinearPerpetual") -> dict[str, Any]:
    return {
        "symbol": symbol,
        "contractType": kind,
        "status": "Trading",
        "priceFilter": {"tickSize": "0.1"},
        "lotSizeFilter": {"qtyStep": "1"},
        "fundingInterval": 480,
    }


async def test_bybit_reads_every_page_of_its_listing() -> None:
    def page(query: Mapping[str, str]) -> Any:
        if "cursor" not in query:
            return bybit([bybit_info("WLDUSDT"), bybit_info("WLDUSDT-26MAR27", "LinearFutures")], nextPageCursor="2")
        return bybit([bybit_info("TAOPERP")], nextPageCursor="")

    rest = CannedRest(instruments_info=page)
    listings = await BybitFeed(Settings()).listings(rest, NOW)
    assert [contract.instrument for contract in listings.contracts] == ["WLDUSDT", "TAOPERP"]
    assert listings.ignored == {"LinearFutures": 1}
    assert [dict(request.parameters).get("cursor") for request in rest.requests] == [None, "2"]


async def test_a_broken_or_refused_table_is_left_out() -> None:
    def limits(query: Mapping[str, str]) -> Any:
        if query["symbol"] == "TAOUSDT":
            return {"retCode": 10001, "retMsg": "params error", "result": {}}
        row = {"riskLimitValue": "5000", "maintenanceMargin": "0.02", "initialMargin": "0.04", "maxLeverage": "25"}
        deduction = "0" if query["symbol"] == "WLDUSDT" else "7"
        return bybit([{"symbol": query["symbol"], **row, "mmDeduction": deduction}])

    broken = instrument(Venue.BYBIT, "FETUSDT", "FET")
    tables = await BybitFeed(Settings()).margin_tiers([WLD_BYBIT, TAO_BYBIT, broken], CannedRest(risk_limit=limits))
    assert set(tables) == {"WLDUSDT"}
    assert tables["WLDUSDT"].rows() == [[0.0, 5000.0, 25.0, 0.02, 0.0]]


def test_bybit_subscribes_each_instrument_alone_and_pings() -> None:
    (connection,) = BybitFeed(Settings()).connections([WLD_BYBIT, TAO_BYBIT])
    topics = [json.loads(message)["args"] for message in connection.subscriptions]
    assert topics == [
        [f"{kind}.{name}" for kind in ("publicTrade", "tickers", "allLiquidation")] for name in ("WLDUSDT", "TAOUSDT")
    ]
    assert connection.ping is not None
    assert (connection.ping.message, connection.ping.interval) == ('{"op":"ping"}', 20.0)


def test_instruments_are_spread_over_the_allowed_connections() -> None:
    feed = BybitFeed(Settings(ingest=Ingest(connections=2)))
    connections = feed.connections([WLD_BYBIT, TAO_BYBIT, instrument(Venue.BYBIT, "FETUSDT", "FET")])
    assert [[item.symbol for item in connection.instruments] for connection in connections] == [["WLD", "FET"], ["TAO"]]
    assert len({connection.name for connection in connections}) == 2


def trade(at: int, identifier: str) -> dict[str, str | bool]:
    return {"execId": identifier, "symbol": "WLDUSDT", "price": "1", "size": "2", "side": "Buy", "time": str(at)}


@pytest.mark.parametrize(("oldest", "complete"), [(NOW - 5_000, True), (NOW - 1_000, False)])
async def test_bybit_says_whether_the_recent_trades_reach_back(oldest: int, complete: bool) -> None:
    trades = [trade(NOW, "last"), *(trade(NOW - 1, f"t{number}") for number in range(998)), trade(oldest, "first")]
    rest = CannedRest(recent_trade=lambda _: bybit(trades))
    recovery = await BybitFeed(Settings()).recover(WLD_BYBIT, NOW - 5_000, NOW, rest)
    assert recovery.complete is complete
    mapper = BybitFeed(Settings()).mapper([WLD_BYBIT])
    assert sum(isinstance(event, Trade) for frame in recovery.frames for event in mapper.map(frame, NOW)) == 1_000


async def test_a_long_hole_is_also_filled_with_marks_of_its_whole_minutes() -> None:
    rest = CannedRest(recent_trade=lambda _: bybit([trade(NOW, "only")]), mark_price_kline=lambda _: bybit([]))
    await BybitFeed(Settings()).recover(WLD_BYBIT, NOW - 150_000, NOW, rest)
    parameters = dict(rest.requests[-1].parameters)
    assert (parameters["start"], parameters["end"]) == (str(NOW - 2 * MINUTE_MS), str(NOW - 1))


def okx(data: list[Any]) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": data}


async def test_okx_goes_back_page_by_page_oldest_first() -> None:
    def page(newest: int) -> Any:
        row = {"instId": "WLD-USDT-SWAP", "side": "buy", "sz": "3", "px": "1"}
        return okx(
            [{**row, "tradeId": str(number), "ts": str(NOW + number)} for number in range(newest, newest - 10, -1)]
        )

    rest = CannedRest(trades=lambda _: page(100), history_trades=lambda query: page(int(query["after"]) - 1))
    feed = OkxFeed(Settings())
    recovery = await feed.recover(WLD_OKX, NOW + 75, NOW + 99, rest)
    assert recovery.complete
    mapper = feed.mapper([WLD_OKX])
    trades = [event for frame in recovery.frames for event in mapper.map(frame, NOW) if isinstance(event, Trade)]
    assert [event.trade_id for event in trades] == list(range(71, 101))
    assert {event.quantity for event in trades} == {6.0}


async def test_okx_values_tiers_at_the_mark_and_asks_five_families_at_a_time() -> None:
    names = ["WLD", "TAO", "FET", "GRASS", "KAITO", "AIXBT"]
    instruments = [instrument(Venue.OKX, f"{name}-USDT-SWAP", name, 10.0) for name in names]

    def tiers(query: Mapping[str, str]) -> Any:
        families = query["instFamily"].split(",")
        assert len(families) <= 5
        row = {"tier": "1", "minSz": "0", "maxSz": "100", "mmr": "0.02", "maxLever": "20"}
        return okx([{**row, "instFamily": family} for family in families if family != "TAO-USDT"])

    marks = [{"instId": item.name, "markPx": "0.5", "ts": str(NOW)} for item in instruments]
    rest = CannedRest(mark_price=lambda _: okx(marks), position_tiers=tiers)
    tables = await OkxFeed(Settings()).margin_tiers(instruments, rest)
    assert set(tables) == {f"{name}-USDT-SWAP" for name in names if name != "TAO"}
    assert tables["WLD-USDT-SWAP"].rows() == [[0.0, 100 * 10 * 0.5, 20.0, 0.02, 0.0]]


def test_okx_subscribes_in_few_messages_with_one_for_all_liquidations() -> None:
    many = [instrument(Venue.OKX, f"A{number}-USDT-SWAP", f"A{number}") for number in range(300)]
    (connection,) = OkxFeed(Settings()).connections(many)
    arguments = [argument for message in connection.subscriptions for argument in json.loads(message)["args"]]
    assert len(connection.subscriptions) < 480
    assert max(len(message) for message in connection.subscriptions) < 4_096
    assert len(arguments) == 300 * 5 + 1
    assert arguments[-1] == {"channel": "liquidation-orders", "instType": "SWAP"}
    assert connection.ping is not None
    assert connection.ping.interval < 30


async def test_okx_says_why_it_refused() -> None:
    rest = CannedRest(instruments=lambda _: {"code": "51001", "msg": "Instrument ID doesn't exist", "data": []})
    with pytest.raises(PoisonMessage, match="doesn't exist"):
        await OkxFeed(Settings()).listings(rest, NOW)


async def test_okx_lists_linear_swaps_with_their_value_in_coins() -> None:
    def row(name: str, kind: str, value: str, multiplier: str = "1") -> dict[str, str]:
        return {
            "instId": name,
            "instType": "SWAP",
            "ctType": kind,
            "ctVal": value,
            "ctMult": multiplier,
            "state": "live",
        }

    rows = [
        row("WLD-USDT-SWAP", "linear", "2", "5"),
        row("BTC-USD-SWAP", "inverse", "100"),
        row("X-EUR-SWAP", "linear", "1"),
    ]
    listings = await OkxFeed(Settings()).listings(CannedRest(instruments=lambda _: okx(rows)), NOW)
    assert [(contract.instrument, contract.contract_value) for contract in listings.contracts] == [
        ("WLD-USDT-SWAP", 10.0)
    ]
    assert listings.ignored == {"inverse": 1, "not settled in USDT or USDC": 1}


UNIVERSE = {
    "universe": [
        {"name": "WLD", "maxLeverage": 10, "szDecimals": 1, "marginTableId": 52},
        {"name": "AI16Z", "maxLeverage": 3, "szDecimals": 0, "isDelisted": True},
    ],
    "marginTables": [
        [
            52,
            {"marginTiers": [{"lowerBound": "0.0", "maxLeverage": 10}, {"lowerBound": "20000000.0", "maxLeverage": 5}]},
        ]
    ],
}


async def test_hyperliquid_lists_its_universe_and_its_tiers() -> None:
    wld = instrument(Venue.HYPERLIQUID, "WLD", "WLD")
    rest = CannedRest(meta=lambda _: UNIVERSE)
    feed = HyperliquidFeed(Settings())
    listings = await feed.listings(rest, NOW)
    assert [(contract.symbol, contract.status) for contract in listings.contracts] == [
        ("WLD", "trading"),
        ("ELIZAOS", "delisted"),
    ]
    tables = await feed.margin_tiers([wld], rest)
    assert tables["WLD"].rows() == [[0.0, 2e7, 10.0, 0.05, 0.0], [2e7, 1e15, 5.0, 0.1, 1e6]]


def test_hyperliquid_stays_below_its_subscriptions() -> None:
    many = [instrument(Venue.HYPERLIQUID, f"A{number}", f"A{number}") for number in range(230)]
    (connection,) = HyperliquidFeed(Settings()).connections(many)
    assert len(connection.subscriptions) == 460 <= 1_000
    assert 60 / connection.subscription_pause <= 2_000
    assert json.loads(connection.subscriptions[1]) == {
        "method": "subscribe",
        "subscription": {"type": "activeAssetCtx", "coin": "A0"},
    }


@pytest.mark.parametrize(
    ("feed", "own", "minutes"),
    [(BybitFeed(Settings()), WLD_BYBIT, 1_000), (OkxFeed(Settings()), WLD_OKX, 100)],
    ids=["bybit", "okx"],
)
def test_a_page_of_history_holds_its_window(feed: BybitFeed | OkxFeed, own: Instrument, minutes: int) -> None:
    requests = feed.history(own, NOW, NOW + feed.history_window)
    assert feed.history_window <= minutes * MINUTE_MS
    assert len(requests) == 3
    assert all(request.stream.startswith(f"{own.name}@") for request in requests)
    points = feed.history_window // (5 * MINUTE_MS) + 1
    assert points <= int(requests[2].parameters["limit"])


def test_bars_are_asked_of_the_whole_minutes_of_a_hole_the_latest_of_a_long_one() -> None:
    minute, day = MINUTE_MS, 1_440 * MINUTE_MS
    assert whole_minutes(minute - 1, 3 * minute + 59_999, day) == (minute, 3 * minute)
    assert whole_minutes(minute, 2 * minute, day) == (minute, 2 * minute)
    assert whole_minutes(minute + 1, 2 * minute + 59_999, day) is None
    assert whole_minutes(0, 10 * day, day) == (9 * day, 10 * day)
