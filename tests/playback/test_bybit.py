"""Bybit's recorded and documented payloads through its mapper, compared as full events."""

from pathlib import Path

import pytest

from ingest.venues.bybit.mapper import BybitMapper
from ingest.venues.interface import wrap
from liqheat.domain.events import Contract, Event, Liquidation, MarginTier, Mark, OpenInterest, Trade, Turnover
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage
from tests.support.playback import played, same
from tests.support.venue_cases import VenueCase

RECORDED = Path(__file__).parents[1] / "data" / "recorded" / "bybit"
CASE = VenueCase(
    trades_topic="publicTrade.WLDUSDT",
    marks_topic="tickers.WLDUSDT",
    marks_carry_open_interest=True,
    socket_path="/public/",
    rest_path="/v5/market",
    connection="linear-",
)
RECEIVED_AT = 1_800_000_000_000
BTC = (Venue.BYBIT, "BTC", "BTCUSDT")


def play(*frames: bytes | str, mapper: BybitMapper | None = None) -> list[Event]:
    return played(mapper or BybitMapper(), frames, RECEIVED_AT)


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.json").read_bytes()


def test_instruments() -> None:
    same(
        play(recorded("http_get_instruments_linear")),
        [
            Contract(*BTC, 1700000000000, "trading", 0.5, 0.001, 1.0, 28_800_000),
            Contract(Venue.BYBIT, "ETH", "ETHUSDT", 1700000000000, "trading", 0.05, 0.01, 1.0, 28_800_000),
        ],
    )


def test_recent_trades() -> None:
    same(play(recorded("http_get_trades_recent")), [Trade(*BTC, 1709891679000, 27450.5, 0.005, 1)])


def test_public_trade() -> None:
    same(play(recorded("ws_public_trade")), [Trade(*BTC, 1709891679000, 27451.0, 0.01, 1)])


def test_ticker() -> None:
    same(
        play(recorded("ws_ticker_linear")),
        [
            Mark(*BTC, 1673272861686, 17217.33, 17227.36, -0.000212, 1673280000000),
            OpenInterest(*BTC, 1673272861686, 68744.761 / 2),
            Turnover(*BTC, 1673272861686, 1570383121.943499),
        ],
    )


@pytest.mark.parametrize("name", ["http_get_funding_history", "ws_subscription_ack"])
def test_what_says_nothing_of_positions_emits_nothing(name: str) -> None:
    assert play(recorded(name)) == []


@pytest.mark.parametrize(
    "frame",
    [
        '{"success":true,"ret_msg":"pong","conn_id":"x","op":"ping"}',
        '{"req_id":"1","op":"pong","args":["1675418560633"],"conn_id":"x"}',
        '{"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":1,"data":{"s":"BTCUSDT","b":[],"a":[]}}',
        '{"topic":"tickers.BTCUSDT","ts":1,"type":"snapshot","cs":1,"data":{"symbol":"BTCUSDT","lastPrice":"1",'
        '"turnover24h":"5"}}',
        '{"topic":"publicTrade.BTCUSD","type":"snapshot","ts":1,"data":[{"T":1,"s":"BTCUSD","S":"Buy","v":"1",'
        '"p":"1","i":"x"}]}',
        '{"topic":"publicTrade.BTCUSDT-26SEP25","type":"snapshot","ts":1,"data":[{"T":1,"s":"BTCUSDT-26SEP25",'
        '"S":"Buy","v":"1","p":"1","i":"x"}]}',
        '{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"execId":"1","symbol":"BTCUSDT",'
        '"price":"1","size":"1","side":"Buy","time":"1"}]},"time":1}',
        '{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[]},"time":1}',
    ],
)
def test_acknowledgements_pongs_spot_and_inverse_emit_nothing(frame: str) -> None:
    assert play(frame) == []


def test_what_is_left_out_is_noted() -> None:
    mapper = BybitMapper()
    play(
        '{"topic":"publicTrade.BTCUSD","data":[{"T":1,"s":"BTCUSD","S":"Buy","v":"1","p":"1","i":"x"}]}', mapper=mapper
    )
    assert mapper.instruments.ignored == {"BTCUSD": "not a linear USDT or USDC perpetual"}


