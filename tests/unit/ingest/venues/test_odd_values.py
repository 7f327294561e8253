"""Values that no market has, or that a venue leaves out: what they cost, what they leave behind, and what lives on."""

import json
from typing import Any

import pytest

from ingest.sanity import Reading, read_frame
from ingest.venues.interface import Mapper
from ingest.venues.registry import mapper_for
from liqheat.domain.events import Contract, Depth, Liquidation, Mark, OpenInterest, Trade, Turnover
from liqheat.domain.market import Venue

T = 1_769_000_000_000
SWAP = "WLD-USDT-SWAP"
Json = Any
CLAIMED = {
    Venue.BINANCE: "WLDUSDT",
    Venue.BYBIT: "WLDUSDT",
    Venue.OKX: SWAP,
    Venue.HYPERLIQUID: "WLD",
}


def mapper(venue: Venue) -> Mapper:
    return mapper_for(venue, contract_values={SWAP: 1.0})


def played(found: Mapper, *frames: Json) -> list[Reading]:
    return [read_frame(found, json.dumps(frame).encode(), T) for frame in frames]


def kinds(reading: Reading) -> list[str]:
    return [type(event).__name__ for event in reading.events]


def bybit_ticker(**fields: Json) -> Json:
    return {"topic": "tickers.WLDUSDT", "type": "delta", "ts": T, "data": {"symbol": "WLDUSDT", **fields}}


def bybit_list(*rows: Json, **result: Json) -> Json:
    return {"retCode": 0, "retMsg": "OK", "time": T, "result": {"category": "linear", "list": rows, **result}}


def okx(channel: str, *rows: Json) -> Json:
    where = {"instId": SWAP, "ts": str(T)}
    return {"arg": {"channel": channel, "instId": SWAP}, "data": [{**where, **row} for row in rows]}


def trade(venue: Venue, number: Json) -> Json:
    if venue is Venue.BINANCE:
        return {"e": "aggTrade", "E": T, "s": "WLDUSDT", "p": "1", "q": "2", "T": T, "m": False, "a": number}
    if venue is Venue.OKX:
        return okx("trades", {"tradeId": number, "px": "1", "sz": "2", "side": "buy"})
    if venue is Venue.BYBIT:
        row = {"T": T, "s": "WLDUSDT", "S": "Buy", "v": "2", "p": "1", "i": number}
        return {"topic": "publicTrade.WLDUSDT", "type": "snapshot", "ts": T, "data": [row]}
    row = {"coin": "WLD", "side": "B", "px": "1", "sz": "2", "time": T, "tid": number}
    return {"channel": "trades", "data": [row]}


NUMBERED = pytest.mark.parametrize("venue", [Venue.BINANCE, Venue.OKX, Venue.HYPERLIQUID], ids=str)


@NUMBERED
@pytest.mark.parametrize(("number", "read"), [(7, 7), ("7", 7), ("", -1), (None, -1), ("7.0", 7)])
def test_a_trade_number_is_a_number_a_text_or_unknown(venue: Venue, number: Json, read: int) -> None:
    (reading,) = played(mapper(venue), trade(venue, number))
    assert not list(reading.problems())
    assert [event.trade_id for event in reading.events if isinstance(event, Trade)] == [read]


@NUMBERED
@pytest.mark.parametrize("number", [2**63, 10**30, -5, "x", str(2**63), "9" * 5_000, "1_0", "²", 1.5])
def test_a_number_of_no_trade_refuses_its_row_and_is_not_remembered(venue: Venue, number: Json) -> None:
    first, odd, second, last = played(mapper(venue), *(trade(venue, each) for each in (100, number, 101, 103)))
    assert kinds(first) == kinds(second) == kinds(last) == ["Trade"]
    assert odd.events == []
    assert CLAIMED[venue] in odd.poison
    assert odd.gaps == second.gaps == []
    assert [(gap.after, gap.before) for gap in last.gaps] == ([(101, 103)] if venue is Venue.BINANCE else [])


@pytest.mark.parametrize("venue", CLAIMED, ids=str)
def test_a_trade_whose_price_is_refused_is_not_remembered(venue: Venue) -> None:
    good = json.dumps(trade(venue, 7))
    price = '"px": "1"' if '"px"' in good else '"p": "1"'
    assert price in good
    odd, again = played(mapper(venue), json.loads(good.replace(price, price.replace("1", "1e-13"))), json.loads(good))
    assert odd.events == []
    assert list(odd.problems())
    assert kinds(again) == ["Trade"]


