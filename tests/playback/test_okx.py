"""OKX's recorded and documented payloads through its mapper, compared as full events."""

from pathlib import Path

import pytest

from ingest.venues.interface import wrap
from ingest.venues.okx.mapper import OkxMapper
from liqheat.domain.events import Contract, Event, Liquidation, MarginTier, Mark, OpenInterest, Trade, Turnover
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage
from tests.support.playback import played, same
from tests.support.venue_cases import VenueCase

RECORDED = Path(__file__).parents[1] / "data" / "recorded" / "okx"
CASE = VenueCase(
    trades_topic="trades:WLD-USDT-SWAP",
    marks_topic="mark-price:WLD-USDT-SWAP",
    socket_path="/ws/",
    rest_path="/api/v5",
    connection="public-",
)
RECEIVED_AT = 1_800_000_000_000
NAN = float("nan")
BTC = (Venue.OKX, "BTC", "BTC-USDT-SWAP")
ETH = (Venue.OKX, "ETH", "ETH-USDT-SWAP")
VALUES = {"BTC-USDT-SWAP": 0.01, "ETH-USDT-SWAP": 0.1, "AIXBT-USDT-SWAP": 10.0}


def play(*frames: bytes | str, mapper: OkxMapper | None = None) -> list[Event]:
    return played(mapper or OkxMapper(contract_values=VALUES), frames, RECEIVED_AT)


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.json").read_bytes()


def test_instruments_teach_the_contract_values() -> None:
    mapper = OkxMapper()
    same(
        play(recorded("http_get_instruments_swap"), mapper=mapper),
        [
            Contract(*ETH, RECEIVED_AT, "trading", 0.01, 0.01 * 0.1, 0.1),
            Contract(*BTC, RECEIVED_AT, "trading", 0.1, 0.01 * 0.01, 0.01),
        ],
    )
    assert mapper.contract_values == {"ETH-USDT-SWAP": 0.1, "BTC-USDT-SWAP": 0.01}
    assert mapper.instruments.ignored == {"BTC-USD-SWAP": "inverse contract"}


def test_mark_price() -> None:
    same(play(recorded("http_get_mark_price")), [Mark(*BTC, 1744590349506, 84660.1)])


def test_funding_travels_with_marks() -> None:
    mapper = OkxMapper()
    assert play(recorded("ws_funding_rate"), mapper=mapper) == []
    # The recorded funding time is the message's own, so the next settlement is the one after.
    expected = Mark(*BTC, 1744590349506, 84660.1, NAN, 0.0001, 1744619149506)
    same(play(recorded("http_get_mark_price"), mapper=mapper), [expected])
    same(play(recorded("ws_funding_rate"), mapper=mapper), [expected])


def test_funding_does_not_repeat_an_old_mark() -> None:
    """Were the marks lost, the last one would look fresh for as long as funding goes on."""
    mark = (
        '{"arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP",'
        '"instType":"SWAP","markPx":"100","ts":"1000"}]}'
    )
    funding = (
        '{"arg":{"channel":"funding-rate","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP",'
        '"fundingRate":"0.0001","nextFundingRate":"","fundingTime":"99000","nextFundingTime":"","ts":"TIME"}]}'
    )
    fresh, stale = funding.replace("TIME", "11000"), funding.replace("TIME", "11001")
    same(play(mark, fresh, stale), [Mark(*BTC, 1000, 100.0), Mark(*BTC, 11000, 100.0, NAN, 0.0001, 99000)])


def test_the_rate_settles_at_the_funding_time() -> None:
    funding = (
        '{"arg":{"channel":"funding-rate","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP",'
        '"fundingRate":"-0.0003","nextFundingRate":"","fundingTime":"2000","nextFundingTime":"3000","ts":"1500"}]}'
    )
    index = (
        '{"arg":{"channel":"index-tickers","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","idxPx":"99","ts":"1"}]}'
    )
    mark = (
        '{"arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP",'
        '"instType":"SWAP","markPx":"100","ts":"1600"}]}'
    )
    same(play(funding, index, mark), [Mark(*BTC, 1600, 100.0, 99.0, -0.0003, 2000)])


@pytest.mark.parametrize(
    "name",
    ["http_get_funding_rate_history", "http_get_position_tiers", "http_get_trades", "ws_tickers", "ws_trades"],
)
def test_history_of_funding_spot_and_coin_margined_emit_nothing(name: str) -> None:
    assert play(recorded(name)) == []


