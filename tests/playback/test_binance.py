"""Recorded Binance payloads through the mapper, compared as full events; and frames that must yield nothing."""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from ingest.venues.binance.mapper import BinanceMapper
from liqheat.domain.events import Contract, Event, Liquidation, MarginTier, Mark, OpenInterest, Trade, Turnover
from liqheat.domain.instruments import parse_instrument
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage, SequenceGap
from tests.support.reading import sane_events
from tests.support.venue_cases import VenueCase

RECORDED = Path(__file__).parents[1] / "data" / "recorded" / "binance"
CASE = VenueCase(
    trades_topic="wldusdt@aggTrade",
    marks_topic="wldusdt@markPrice",
    socket_path="/market/",
    rest_path="/fapi",
    connection="market-",
)
RECEIVED_AT = 1_700_000_000_000
BTC = (Venue.BINANCE, "BTC", "BTCUSDT")


def mapped(frame: bytes | str, mapper: BinanceMapper | None = None) -> list[Event]:
    raw = frame.encode() if isinstance(frame, str) else frame
    return list(sane_events(mapper or BinanceMapper(), raw, RECEIVED_AT))


def same(actual: Sequence[Event], expected: Sequence[Event]) -> bool:
    """Compare events field by field as JSON, in which NaN equals NaN."""
    return bool(msgspec.json.decode(msgspec.json.encode(actual)) == msgspec.json.decode(msgspec.json.encode(expected)))


STREAMS: dict[str, list[Event]] = {
    "agg_trade_stream": [Trade(*BTC, 123456785, 0.001, 100.0, -1, 5933014)],
    "trade_stream": [Trade(*BTC, 123456785, 0.001, 100.0, -1, 5933014)],
    "mark_price_stream": [Mark(*BTC, 1562305380000, 11794.15, 11784.62659091, 0.00038167, 1562306400000)],
    "liquidation_stream": [Liquidation(*BTC, 1568014460893, 1, 9910.12345678, 0.014, 9910.0)],
    "ticker_stream": [Turnover(*BTC, 1672515782136, 2036102085.697464)],
}


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_recorded_stream_frames(name: str) -> None:
    assert same(mapped((RECORDED / f"{name}.json").read_bytes()), STREAMS[name])


def test_every_recorded_file_is_played() -> None:
    # The order book is played by test_order_books.
    assert {path.stem for path in RECORDED.glob("*.json")} == {*STREAMS, "http_order_book"}


def test_recorded_combined_frames() -> None:
    mapper = BinanceMapper()
    events = [
        event for line in (RECORDED / "combined.jsonl").read_bytes().splitlines() for event in mapped(line, mapper)
    ]
    assert same(
        events,
        [
            Trade(*BTC, 1568693103463, 10223.74, 0.236, 1, -1),
            Liquidation(*BTC, 1584059031421, -1, 4706.04, 0.014, 4793.91),
            Mark(*BTC, 1562305380000, 11794.15, 11784.62659091, 0.00038167, 1562306400000),
        ],
    )


REST: list[list[Event]] = [
    [OpenInterest(*BTC, 1589437530011, 10659.509)],
    [OpenInterest(*BTC, 1583127900000, 20403.637), OpenInterest(*BTC, 1583128200000, 20401.367)],
    [Mark(*BTC, 1597370495002, 11793.63104562, 11781.8049597, 0.00038246, 1597392000000)],
    [Turnover(*BTC, 1499869899040, 15.3)],
    [Mark(*BTC, 1570608000000, 34287.54619963, funding_rate=-0.0375)],
    [
        Trade(*BTC, 1499342399999, 28.46694368 / 1756.87402397, 1756.87402397, 1),
        Trade(
            *BTC,
            1499342399999,
            (2434.19055334 - 28.46694368) / (148976.11427815 - 1756.87402397),
            148976.11427815 - 1756.87402397,
            -1,
        ),
    ],
    [
        Mark(*BTC, 1591256400000, 9653.29201333),
        Mark(*BTC, 1591256420000, 9654.56401333),
        Mark(*BTC, 1591256440000, 9653.07367333),
        Mark(*BTC, 1591256459999, 9653.07367333),
    ],
    [Trade(*BTC, 1498793709153, 0.01633102, 4.70443515, -1, 26129)],
]


def test_recorded_rest_bodies() -> None:
    lines = (RECORDED / "rest.jsonl").read_bytes().splitlines()
    assert len(lines) == len(REST)
    for line, expected in zip(lines, REST, strict=True):
        assert same(mapped(line), expected), line
        if not line.startswith(b"["):
            assert mapped(json.dumps(json.loads(line), indent=2)), "white space changes nothing"