@pytest.mark.parametrize("rate", ["5e9", "x", "-11", "1.01"])
def test_a_refused_rate_is_not_in_later_marks(rate: str) -> None:
    good, odd, later = played(
        mapper(Venue.BYBIT),
        bybit_ticker(markPrice="1", indexPrice="1", fundingRate="0.0001"),
        bybit_ticker(fundingRate=rate),
        bybit_ticker(markPrice="1.1"),
    )
    assert not odd.events
    assert list(odd.problems())
    assert [event.funding_rate for event in (*good.events, *later.events) if isinstance(event, Mark)] == [1e-4, 1e-4]

    first, odd, later = played(
        mapper(Venue.OKX),
        okx("mark-price", {"markPx": "1"}),
        okx("funding-rate", {"fundingRate": rate, "fundingTime": str(T)}),
        okx("mark-price", {"markPx": "1.1"}),
    )
    assert odd.poison
    assert kinds(first) == kinds(later) == ["Mark"]


@pytest.mark.parametrize("price", ["1e-30", "-1", "x", "1e10"])
def test_a_refused_index_price_is_not_in_later_marks(price: str) -> None:
    for venue, frames in (
        (Venue.BYBIT, [bybit_ticker(indexPrice=price), bybit_ticker(markPrice="1.1")]),
        (Venue.OKX, [okx("index-tickers", {"instId": "WLD-USDT", "idxPx": price}), okx("mark-price", {"markPx": "1"})]),
    ):
        odd, later = played(mapper(venue), *frames)
        assert list(odd.problems()), venue
        assert kinds(later) == ["Mark"], venue


def test_a_refused_mark_is_not_taken_for_a_good_one_sent_before() -> None:
    row = {"e": "markPriceUpdate", "E": T, "s": "WLDUSDT", "p": "1", "i": "1", "T": T}
    odd, good = played(mapper(Venue.BINANCE), {**row, "r": "5e9"}, {**row, "r": "0.0001"})
    assert odd.poison
    assert kinds(good) == ["Mark"]


def test_an_odd_part_of_a_ticker_costs_no_other_part() -> None:
    ticker = {"markPrice": "1", "singleOpenInterest": "5", "turnover24h": "7"}
    for spoilt, read in (
        ({"nextFundingTime": "soon"}, ["Mark", "OpenInterest", "Turnover"]),
        ({"fundingRate": "5e9"}, ["OpenInterest"]),
        ({"singleOpenInterest": "-5"}, ["Mark", "Turnover"]),
        ({"singleOpenInterest": "x", "turnover24h": "-1"}, ["Mark"]),
    ):
        (reading,) = played(mapper(Venue.BYBIT), bybit_ticker(**ticker | spoilt))
        assert kinds(reading) == read
        assert [refusal.instrument for refusal in reading.refused] == ["WLDUSDT"] * len(spoilt)
    context = {"markPx": "1", "openInterest": "-5", "dayNtlVlm": "-1", "funding": "0"}
    (reading,) = played(
        mapper(Venue.HYPERLIQUID), {"channel": "activeAssetCtx", "data": {"coin": "WLD", "ctx": context}}
    )
    assert kinds(reading) == ["Mark"]
    assert [refusal.instrument for refusal in reading.refused] == ["WLD", "WLD"]
    row = {"volCcy24h": "-1", "last": "1"}
    assert played(mapper(Venue.OKX), okx("tickers", row))[0].poison


@pytest.mark.parametrize("moment", [T, str(T), float(T), "1.769e12", f"{T}.0"])
def test_a_time_is_read_in_any_form(moment: Json) -> None:
    (reading,) = played(mapper(Venue.BYBIT), bybit_ticker(markPrice="1", nextFundingTime=moment))
    assert [event.next_funding_time for event in reading.events if isinstance(event, Mark)] == [T]


@pytest.mark.parametrize("moment", ["", 0, None])
def test_a_reading_without_a_time_is_of_when_it_came(moment: Json) -> None:
    for row, kind in (
        ({"openInterest": "5"}, OpenInterest),
        ({"markPrice": "1", "lastFundingRate": "0"}, Mark),
    ):
        (reading,) = played(mapper(Venue.BINANCE), {"symbol": "WLDUSDT", **row, "time": moment})
        assert [(type(event), event.event_time) for event in reading.events] == [(kind, T)]


LEVELS: Json = [["1", "5"], ["0.9", "-5"], ["0", "5"], ["0.8", ""], ["0.5", "1"]], [["1.1", "3"], [None, "1"]]
BOOKS = {
    Venue.BINANCE: {"stream": "WLDUSDT@depth", "data": {"E": T, "bids": LEVELS[0], "asks": LEVELS[1]}},
    Venue.BYBIT: {
        "stream": "WLDUSDT@depth",
        "data": {"retCode": 0, "result": {"b": LEVELS[0], "a": LEVELS[1], "ts": T}},
    },
    Venue.OKX: {
        "stream": f"{SWAP}@depth",
        "data": {"code": "0", "data": [{"bids": LEVELS[0], "asks": LEVELS[1], "ts": str(T)}]},
    },
    Venue.HYPERLIQUID: {
        "stream": "WLD@depth-4",
        "data": {
            "coin": "WLD",
            "time": T,
            "levels": [[{"px": price, "sz": size} for price, size in side] for side in LEVELS],
        },
    },
}