@pytest.mark.parametrize(
    "frame",
    [
        "pong",
        '{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"connId":"a4d3ae55"}',
        '{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade."}',
        '{"event":"channel-conn-count","channel":"trades","connCount":"2","connId":"abc"}',
        '{"arg":{"channel":"books5","instId":"BTC-USDT-SWAP"},"data":[{"asks":[],"bids":[],"ts":"1"}]}',
        '{"arg":{"channel":"mark-price","instId":"FIL-USDT-220325"},"data":[{"instId":"FIL-USDT-220325",'
        '"instType":"FUTURES","markPx":"36.662","ts":"1640140257676"}]}',
        '{"code":"0","msg":"","data":[]}',
        '{"arg":{"channel":"liquidation-orders","instType":"FUTURES"},"data":[{"details":[{"bkLoss":"0",'
        '"bkPx":"0.55205","ccy":"","posSide":"short","side":"buy","sz":"39","ts":"1680173247614"}],'
        '"instFamily":"XRP-USD","instId":"XRP-USD-230929","instType":"FUTURES","uly":"XRP-USD"}]}',
    ],
)
def test_acknowledgements_pongs_and_other_products_emit_nothing(frame: str) -> None:
    assert play(frame) == []


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (
            '{"event":"error","code":"60012","msg":"Invalid request","connId":"x"}',
            "refused: Invalid request .code 60012",
        ),
        ('{"code":"50011","msg":"Too Many Requests","data":[]}', "code 50011"),
        ("ping", "Not an OKX frame"),
        (
            '{"arg":{"channel":"trades"},"data":[{"instId":"SOL-USDT-SWAP","px":"1","sz":"1","side":"buy","ts":"1"}]}',
            "contract value of SOL-USDT-SWAP is not known",
        ),
        (
            '{"arg":{"channel":"trades"},"data":[{"instId":"BTC-USDT-SWAP","px":"1","sz":"1","side":"up","ts":"1"}]}',
            "buy or sell",
        ),
        (
            '{"code":"0","data":[{"instId":"X-USDT-SWAP","instType":"SWAP","ctType":"linear","ctVal":"","ctMult":"1"}]}',
            "X-USDT-SWAP: Expected a contract value",
        ),
    ],
)
def test_what_cannot_be_read_is_poison(frame: str, sentence: str) -> None:
    with pytest.raises(PoisonMessage, match=sentence):
        play(frame)


TRADES = (
    '{"arg":{"channel":"trades","instId":"ETH-USDT-SWAP"},"data":['
    '{"instId":"ETH-USDT-SWAP","tradeId":"8","px":"2000.5","sz":"3","side":"sell","ts":"1001","count":"1"},'
    '{"instId":"ETH-USDT-SWAP","tradeId":"7","px":"2000","sz":"12","side":"buy","ts":"1000","count":"3"}]}'
)


def test_trades_are_coins_oldest_first_and_never_twice() -> None:
    mapper = OkxMapper(contract_values=VALUES)
    rest = (
        '{"code":"0","msg":"","data":[{"instId":"ETH-USDT-SWAP","tradeId":"8","px":"2000.5","sz":"3",'
        '"side":"sell","ts":"1001"}]}'
    )
    same(
        play(TRADES, TRADES, wrap("ETH-USDT-SWAP@trades", rest.encode()), mapper=mapper),
        [Trade(*ETH, 1000, 2000.0, 12 * 0.1, 1, 7), Trade(*ETH, 1001, 2000.5, 3 * 0.1, -1, 8)],
    )
    assert mapper.duplicates == 3


def test_open_interest_is_coins_by_contract_value() -> None:
    frame = (
        '{"arg":{"channel":"open-interest","instId":"ETH-USDT-SWAP"},"data":[{"instId":"ETH-USDT-SWAP",'
        '"instType":"SWAP","oi":"7105100.61","oiCcy":"710510.061","ts":"5"}]}'
    )
    same(play(frame), [OpenInterest(*ETH, 5, 7105100.61 * 0.1)])
    # Where the contract value is not known, the venue's own figure in coins serves.
    same(play(frame, mapper=OkxMapper()), [OpenInterest(*ETH, 5, 710510.061)])
    real = (
        '{"arg":{"channel":"open-interest","instId":"WNCG-USDT-SWAP"},"data":[{"instId":"WNCG-USDT-SWAP",'
        '"instType":"SWAP","oi":"644195","oiCcy":"644195","ts":"1640131258756"}]}'
    )
    same(play(real), [OpenInterest(Venue.OKX, "WNCG", "WNCG-USDT-SWAP", 1640131258756, 644195.0)])


def detail(position_side: str, side: str, at: int, size: str = "39") -> str:
    whose = f'"posSide":"{position_side}","side":"{side}"'
    return f'{{"bkLoss":"0","bkPx":"2050.5","ccy":"",{whose},"sz":"{size}","ts":"{at}"}}'


def liquidations(*details: str) -> str:
    return (
        '{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":['
        + ",".join(details)
        + '],"instFamily":"ETH-USDT","instId":"ETH-USDT-SWAP","instType":"SWAP","uly":"ETH-USDT"}]}'
    )


