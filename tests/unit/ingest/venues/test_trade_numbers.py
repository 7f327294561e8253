"""Which trades are new: numbers that rise, repeat, begin again from a small one, or are wrong in one row."""

import pytest

from ingest.venues.trade_numbers import MOST_SKIPPED, TradeNumbers
from ingest.venues.values import UNKNOWN

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
