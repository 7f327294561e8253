"""Which trades are new: numbers that rise, repeat, begin again from a small one, or are wrong in one row."""

import json

import pytest

from ingest.sanity import read_frame
from ingest.venues.registry import mapper_for
from ingest.venues.trade_numbers import MOST_SKIPPED, TradeNumbers
from ingest.venues.values import UNKNOWN
from liqheat.domain.instruments import parse_instrument
from liqheat.domain.market import Venue

T = 1_769_000_000_000
FAR = 10**12
SEEN = None


@pytest.mark.parametrize(
    ("trades", "answers"),
    [
        pytest.param([(5, 0), (6, 0), (6, 0), (5, 0)], [[], [], SEEN, SEEN], id="in order, then sent again"),
        pytest.param([(5, 0), (9, 1), (10, 2)], [[], [(5, 9)], []], id="a hole is returned once"),
        pytest.param([(100, 0), (UNKNOWN, 1), (110, 2)], [[], [], [(100, 110)]], id="no number hides no hole"),
        pytest.param(
            [(100, 0), (101, -(10**11)), (99, -10), (100, 0), (101, 1), (102, 2)],
            [[], [], SEEN, SEEN, SEEN, []],
            id="a time far behind never becomes the latest",
        ),
        pytest.param([(4, 0), (FAR, 59_000), (5, 1), (6, 2)], [[], [], [], []], id="one odd number changes nothing"),
        pytest.param([(FAR, 59_000), (6, 0), (7, 1), (9, 2)], [[], [], [], [(7, 9)]], id="the first number is odd"),
        pytest.param(
            [(4, 0), (FAR, 1), (FAR, 1), (FAR + 1, 2), (FAR + 3, 3)],
            [[], [], SEEN, [(4, FAR)], [(FAR + 1, FAR + 3)]],
            id="a second one confirms a jump, and its hole is returned",
        ),
        pytest.param([(100, 0), (3, 1), (4, 2), (6, 3)], [[], [], [], [(4, 6)]], id="the numbers begin again"),
        pytest.param([(100, 0), (3, 1), (101, 2)], [[], [], []], id="a small number once is no new count"),
        pytest.param([(7, 0), (7, 500), (7, 46_500), (7, 46_500)], [[], SEEN, [], SEEN], id="a number is used again"),
        pytest.param([(7, 0), (7 + MOST_SKIPPED, 1)], [[], [(7, 7 + MOST_SKIPPED)]], id="so is a long hole"),
    ],
)
def test_what_is_new_and_what_is_missing(
    trades: list[tuple[int, int]], answers: list[list[tuple[int, int]] | None]
) -> None:
    numbers = TradeNumbers()
    assert [numbers.take("WLDUSDT", number, T + time) for number, time in trades] == answers


def test_instruments_are_counted_apart() -> None:
    numbers = TradeNumbers()
    assert numbers.take("WLDUSDT", 7, T) == []
    assert numbers.take("FETUSDT", 7, T) == []


def test_of_a_recording_each_number_counts_once_whatever_its_order() -> None:
    late: list[int] = []
    numbers = TradeNumbers(on_late=lambda: late.append(1))
    order = [103, 100, 101, 107, 101, 105, 104, 102, 106, 105, 108, 103, 110, 109, 108, 99]
    counted = [number for number in order if numbers.take("WLDUSDT", number, T + number) is not SEEN]
    assert counted == list(dict.fromkeys(order))
    assert len(late) == 8


def test_numbers_that_begin_again_in_a_recording_count() -> None:
    numbers = TradeNumbers(on_late=lambda: None)
    far = 10 * MOST_SKIPPED
    order = [far, far + 1, 5, 6, 8, 7, 8]
    assert [numbers.take("WLDUSDT", number, T + place) is SEEN for place, number in enumerate(order)] == [
        *[False] * 6,
        True,
    ]
    # What was open before the count began again is not of this one.
    assert numbers.take("WLDUSDT", 5, T) is SEEN


@pytest.mark.parametrize(
    ("venue", "name", "frame"),
    [
        (
            Venue.BINANCE,
            "WLDUSDT",
            '{{"e":"aggTrade","E":{t},"a":{n},"s":"WLDUSDT","p":"1","q":"5","T":{t},"m":true}}',
        ),
        (
            Venue.OKX,
            "WLD-USDT-SWAP",
            '{{"arg":{{"channel":"trades"}},"data":[{{"instId":"WLD-USDT-SWAP","tradeId":"{n}","px":"1","sz":"5",'
            '"side":"buy","ts":"{t}"}}]}}',
        ),
    ],
)
def test_a_recording_out_of_order_loses_no_trade_and_says_so(venue: Venue, name: str, frame: str) -> None:
    played = mapper_for(venue, contract_values={name: 1.0})
    instrument = parse_instrument(venue, name)
    assert instrument is not None
    live = mapper_for(venue, [instrument])
    order = [100, 103, 102, 101, 103, 104]
    frames = [frame.format(n=number, t=T + number).encode() for number in order]
    assert [len(read_frame(played, each, T + 1_000).events) for each in frames] == [1, 1, 1, 1, 0, 1]
    assert dict(played.report.notices) == {"trade behind a later one": 2}
    # Live the hole between 100 and 103 is read by REST, and what comes behind would count twice.
    assert [len(read_frame(live, each, T + 1_000).events) for each in frames] == [1, 1, 0, 0, 0, 1]
    assert not live.report.notices


def test_trades_that_a_row_sums_up_are_not_late_when_they_come_alone() -> None:
    row = '{{"arg":{{"channel":"{channel}"}},"data":[{{"instId":"WLD-USDT-SWAP","tradeId":"{n}","px":"1","sz":"5",'
    row += '"side":"buy","ts":"{t}","count":{count}}}]}}'
    mapper = mapper_for(Venue.OKX, contract_values={"WLD-USDT-SWAP": 1.0})

    def counted(channel: str, number: int, count: object) -> int:
        frame = row.format(channel=channel, n=number, t=T + number, count=json.dumps(count))
        reading = read_frame(mapper, frame.encode(), T + 1_000)
        assert not list(reading.problems())
        return len(reading.events)

    assert [counted("trades", 100, "1"), counted("trades", 105, "5")] == [1, 1]
    assert [counted("trades-all", number, "1") for number in range(101, 106)] == [0] * 5
    assert [counted("trades", 110, count) for count in ("x", None)] == [1, 0]
    assert [counted("trades-all", 108, -3), counted("trades", 107, 1e9)] == [1, 1]
    assert [counted("trades", 109, "1"), counted("trades", 106, 1)] == [1, 1]
