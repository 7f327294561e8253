"""The market core: open interest is conserved, liquidations follow mark price, the same seed gives the same market."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from liqheat.domain.liquidation_price import linear_at_tier
from liqheat.domain.market import Venue
from liqheat.simulator.crowd_market import CrowdMarket
from liqheat.simulator.listings import coin_of, listings_of
from liqheat.simulator.market import Market
from liqheat.simulator.price_paths import make_path
from liqheat.simulator.regimes import REGIME_NAMES
from liqheat.simulator.simulation import SCORED_VENUES, SimulationConfig, make_market
from liqheat.simulator.tape import Step
from liqheat.simulator.traders import Population, TraderKind

SMALL = Population.with_mix("degen", traders=500)


def config(regime: str = "crash", symbol: str = "FARTCOIN", seed: int = 3) -> SimulationConfig:
    return SimulationConfig(seed=seed, symbols=(symbol,), regime=regime, warm_up_hours=2, population=SMALL)


def walk(market: Market, steps: int, step_ms: int = 10_000) -> Iterator[Step]:
    for _ in range(steps):
        yield market.step(step_ms)


def sums_of_positions(market: Market) -> tuple[list[int], list[int]]:
    """Sum longs and shorts position by position, makers included: the oracle for open interest."""
    table = market.positions
    longs, shorts = [0] * len(market.listings), [0] * len(market.listings)
    for row in range(len(table.lots)):
        if table.lots[row]:
            (longs if table.side[row] > 0 else shorts)[table.venue[row]] += int(table.lots[row])
    for venue, inventory in enumerate(market.makers.lots.tolist()):
        longs[venue] += sum(lots for lots in inventory if lots > 0)
        shorts[venue] -= sum(lots for lots in inventory if lots < 0)
    return longs, shorts


@pytest.mark.parametrize("regime", REGIME_NAMES)
def test_longs_equal_shorts_equal_open_interest_after_every_step(regime: str) -> None:
    market = make_market(config(regime), "FARTCOIN")
    for number, step in enumerate(walk(market, 300)):
        if number % 20 == 0:
            longs, shorts = sums_of_positions(market)
            assert longs == shorts == step.open_interest.tolist()
        assert (market.open_interest == market.short_interest).all()


def test_trades_account_for_every_change_of_a_position() -> None:
    market = make_market(config(), "FARTCOIN")

    def holdings() -> dict[tuple[int, int], int]:
        table = market.positions
        held: dict[tuple[int, int], int] = {}
        for row in table.open_rows.tolist():
            key = (int(table.venue[row]), int(table.account[row]))
            held[key] = held.get(key, 0) + int(table.side[row] * table.lots[row])
        for venue, inventory in enumerate(market.makers.lots.tolist()):
            held.update({(venue, -1 - maker): lots for maker, lots in enumerate(inventory)})
        return {key: lots for key, lots in held.items() if lots}

    expected = holdings()
    for step in walk(market, 200):
        trades = step.trades
        for venue, lots, buyer, seller in zip(
            trades.venue.tolist(), trades.lots.tolist(), trades.buyer.tolist(), trades.seller.tolist(), strict=True
        ):
            expected[venue, buyer] = expected.get((venue, buyer), 0) + lots
            expected[venue, seller] = expected.get((venue, seller), 0) - lots
    assert {key: lots for key, lots in expected.items() if lots} == holdings()


def test_a_liquidated_position_was_really_reached_by_the_mark() -> None:
    market = make_market(config(), "FARTCOIN")
    seen = 0
    for step in walk(market, 1_500):
        liquidations = step.liquidations
        seen += len(liquidations)
        assert (liquidations.mark_price == step.mark_prices[liquidations.venue]).all()
        reached = liquidations.side * (liquidations.mark_price - liquidations.liquidation_price)
        assert (reached <= 0).all()
        assert not np.isnan(liquidations.liquidation_price).any()
        # The bankruptcy price lies beyond the liquidation price, or the venue would lose from the start.
        beyond = liquidations.side * (liquidations.liquidation_price - liquidations.bankruptcy_price)
        assert (beyond[~np.isnan(beyond)] > 0).all()
        # Nobody survives a mark beyond his liquidation price, as it was before this step's funding and changes.
        survivors = market.positions.open_rows
        older = survivors[market.positions.opened[survivors] < step.time]
        if not step.settled.any():
            assert not market.positions.is_liquidated(older, step.mark_prices).any()
    assert seen > 50


def test_liquidation_prices_are_the_venues_own() -> None:
    market = make_market(config(), "FARTCOIN")
    table = market.positions
    checked = set()
    for row in table.open_rows.tolist():
        listing = market.listings[table.venue[row]]
        alone = linear_at_tier(
            table.side[row],
            table.entry_price[row],
            table.lots[row] * listing.quantity_step,
            table.margin[row],
            listing.tiers,
            listing.taker_fee_rate,
        )
        assert np.array_equal(alone.price, table.liquidation_price[row], equal_nan=True)
        checked.add(listing.venue)
    assert checked == set(SCORED_VENUES)


def test_leverage_stays_within_the_tier_of_its_notional() -> None:
    market = make_market(config(), "FARTCOIN")
    table = market.positions
    for number, listing in enumerate(market.listings):
        rows = table.open_rows[table.venue[table.open_rows] == number]
        untouched = rows[table.kind[rows] == TraderKind.RETAIL]
        notional = table.quantity(untouched) * table.entry_price[untouched]
        allowed = listing.tiers.maximum_leverage[listing.tiers.tier_at(notional)]
        assert (table.leverage[untouched] <= allowed).all()


def test_makers_and_hedgers_are_never_liquidated() -> None:
    market = make_market(config(), "FARTCOIN")
    table = market.positions
    hedgers = table.open_rows[table.kind[table.open_rows] == TraderKind.HEDGER]
    distance = np.abs(table.liquidation_price[hedgers] / market.index_price - 1)
    assert len(hedgers)
    assert not (distance < 0.5).any()


def test_funding_is_charged_to_margins_at_settlement() -> None:
    market = make_market(config("ranging"), "FARTCOIN")
    table = market.positions
    while market.now % 3_600_000 != 3_590_000:
        market.step(10_000)
    before = {(row, int(table.opened[row])): (table.margin[row], table.lots[row]) for row in table.open_rows.tolist()}
    step = market.step(10_000)
    assert step.settled.tolist() == [False, False, False, True]
    charged = 0
    for row in table.open_rows.tolist():
        margin, lots = before.get((row, int(table.opened[row])), (0.0, 0))
        if lots == table.lots[row] and table.venue[row] == 3 and table.margin[row] < margin * 1.2:
            owed = step.funding_rates[3] * table.side[row] * table.quantity(np.array([row]))[0] * step.mark_prices[3]
            assert table.margin[row] == pytest.approx(margin - owed)
            charged += 1
    assert charged > 10


def test_forced_orders_push_the_price_of_a_thin_book() -> None:
    def lowest(depth_usd: float) -> float:
        coin = replace(coin_of("FARTCOIN"), depth_usd=depth_usd)
        generator = np.random.default_rng(4)
        path = make_path("crash", coin.price, coin.volatility, generator)
        # Chance is drawn for the path alone, so that both books see the same prices.
        people = np.random.default_rng(5)
        market = CrowdMarket(coin, listings_of(coin, (Venue.BINANCE,)), SMALL, path, people, 0)
        return min(step.index_price for step in walk(market, 360, step_ms=30_000))

    assert lowest(depth_usd=1e5) < 0.98 * lowest(depth_usd=1e12)


def test_turnover_is_what_was_traded_in_24_hours() -> None:
    market = make_market(SimulationConfig(symbols=("VIRTUAL",), warm_up_hours=0, population=SMALL), "VIRTUAL")
    traded: list[tuple[int, float]] = []
    step = None
    for step in walk(market, 400, step_ms=300_000):
        here = step.trades.venue == 0
        usd = step.trades.price[here] * step.trades.lots[here] * market.quantity_steps[0]
        traded.append((step.time, float(usd.sum())))
    assert step is not None
    day = [usd for time, usd in traded if time > step.time - 86_400_000]
    assert step.turnover[0] == pytest.approx(sum(day))


def test_trade_numbers_are_consecutive_on_each_venue() -> None:
    market = make_market(config(), "FARTCOIN")
    numbers: list[list[int]] = [[] for _ in market.listings]
    for step in walk(market, 50):
        for venue, identifier in zip(step.trades.venue.tolist(), step.trades.identifier.tolist(), strict=True):
            numbers[venue].append(identifier)
    for venue in numbers:
        assert venue == list(range(venue[0], venue[0] + len(venue)))


def test_same_seed_same_market_and_another_seed_another() -> None:
    def fingerprint(seed: int) -> list[object]:
        market = make_market(config(seed=seed), "FARTCOIN")
        steps = list(walk(market, 60))
        return [
            [step.mark_prices.tolist() for step in steps],
            [step.trades.price.tolist() for step in steps],
            market.positions.margin.tolist(),
        ]

    assert fingerprint(5) == fingerprint(5)
    assert fingerprint(5) != fingerprint(6)