def test_an_all_symbol_frame_yields_the_instruments_in_use() -> None:
    rows = [
        {"e": "markPriceUpdate", "E": 1, "s": name, "p": "2.0", "i": "2.0", "r": rate, "T": 0}
        for name, rate in (("TAOUSDT", "0.0001"), ("ETHUSDT", "0.0001"), ("BTCUSDT_260626", ""), ("1000PEPEUSDT", ""))
    ]
    instruments = [item for name in ("TAOUSDT", "1000PEPEUSDT") if (item := parse_instrument(Venue.BINANCE, name))]
    frame = json.dumps({"stream": "!markPrice@arr@1s", "data": rows})
    assert same(
        mapped(frame, BinanceMapper(instruments)),
        [
            Mark(Venue.BINANCE, "TAO", "TAOUSDT", 1, 2.0, 2.0, 0.0001),
            Mark(Venue.BINANCE, "PEPE", "1000PEPEUSDT", 1, 0.002, 0.002),
        ],
    )


def test_thousands_are_scaled_to_single_coins() -> None:
    frame = '{"e":"aggTrade","E":1,"s":"1000PEPEUSDT","a":7,"p":"0.01","q":"5","T":1,"m":true}'
    assert same(mapped(frame), [Trade(Venue.BINANCE, "PEPE", "1000PEPEUSDT", 1, 0.01 / 1000, 5000.0, -1, 7)])


TRADE = '{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1","q":"1","T":1,"m":true,"X":"%s"}'


@pytest.mark.parametrize(
    "frame",
    [
        '{"result":null,"id":1}',
        '{"result":["btcusdt@aggTrade"],"id":3}',
        TRADE % "INSURANCE_FUND",
        TRADE % "ADL",
        '{"e":"aggTrade","E":1,"s":"BTCUSDT_260626","a":7,"p":"1","q":"5","T":1,"m":true}',
        '{"e":"aggTrade","E":1,"s":"ETHBTC","a":7,"p":"1","q":"5","T":1,"m":true}',
        '{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":4,"s":"BTCUSDT","b":"2","B":"3","a":"2","A":"4"}}',
        '{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1,"s":"BTCUSDT","k":{"t":1}}}',
        '{"e":"forceOrder","E":1,"o":{"s":"BTCUSDT","S":"BUY","p":"1","ap":"0","z":"0","X":"NEW","T":1}}',
        '{"symbol":"BTCUSDT_260626","openInterest":"1","time":1}',
        '{"stream":"BTCUSDT_260626@klines","data":[]}',
        '{"stream":"BTCUSDT@openInterestHist","data":[]}',
        "[]",
    ],
)
def test_frames_that_yield_nothing(frame: str) -> None:
    assert mapped(frame) == []


AGG_TRADE = (
    '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1,"s":"BTCUSDT","a":1,"p":%s,"q":%s,"T":%s,"m":true}}'
)


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "null",
        "17",
        '"text"',
        "[1]",
        b"\xff\xfe",
        '{"stream":"btcusdt@aggTrade"}',
        '{"stream":"btcusdt@aggTrade","data":null}',
        '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT"}}',
        '{"hello":"world"}',
        '{"stream":"BTCUSDT@klines","data":[[1,2]]}',
        '{"code":-1121,"msg":"Invalid symbol."}',
        '{"error":{"code":2,"msg":"Invalid request"},"id":1}',
        '{"e":"forceOrder","E":1,"o":{"s":"BTCUSDT","S":"sell","p":"1","ap":"1","z":"1","T":1}}',
        AGG_TRADE % ('"NaN"', '"1"', 1),
        AGG_TRADE % ('"-1"', '"1"', 1),
        AGG_TRADE % ('"0"', '"1"', 1),
        AGG_TRADE % ('"Infinity"', '"1"', 1),
        AGG_TRADE % ('"1"', '"-1"', 1),
        AGG_TRADE % ('"1"', '"1"', 1_700_000_000_000_000_000),
        AGG_TRADE % ('"1"', '"1"', '"soon"'),
        AGG_TRADE % ('"x"', '"1"', 1),
    ],
)
def test_frames_that_are_poison(frame: str | bytes) -> None:
    with pytest.raises(PoisonMessage):
        mapped(frame)


@pytest.mark.parametrize("length", range(1, 160, 7))
def test_a_truncated_frame_is_poison(length: int) -> None:
    frame = (AGG_TRADE % ('"1"', '"1"', 1)).encode()
    with pytest.raises(PoisonMessage):
        mapped(frame[: min(length, len(frame) - 1)])


