"""What a move does, read off a curve of three points with a pencil."""

import pytest

from liqheat.domain.market import Side
from liqheat.viewer.what_if import target_of, what_if

FALLS = {
    "side": "long",
    "mark_price": 100.0,
    "move_percent": [2.0, 5.0, 10.0],
    "rest_percent": [2.0, 7.0, 20.0],
    "liquidated_usd": [0.0, 1e6, 3e6],
    "beyond_percent": None,
    "trigger_price": 92.0,
    "book_coverage": 0.8,
}
RISES = FALLS | {"side": "short", "rest_percent": [2.0, 5.0, 10.0], "beyond_percent": 4.0, "trigger_price": None}


def test_a_fall_is_read_off_the_curve_of_longs_between_its_points() -> None:
    move = what_if([RISES, FALLS], 92.5)

    assert move is not None
    assert move.side is Side.LONG
    assert move.percent == pytest.approx(7.5)
    assert move.rest_percent == pytest.approx(13.5)
    assert move.rest_price == pytest.approx(86.5)
    assert move.liquidated_usd == pytest.approx(2e6)
    assert move.amplification == pytest.approx(1.8)
    assert not move.is_beyond


def test_a_rise_past_the_known_books_says_so_and_never_rests_before_its_own_end() -> None:
    move = what_if([RISES, FALLS], 104.5)

    assert move is not None
    assert move.is_beyond
    assert move.rest_percent == pytest.approx(4.5)
    far = what_if([FALLS], 70.0)
    assert far is not None
    assert far.is_beyond
    assert far.rest_percent == pytest.approx(30.0)


def test_a_direction_without_a_curve_is_unknown() -> None:
    assert what_if([FALLS], 101.0) is None


def test_a_target_is_a_price_or_a_percentage() -> None:
    assert target_of(2.0, 1.9, None) == 1.9
    assert target_of(2.0, None, "-5%") == pytest.approx(1.9)
    assert target_of(2.0, None, "+2.5") == pytest.approx(2.05)


@pytest.mark.parametrize(
    ("to", "move"),
    [(None, None), (1.0, "-5%"), (None, "five"), (None, "-100%"), (0.0, None), (2.0, None), (None, "nan")],
)
def test_what_is_no_target_is_a_sentence(to: float | None, move: str | None) -> None:
    with pytest.raises(ValueError, match=r"^(Give|Expected)"):
        target_of(2.0, to, move)
