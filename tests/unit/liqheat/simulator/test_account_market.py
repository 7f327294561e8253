"""A market of accounts: open interest adds up, accounts defend themselves, forced orders eat the book."""

from dataclasses import replace

import numpy as np
import pytest

from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.simulator.order_book import DepthShape
from liqheat.simulator.people import People
from liqheat.simulator.trading import Orders
from liqheat.simulator.twin import Shock, ShockPath
from tests.support.account_markets import START_MS, empty, populated, put

SOME = People(traders=600, defended_share=0.5, stop_share=0.4, partial_closes_per_hour=0.2)
STILL = DepthShape(1e6, refill_half_life_hours=1e9)


def test_longs_equal_shorts_equal_the_sum_of_positions_after_every_step() -> None:
    market = populated(1, SOME, volatility=0.02)
    for number in range(400):
        step = market.step(30_000)
        assert (market.open_interest == market.short_interest).all()
        if number % 40 == 0:
            table = market.positions
            for venue in range(len(market.listings)):
                for side, makers in ((1, np.maximum), (-1, np.minimum)):
                    held = table.lots[(table.venue == venue) & (table.side == side)].sum()
                    carried = abs(makers(market.makers.lots[venue], 0).sum())
                    assert held + carried == step.open_interest[venue]


def test_trades_account_for_every_change_of_a_position() -> None:
    market = populated(2, SOME, volatility=0.02)

    def holdings() -> dict[tuple[int, int], int]:
        table, held = market.positions, {}
        for row in table.open_rows.tolist():
            held[int(table.venue[row]), int(table.account[row])] = int(table.side[row] * table.lots[row])
        for venue, inventory in enumerate(market.makers.lots.tolist()):
            held.update({(venue, -1 - maker): lots for maker, lots in enumerate(inventory) if lots})
        return held

    expected = holdings()
    for _ in range(200):
        trades = market.step(30_000).trades
        for venue, lots, buyer, seller in zip(
            trades.venue.tolist(), trades.lots.tolist(), trades.buyer.tolist(), trades.seller.tolist(), strict=True
        ):
            assert lots > 0
            expected[venue, buyer] = expected.get((venue, buyer), 0) + lots
            expected[venue, seller] = expected.get((venue, seller), 0) - lots
    assert {key: lots for key, lots in expected.items() if lots} == holdings()


def test_large_orders_are_worked_in_parts_that_add_up() -> None:
    market = empty(STILL)
    market.people = replace(market.people, slice_usd=46_000.0)
    # 0.5, 10 and 100 coins at 46,000: one part, ten, and the most there are.
    orders = Orders(
        np.zeros(3, np.int64), np.array([500, -10_007, 100_000]), np.array([1, 2, 3]), np.array([False, True, False])
    )
    worked = market._worked(orders)
    for account, lots, parts, passive in ((1, 500, 1, False), (2, -10_007, 11, True), (3, 100_000, 20, False)):
        here = worked.account == account
        assert here.sum() == parts
        assert worked.lots[here].sum() == lots
        assert (worked.lots[here] * lots > 0).all()
        assert (worked.passive[here] == passive).all()


def test_the_stock_is_older_than_the_log_and_price_has_not_passed_its_liquidation() -> None:
    market = populated(4)
    table = market.positions
    rows = table.open_rows
    ages = (START_MS - table.opened[rows]) / HOUR_MS
    assert np.median(ages) > 24
    assert ages.max() > 1_000
    assert abs(table.entry_price[rows] / market.index_price - 1).max() > 0.05
    beyond = table.side[rows] * (table.worst_price[rows] - table.liquidation_price[rows])
    assert not (beyond <= 0).any()


def test_who_is_liquidated_was_reached_and_nobody_reached_stands() -> None:
    market = populated(5, SOME, volatility=0.03)
    seen = 0
    for _ in range(600):
        step = market.step(30_000)
        ended = step.liquidations
        seen += len(ended)
        assert (ended.side * (ended.mark_price - ended.liquidation_price) <= 0).all()
        assert (np.diff(ended.time) >= 0).all()
        table = market.positions
        older = table.open_rows[table.opened[table.open_rows] < step.time]
        if step.time % (5 * MINUTE_MS) and not step.settled.any():
            assert not table.is_liquidated(older, market.mark_prices).any()
    assert seen > 20


