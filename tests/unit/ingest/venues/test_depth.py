"""Depth of a book, checked with a pencil: mid 100, levels at round distances."""

import pytest

from ingest.venues.depth import Book, Level, depth_of
from liqheat.domain.events import Depth
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.domain.order_book import DEPTH_DISTANCES

WLD = Instrument(Venue.BINANCE, "WLDUSDT", "WLD")
PEPE = Instrument(Venue.BINANCE, "1000PEPEUSDT", "PEPE", coins_per_unit=1_000.0)


def amounts(depth: Depth, side: str) -> list[float]:
    return [
        getattr(depth, f"{side}_{str(distance).removesuffix('.0').replace('.', '_')}_usd")
        for distance in DEPTH_DISTANCES
    ]


def depth(*books: Book, instrument: Instrument = WLD, units: float = 1.0) -> Depth:
    found = depth_of(instrument, 7, books, units)
    assert found is not None
    return found


BIDS: list[Level] = [(99.9, 1.0), (99.5, 2.0), (98.0, 3.0), (90.0, 4.0), (80.0, 5.0)]
ASKS: list[Level] = [(100.1, 10.0), (101.0, 20.0), (105.0, 30.0)]


def test_levels_add_up_from_mid_outwards_and_one_at_a_distance_counts() -> None:
    found = depth(Book(BIDS, ASKS))
    assert (found.mid_price, found.best_bid, found.best_ask, found.event_time) == (100.0, 99.9, 100.1, 7)
    near, next_, far, further = 99.9, 99.9 + 199.0, 99.9 + 199.0 + 294.0, 99.9 + 199.0 + 294.0 + 360.0
    assert amounts(found, "bid") == pytest.approx([near, near, next_, next_, far, far, further])
    assert amounts(found, "ask") == pytest.approx([1001.0, 1001.0, 1001.0, 3021.0, 3021.0, 6171.0, 6171.0])


def test_a_side_read_to_its_last_order_reaches_all_the_way() -> None:
    found = depth(Book(BIDS, ASKS, limit=5))
    assert found.bid_reach == pytest.approx(20.0), "five levels were asked for and came, so there may be more"
    assert found.ask_reach == 100.0


def test_of_two_readings_each_distance_takes_the_finest_that_reaches_it() -> None:
    fine = Book([(99.9, 1.0), (99.8, 1.0)], [(100.1, 1.0), (100.2, 1.0)], limit=2)
    coarse = Book([(99.0, 50.0), (90.0, 50.0)], [(101.0, 50.0), (110.0, 50.0)], limit=2)
    found = depth(fine, coarse)
    assert amounts(found, "bid") == pytest.approx([99.9, 199.7, 199.7, 4950.0, 4950.0, 4950.0, 9450.0])
    assert found.bid_reach == pytest.approx(10.0)


def test_amounts_never_fall_with_distance() -> None:
    fine = Book([(99.9, 9.0), (99.8, 1.0)], [(100.1, 1.0), (100.2, 1.0)], limit=2)
    coarse = Book([(99.0, 1.0), (90.0, 1.0)], [(101.0, 1.0), (110.0, 1.0)], limit=2)
    found = amounts(depth(fine, coarse), "bid")
    assert found == sorted(found)


def test_prices_are_per_coin_and_contracts_count_what_they_are_worth() -> None:
    found = depth(Book(BIDS, ASKS), instrument=PEPE)
    assert (found.mid_price, found.best_bid) == pytest.approx((0.1, 0.0999))
    assert amounts(found, "bid")[0] == pytest.approx(99.9), "1 quoted unit of 1,000 coins at 99.9"
    assert amounts(depth(Book(BIDS, ASKS), units=10.0), "bid")[0] == pytest.approx(999.0)


def test_crossed_levels_lie_at_mid() -> None:
    found = depth(Book([(101.0, 1.0), (99.0, 1.0)], [(99.0, 1.0), (101.0, 1.0)]))
    assert found.mid_price == 100.0
    assert amounts(found, "bid") == pytest.approx([101.0, 101.0, 101.0, 200.0, 200.0, 200.0, 200.0])


@pytest.mark.parametrize("book", [Book([], ASKS), Book(BIDS, [])])
def test_without_a_side_there_is_no_mid_and_no_depth(book: Book) -> None:
    assert depth_of(WLD, 7, [book]) is None