def agg_trade(number: int, time: int | None = None) -> str:
    return json.dumps(
        {"e": "aggTrade", "E": 1, "s": "BTCUSDT", "a": number, "p": "1", "q": "1", "T": time or number, "m": True}
    )


def test_an_event_type_never_heard_of_is_a_notice() -> None:
    mapper = BinanceMapper()
    for frame in (
        '{"stream":"btcusdt@x","data":{"e":"unheardOf","s":"BTCUSDT"}}',
        '{"e":"unheardOf"}',
        '[{"e":"other"},{"e":"markPriceUpdate","E":5,"s":"BTCUSDT","p":"1"}]',
    ):
        events = mapped(frame, mapper)
    assert same(events, [Mark(*BTC, 5, 1.0)])
    assert mapper.report.notices == {"unheardOf": 2, "other": 1}


def test_a_jump_of_ids_is_a_gap_after_the_frames_own_event() -> None:
    mapper = BinanceMapper()
    mapped(agg_trade(5), mapper)
    events = mapper.map(agg_trade(9).encode(), RECEIVED_AT)
    assert same([next(events)], [Trade(*BTC, 9, 1.0, 1.0, -1, 9)])
    with pytest.raises(SequenceGap) as gap:
        next(events)
    assert (gap.value.stream, gap.value.after, gap.value.before) == ("BTCUSDT@aggTrade", 5, 9)
    assert mapped(agg_trade(10), mapper), "after the gap the numbers go on"


def test_what_was_seen_is_dropped_and_counted() -> None:
    mapper = BinanceMapper()
    order = '{"e":"forceOrder","E":1,"o":{"s":"BTCUSDT","S":"BUY","p":"1","ap":"1","z":"1","T":1}}'
    mark = '{"e":"markPriceUpdate","E":5,"s":"BTCUSDT","p":"1"}'
    for frame in (agg_trade(5), agg_trade(6), order, mark):
        assert mapped(frame, mapper)
    for frame in (agg_trade(5), agg_trade(6), order, mark):
        assert mapped(frame, mapper) == []
    assert mapper.duplicates == 4


def test_numbers_that_start_anew_at_a_later_time_are_no_duplicates() -> None:
    mapper = BinanceMapper()
    mapped(agg_trade(1_000_000, time=10), mapper)
    assert mapped(agg_trade(1, time=11), mapper)
    assert mapper.duplicates == 0


EXCHANGE_INFO = {
    "symbols": [
        {
            "symbol": "1000PEPEUSDT",
            "contractType": "PERPETUAL",
            "status": "TRADING",
            "quoteAsset": "USDT",
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": "0.0000001"},
                {"filterType": "LOT_SIZE", "stepSize": "1"},
            ],
        },
        {"symbol": "BTCUSDT_260626", "contractType": "CURRENT_QUARTER", "status": "TRADING", "quoteAsset": "USDT"},
    ]
}


def test_exchange_info_and_leverage_brackets_play_back() -> None:
    assert same(
        mapped(json.dumps(EXCHANGE_INFO)),
        [
            Contract(
                Venue.BINANCE,
                "PEPE",
                "1000PEPEUSDT",
                RECEIVED_AT,
                "trading",
                tick_size=0.0000001 / 1000,
                quantity_step=1000.0,
                contract_value=1000.0,
            )
        ],
    )
    brackets = [
        {
            "bracket": 1,
            "initialLeverage": 50,
            "notionalFloor": 0,
            "notionalCap": 5000,
            "maintMarginRatio": 0.015,
            "cum": 0,
        },
        {
            "bracket": 2,
            "initialLeverage": 20,
            "notionalFloor": 5000,
            "notionalCap": 9000,
            "maintMarginRatio": 0.025,
            "cum": 50,
        },
    ]
    assert same(
        mapped(json.dumps([{"symbol": "BTCUSDT", "brackets": brackets}])),
        [
            MarginTier(*BTC, RECEIVED_AT, 1, 2, 0.0, 5000.0, 50.0, 0.015, 0.0),
            MarginTier(*BTC, RECEIVED_AT, 2, 2, 5000.0, 9000.0, 20.0, 0.025, 50.0),
        ],
    )
    brackets[1]["cum"] = 51
    with pytest.raises(PoisonMessage, match="contradict"):
        mapped(json.dumps([{"symbol": "BTCUSDT", "brackets": brackets}]))