def test_only_wanted_instruments_are_mapped() -> None:
    mapper = BybitMapper([Instrument(Venue.BYBIT, "ETHUSDT", "ETH")])
    assert play(recorded("ws_public_trade"), mapper=mapper) == []
    assert len(play(recorded("http_get_instruments_linear"), mapper=mapper)) == 1


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (recorded("ws_subscription_failure"), "refused the operation 'subscribe': Invalid topic"),
        ('{"retCode":10006,"retMsg":"Too many visits!","result":{},"time":1}', "answered 10006: Too many visits"),
        ("{", "Not a Bybit frame"),
        ('{"topic":"publicTrade.BTCUSDT","data":[{"T":1,"s":"BTCUSDT","S":"Up","v":"1","p":"1"}]}', "Buy or Sell"),
        ('{"topic":"publicTrade.BTCUSDT","data":[{"T":1,"s":"BTCUSDT","S":"Buy","v":"1","p":"-1"}]}', "a Bybit trade"),
        ('{"topic":"publicTrade.BTCUSDT","data":[{"T":1,"s":"BTCUSDT","S":"Buy","v":"nan","p":"1"}]}', "a Bybit trade"),
        ('{"topic":"tickers.BTCUSDT","ts":1,"data":{"symbol":"BTCUSDT","fundingRate":"inf"}}', "Expected a number"),
    ],
)
def test_what_cannot_be_read_is_poison(frame: bytes | str, sentence: str) -> None:
    with pytest.raises(PoisonMessage, match=sentence):
        play(frame)


def test_a_liquidations_side_is_the_position_that_died() -> None:
    frame = (
        '{"topic":"allLiquidation.PIPPINUSDT","type":"snapshot","ts":1740480207578,"data":['
        '{"T":1740480207110,"s":"PIPPINUSDT","S":"Sell","v":"2846","p":"0.02456"},'
        '{"T":1740480207110,"s":"PIPPINUSDT","S":"Buy","v":"10","p":"0.02"}]}'
    )
    where = (Venue.BYBIT, "PIPPIN", "PIPPINUSDT", 1740480207110)
    same(
        play(frame, frame),
        [Liquidation(*where, -1, 0.02456, 2846.0, 0.02456), Liquidation(*where, 1, 0.02, 10.0, 0.02)],
    )


SNAPSHOT = (
    '{"topic":"tickers.1000PEPEUSDT","type":"snapshot","ts":1000,"cs":1,"data":{"symbol":"1000PEPEUSDT",'
    '"markPrice":"0.010","indexPrice":"0.011","openInterest":"200","singleOpenInterest":"100","turnover24h":"50",'
    '"fundingRate":"0.0001","nextFundingTime":"9000"}}'
)
PEPE = (Venue.BYBIT, "PEPE", "1000PEPEUSDT")


def delta(at: int, **fields: str) -> str:
    inside = "".join(f',"{name}":"{value}"' for name, value in fields.items())
    return (
        f'{{"topic":"tickers.1000PEPEUSDT","type":"delta","ts":{at},"data":{{"symbol":"1000PEPEUSDT"{inside}}},"cs":2}}'
    )


def test_a_delta_changes_only_what_it_names() -> None:
    events = play(
        SNAPSHOT,
        delta(1100, markPrice="0.012"),
        delta(1200, bid1Price="0.011"),
        delta(1300, fundingRate="0.0002"),
        delta(1400, openInterest="300"),
        delta(1500, singleOpenInterest="160", openInterest="320", turnover24h="60"),
    )
    same(
        events,
        [
            Mark(*PEPE, 1000, 0.010 / 1000, 0.011 / 1000, 0.0001, 9000),
            OpenInterest(*PEPE, 1000, 100_000.0),
            Turnover(*PEPE, 1000, 50.0),
            Mark(*PEPE, 1100, 0.012 / 1000, 0.011 / 1000, 0.0001, 9000),
            Mark(*PEPE, 1300, 0.012 / 1000, 0.011 / 1000, 0.0002, 9000),
            OpenInterest(*PEPE, 1400, 150_000.0),
            OpenInterest(*PEPE, 1500, 160_000.0),
            Turnover(*PEPE, 1500, 60.0),
        ],
    )