def test_one_liquidation_sets_off_the_next_until_the_book_holds() -> None:
    # Price falls by 1%: 500,000 go and take 0.5%; that reaches 250,000 more, which take 0.25%; 2% is not reached.
    market = empty(STILL)
    first = put(market, 1, 500_000, 46_000 * 0.9905)
    second = put(market, 1, 250_000, 46_000 * 0.987)
    third = put(market, 1, 250_000, 46_000 * 0.98)
    fork = market.fork(ShockPath(46_000.0, Shock(-0.01, minutes=1.0)))
    ended = [fork.step(10_000).liquidations for _ in range(12)]
    gone = np.concatenate([each.account for each in ended]).tolist()
    assert gone == [first, second]
    # The chain runs within the step that sets it off.
    assert max(map(len, ended)) == 2
    assert fork.positions.lots[third] > 0
    assert np.log(fork.index_price / 46_000) == pytest.approx(np.log(0.99) - 0.0075, abs=2e-4)
    # The market that was forked is as it was.
    assert market.positions.lots[first] > 0
    assert market.index_price == pytest.approx(46_000)


def test_without_liquidation_price_goes_only_where_it_was_pushed() -> None:
    market = empty(STILL)
    row = put(market, 1, 500_000, 46_000 * 0.9905)
    fork = market.fork(ShockPath(46_000.0, Shock(-0.01, minutes=1.0)))
    fork.stop_liquidating()
    ended = [fork.step(10_000).liquidations for _ in range(12)]
    assert sum(map(len, ended)) == 0
    assert fork.positions.lots[row] > 0
    assert fork.index_price == pytest.approx(46_000 * 0.99)


def test_an_account_that_defends_itself_adds_margin_or_cuts_before_it_is_reached() -> None:
    kept = 0
    for _ in range(20):
        market = empty(STILL)
        market._generator = np.random.default_rng(kept + 1)
        row = put(market, 1, 100_000, 46_000 * 0.98, is_defended=True)
        lots, margin = int(market.positions.lots[row]), float(market.positions.margin[row])
        # 35% of the room is left at 1.3% down; 1.6% down is past that, and short of 2%.
        fork = market.fork(ShockPath(46_000.0, Shock(-0.016, minutes=1.0)))
        fork._generator = np.random.default_rng(kept + 1)
        for _ in range(8):
            fork.step(10_000)
        is_cut = fork.positions.lots[row] < lots
        has_more = fork.positions.margin[row] > margin
        assert is_cut != has_more
        assert fork.positions.liquidation_price[row] < 46_000 * 0.98 - 100
        kept += 1
    assert kept == 20


def test_other_positions_of_an_account_move_its_liquidation_price() -> None:
    market = empty(STILL)
    market.people = replace(market.people, other_correlation=1.0)
    alone = put(market, 1, 100_000, 46_000 * 0.9)
    beside = put(market, 1, 100_000, 46_000 * 0.9, other_usd=50_000.0)
    before = float(market.positions.margin[beside])
    fork = market.fork(ShockPath(46_000.0, Shock(-0.02, minutes=1.0)))
    for _ in range(40):
        fork.step(10_000)
    # What else it holds has lost 2% of 50,000 in the log: 1,010.
    assert before - fork.positions.margin[beside] == pytest.approx(50_000 * -np.log(0.98), rel=1e-3)
    assert fork.positions.liquidation_price[beside] > fork.positions.liquidation_price[alone] + 300


def test_same_seed_same_market_and_another_seed_another() -> None:
    def marks(seed: int) -> list[list[float]]:
        market = populated(seed, SOME)
        return [market.step(30_000).mark_prices.tolist() for _ in range(50)]

    assert marks(5) == marks(5)
    assert marks(5) != marks(6)