def test_liquidations_name_the_position_oldest_first_backlog_once() -> None:
    mapper = OkxMapper(contract_values=VALUES)
    backlog = liquidations(
        detail("long", "sell", 30),
        detail("short", "buy", 10),
        detail("net", "sell", 20),
        detail("net", "buy", 40),
    )
    size = 39 * 0.1
    same(
        play(backlog, mapper=mapper),
        [
            Liquidation(*ETH, 10, -1, 2050.5, size, 2050.5),
            Liquidation(*ETH, 20, 1, 2050.5, size, 2050.5),
            Liquidation(*ETH, 30, 1, 2050.5, size, 2050.5),
            Liquidation(*ETH, 40, -1, 2050.5, size, 2050.5),
        ],
    )
    same(
        play(backlog, liquidations(detail("long", "sell", 30, "40")), mapper=mapper),
        [Liquidation(*ETH, 30, 1, 2050.5, 40 * 0.1, 2050.5)],
    )
    assert mapper.duplicates == 4


def test_a_liquidation_of_an_unknown_contract_is_refused_after_the_others() -> None:
    mapper = OkxMapper(contract_values=VALUES)
    both = liquidations(detail("long", "sell", 30)).replace(
        '"data":[', '"data":[{"details":[' + detail("long", "sell", 5) + '],"instId":"NEW-USDT-SWAP"},'
    )
    assert [event.symbol for event in mapper.map(both.encode(), RECEIVED_AT)] == ["ETH"]
    (refusal,) = mapper.report.refused
    assert refusal.instrument == "NEW-USDT-SWAP"
    assert "contract value of NEW-USDT-SWAP is not known" in refusal.reason


def test_turnover_is_the_volume_in_coins_at_the_last_price() -> None:
    frame = (
        '{"arg":{"channel":"tickers","instId":"ETH-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"ETH-USDT-SWAP",'
        '"last":"2000","vol24h":"2222","volCcy24h":"222.2","ts":"9"}]}'
    )
    same(play(frame), [Turnover(*ETH, 9, 222.2 * 2000)])


TIERS = (
    '{"code":"0","msg":"","data":['
    '{"instFamily":"AIXBT-USDT","instId":"","uly":"AIXBT-USDT","tier":"1","minSz":"0","maxSz":"1000","mmr":"0.02",'
    '"imr":"0.05","maxLever":"20"},'
    '{"instFamily":"AIXBT-USDT","instId":"","uly":"AIXBT-USDT","tier":"2","minSz":"1001","maxSz":"2000","mmr":"0.03",'
    '"imr":"0.1","maxLever":"10"}]}'
)


def test_tiers_in_contracts_wait_for_a_mark_and_become_usd() -> None:
    mapper = OkxMapper(contract_values=VALUES)
    mark = '{"code":"0","msg":"","data":[{"instType":"SWAP","instId":"AIXBT-USDT-SWAP","markPx":"0.1","ts":"5"}]}'
    where = (Venue.OKX, "AIXBT", "AIXBT-USDT-SWAP")
    tiers: list[Event] = [
        MarginTier(*where, RECEIVED_AT, 1, 2, 0.0, 1000.0, 20.0, 0.02, 0.0),
        MarginTier(*where, RECEIVED_AT, 2, 2, 1000.0, 2000.0, 10.0, 0.03, 0.0),
    ]
    assert play(TIERS, mapper=mapper) == []
    same(play(mark, mapper=mapper), [Mark(*where, 5, 0.1), *tiers])
    same(play(TIERS, mapper=mapper), tiers)


def test_only_wanted_instruments_are_mapped_with_their_contract_value() -> None:
    mapper = OkxMapper([Instrument(Venue.OKX, "ETH-USDT-SWAP", "ETH", contract_value=0.5)])
    same(play(TRADES, mapper=mapper)[:1], [Trade(*ETH, 1000, 2000.0, 6.0, 1, 7)])
    assert play(recorded("http_get_mark_price"), mapper=mapper) == []


def test_history_candles_and_open_interest() -> None:
    candles = b'{"code":"0","msg":"","data":[["60000","20","30","10","25","40","4","80","1"]]}'
    same(
        play(wrap("ETH-USDT-SWAP@history-candles", candles)),
        [Trade(*ETH, 90_000, 20.0, 2.0, 1), Trade(*ETH, 90_000, 20.0, 2.0, -1)],
    )
    marks = b'{"code":"0","msg":"","data":[["120000","30","40","20","25","1"],["60000","20","31","19","30","1"]]}'
    prices = [
        event.mark_price
        for event in play(wrap("ETH-USDT-SWAP@history-mark-price-candles", marks))
        if isinstance(event, Mark)
    ]
    assert prices == [20, 19, 31, 30, 30, 40, 20, 25]
    points = b'{"code":"0","msg":"","data":[["600000","50","5","10000"],["300000","40","4","8000"]]}'
    same(
        play(wrap("ETH-USDT-SWAP@open-interest-history", points)),
        [OpenInterest(*ETH, 300_000, 4.0), OpenInterest(*ETH, 600_000, 5.0)],
    )