def test_a_delta_without_its_snapshot_waits_for_a_mark() -> None:
    assert play(delta(1100, fundingRate="0.1")) == []


def test_open_interest_history_is_one_sided_and_oldest_first() -> None:
    body = (
        '{"retCode":0,"retMsg":"OK","result":{"symbol":"BTCUSDT","category":"linear","list":['
        '{"openInterest":"63910691.00000000","singleOpenInterest":"31955346","timestamp":"1780963200000"},'
        '{"openInterest":"60000000","timestamp":"1780962900000"}],"nextPageCursor":""},"time":1780963200001}'
    )
    same(play(body), [OpenInterest(*BTC, 1780962900000, 3e7), OpenInterest(*BTC, 1780963200000, 31955346.0)])


RISK = (
    '{{"retCode":0,"retMsg":"OK","result":{{"category":"linear","list":['
    '{{"id":1,"symbol":"AIXBTUSDT","riskLimitValue":"5000","maintenanceMargin":"{first}","initialMargin":"{initial}",'
    '"isLowestRisk":1,"maxLeverage":"25.00","mmDeduction":""}},'
    '{{"id":2,"symbol":"AIXBTUSDT","riskLimitValue":"10000","maintenanceMargin":"{second}","initialMargin":"0.05",'
    '"isLowestRisk":0,"maxLeverage":"20.00","mmDeduction":"{deduction}"}}]}},"time":7}}'
)
AIXBT = (Venue.BYBIT, "AIXBT", "AIXBTUSDT")


def test_risk_limits_are_margin_tiers_in_fractions_or_percents() -> None:
    expected: list[Event] = [
        MarginTier(*AIXBT, 7, 1, 2, 0.0, 5000.0, 25.0, 0.02, 0.0),
        MarginTier(*AIXBT, 7, 2, 2, 5000.0, 10000.0, 20.0, 0.025, 25.0),
    ]
    same(play(RISK.format(first="0.02", initial="0.04", second="0.025", deduction="25")), expected)
    percents = RISK.format(first="2", initial="4", second="2.5", deduction="25").replace("0.05", "5")
    same(play(percents), expected)


def test_a_broken_tier_table_is_refused_with_a_sentence() -> None:
    with pytest.raises(
        PoisonMessage,
        match=r"AIXBTUSDT: .*: Expected a maintenance amount of 25 USD in tier 2, was 40",
    ):
        play(RISK.format(first="0.02", initial="0.04", second="0.025", deduction="40"))


def test_recovered_trades_that_were_seen_are_dropped() -> None:
    mapper = BybitMapper()
    live = recorded("ws_public_trade")
    rest = recorded("http_get_trades_recent").replace(
        b"a905d5c3-1ed0-4f37-83e4-9c73a2fe2f01", b"9dc75fca-4bdd-4773-9f78-6f5d7ab2a110"
    )
    assert len(play(live, mapper=mapper)) == 1
    assert play(wrap("BTCUSDT@recent-trade", rest), mapper=mapper) == []
    assert mapper.duplicates == 1


def test_history_bars_become_trades_and_marks() -> None:
    kline = (
        b'{"retCode":0,"retMsg":"OK","result":{"symbol":"1000PEPEUSDT","category":"linear","list":['
        b'["60000","0.02","0.03","0.01","0.025","4","0.08"]]},"time":1}'
    )
    same(
        play(wrap("1000PEPEUSDT@kline", kline)),
        [Trade(*PEPE, 90_000, 0.02 / 1000, 2000.0, 1), Trade(*PEPE, 90_000, 0.02 / 1000, 2000.0, -1)],
    )
    mark = (
        b'{"retCode":0,"retMsg":"OK","result":{"symbol":"BTCUSDT","category":"linear","list":['
        b'["120000","30","40","20","25"],["60000","20","31","19","30"]]},"time":1}'
    )
    prices = [event.mark_price for event in play(wrap("BTCUSDT@mark-price-kline", mark)) if isinstance(event, Mark)]
    assert prices == [20, 19, 31, 30, 30, 40, 20, 25]