@pytest.mark.parametrize("venue", BOOKS, ids=str)
def test_an_odd_level_is_left_out_of_its_book_alone(venue: Venue) -> None:
    (reading,) = played(mapper(venue), BOOKS[venue])
    (depth,) = reading.events
    assert isinstance(depth, Depth)
    assert (depth.best_bid, depth.best_ask) == (1.0, 1.1)
    assert depth.bid_5_usd == pytest.approx(5.0)
    # A book of which a level is missing was not read to its end.
    assert depth.ask_reach < 100
    assert [refusal.instrument for refusal in reading.refused] == [CLAIMED[venue]] * 4
    assert not reading.poison


@pytest.mark.parametrize(
    ("venue", "frame"),
    [
        (Venue.BINANCE, {"symbols": [{"symbol": "WLDUSDT", "contractType": "PERPETUAL", "quoteAsset": "USDT"}]}),
        (Venue.BYBIT, bybit_list({"symbol": "WLDUSDT", "contractType": "LinearPerpetual"})),
        (Venue.OKX, okx("instruments", {"ctType": "linear", "ctVal": "1", "settleCcy": "USDT", "instType": "SWAP"})),
    ],
    ids=str,
)
@pytest.mark.parametrize("odd", [None, "abc", [], {}, [{"filterType": "PRICE_FILTER", "tickSize": "abc"}, 5], -1])
def test_a_step_that_cannot_be_read_is_not_known(venue: Venue, frame: Json, odd: Json) -> None:
    rows = frame.get("symbols") or frame.get("data") or frame["result"]["list"]
    for name in ("filters", "priceFilter", "lotSizeFilter", "fundingInterval", "tickSz", "lotSz"):
        rows[0][name] = odd
    (reading,) = played(mapper(venue), frame)
    (contract,) = reading.events
    assert isinstance(contract, Contract)
    assert not contract.tick_size > 0
    assert not list(reading.problems())


def test_fields_beside_an_answer_may_be_null() -> None:
    row = {"symbol": "WLDUSDT", "contractType": "LinearPerpetual"}
    frame = bybit_list(row, category=None) | {"retMsg": None}
    point = {"openInterest": "6", "timestamp": str(T)}
    wrapped = {"stream": "WLDUSDT@open-interest", "data": bybit_list(point, symbol=None)}
    found = mapper(Venue.BYBIT)
    listed, named, nameless, pong = played(
        found, frame, wrapped, bybit_list(point), {"op": "pong", "ret_msg": None, "success": True}
    )
    assert kinds(listed) == ["Contract"]
    assert kinds(named) == ["OpenInterest"]
    assert "Expected the symbol of open interest" in nameless.poison
    assert not list(pong.problems())
    meta = {"universe": [{"name": "WLD", "maxLeverage": 10, "szDecimals": 1}], "marginTables": None}
    assert kinds(played(mapper(Venue.HYPERLIQUID), meta)[0]) == ["Contract", "MarginTier"]


@pytest.mark.parametrize(
    ("venue", "frame"),
    [
        (Venue.BINANCE, {"error": {"code": 2, "msg": "Stream already subscribed"}, "id": 1}),
        (Venue.BYBIT, {"success": False, "op": "subscribe", "ret_msg": "Already Subscribed: publicTrade.WLDUSDT"}),
        (Venue.OKX, {"event": "error", "code": "60000", "msg": "The channel has already been subscribed"}),
        (Venue.HYPERLIQUID, {"channel": "error", "data": "Already subscribed: {}"}),
    ],
    ids=str,
)
def test_subscribed_already_is_a_notice(venue: Venue, frame: Json) -> None:
    found = mapper(venue)
    (reading,) = played(found, frame)
    assert not list(reading.problems())
    assert found.report.notices == {"already subscribed": 1}


def test_a_forced_order_never_sums_to_more_than_its_size() -> None:
    def report(filled: str, at: int) -> Json:
        order = {"s": "WLDUSDT", "S": "SELL", "p": "1", "ap": "1", "q": "10", "z": filled, "T": T - 50_000 + at}
        return {"e": "forceOrder", "E": T, "o": order}

    def counted(*reports: Json) -> list[float]:
        readings = played(mapper(Venue.BINANCE), *reports)
        return [event.quantity for each in readings for event in each.events if isinstance(event, Liquidation)]

    assert counted(report("4", 0), report("2", 1), report("10", 2)) == [4.0, 6.0]
    assert counted(report("4", 0), report("4", 1), report("10", 2)) == [4.0, 6.0]
    assert counted(report("11", 0), report("10", 1)) == [10.0]
    # The first is filled, so the next is another like it.
    assert counted(report("10", 0), report("3", 1), report("10", 2)) == [10.0, 3.0, 7.0]


def test_unknown_turnover_is_no_refusal() -> None:
    (reading,) = played(mapper(Venue.BYBIT), bybit_ticker(markPrice="1", turnover24h="", openInterest=""))
    assert kinds(reading) == ["Mark"]
    assert not any(isinstance(event, Turnover) for event in reading.events)
    assert not list(reading.problems())
