"""The engine on logs small enough to work out by hand: minutes, late rows, refusals, and what is learned."""

from math import erf, sqrt

import numpy as np
import polars as pl
import pytest

from liqheat.domain.events import Batch, Event, Kind, MarginTier, Mark, OpenInterest, Position, Trade, to_batch
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import Venue
from liqheat.platform.errors import FatalError, PoisonMessage
from liqheat.platform.settings import Engine as EngineSettings
from processors.heatmap import engine
from processors.positions.confidence import confidence_of
from processors.positions.learned_mix import SymbolMix, unsampled
from processors.positions.leverage_mix import mix_within

START, MINUTE = 1_767_225_600_000, 60_000
SETTINGS = EngineSettings(leverages=(10.0,), leverage_shares=(1.0,))
AT = (Venue.BINANCE, "VIRTUAL", "VIRTUALUSDT")


def minutes(*events: Event) -> pl.DataFrame:
    """Return the closed minutes of a log."""
    state = engine.new_state("VIRTUAL", SETTINGS)
    outputs = [output for event in events for output in engine.apply(state, to_batch([event]))]
    return pl.concat([batch.frame for batch in outputs if batch.kind is Kind.MARKET_MINUTES])


def test_a_minute_closes_when_the_watermark_passes_its_end_by_the_lateness() -> None:
    state = engine.new_state("VIRTUAL", SETTINGS)
    engine.apply(state, to_batch([Mark(*AT, START, 1.0)]))
    assert not engine.apply(state, to_batch([Mark(*AT, START + MINUTE + 1_999, 2.0)]))
    closed = engine.apply(state, to_batch([Mark(*AT, START + MINUTE + 2_000, 3.0)]))
    (row,) = closed[-1].frame.iter_rows(named=True)
    # The mark of 2 USD belongs to the next minute, which waits for this one.
    assert (row["window_start"], row["mark_high"], row["mark_close"], row["revision"]) == (START, 1.0, 1.0, 3)


def test_silent_minutes_are_carried_on_for_an_hour_and_skipped_beyond() -> None:
    marks = [Mark(*AT, START + passed * MINUTE, 1.0) for passed in (0, 5, 505)]
    starts = ((minutes(*marks)["window_start"] - START) // MINUTE).to_list()
    assert starts == [0, 1, 2, 3, 4, 5]


def test_late_rows_are_counted_and_a_late_mark_does_not_move_the_price() -> None:
    frame = minutes(
        Mark(*AT, START, 1.0),
        Mark(*AT, START + 2 * MINUTE, 1.1),
        Mark(*AT, START, 0.5),
        Trade(*AT, START, 1.0, 3.0, 1),
        Mark(*AT, START + 4 * MINUTE, 1.2),
    )
    # When the late rows come the minute from 1:00 is still open, for the lateness: they count there.
    assert frame["late_rows"].to_list() == [0, 2, 0]
    assert frame["taker_buy_usd"].sum() == 3_000_000
    assert frame["mark_low"].min() == 1.0


def test_another_symbol_or_kind_is_poison_and_changes_nothing() -> None:
    state = engine.new_state("VIRTUAL", SETTINGS)
    with pytest.raises(PoisonMessage, match="Expected rows of VIRTUAL"):
        engine.apply(state, to_batch([Mark(Venue.BINANCE, "FET", "FETUSDT", START, 1.0)]))
    rows = Batch(Kind.MARKET_MINUTES, "binance", "VIRTUAL", "VIRTUALUSDT", pl.DataFrame({"window_start": [0]}))
    with pytest.raises(PoisonMessage, match="Expected position events"):
        engine.apply(state, rows)
    with pytest.raises(PoisonMessage, match="at most 1e\\+11 USD"):
        engine.apply(state, to_batch([Trade(*AT, START, 1e8, 1e8, 1)]))
    with pytest.raises(PoisonMessage, match="contradict themselves"):
        engine.apply(state, to_batch([MarginTier(*AT, START, 1, 1, 5.0, 9.0, 50.0, 0.01, 0.0)]))
    assert state.applied_rows == 0
    assert not state.markets


def test_a_checkpoint_of_another_build_or_grid_is_refused_with_a_sentence() -> None:
    data = engine.dump(engine.new_state("VIRTUAL", SETTINGS))
    with pytest.raises(FatalError, match="format version 99"):
        engine.load(b"\x63" + data[1:], SETTINGS)
    with pytest.raises(FatalError, match="damaged"):
        engine.load(data[:-4], SETTINGS)
    with pytest.raises(FatalError, match="LIQHEAT_ENGINE__GRID_FACTOR"):
        engine.load(data, EngineSettings(grid_factor=20))


def test_an_observed_position_stands_at_the_venues_price_until_it_ends() -> None:
    state = engine.new_state("VIRTUAL", SETTINGS)

    def hold(quantity: float) -> pl.DataFrame:
        row = Position(*AT, START, "0xa", 1, quantity, leverage=5.0, liquidation_price=0.8)
        engine.apply(state, to_batch([row]))
        return next((b.frame for b in engine.snapshot(state) if b.kind is Kind.HEATMAP_BUCKETS), pl.DataFrame())

    engine.apply(state, to_batch([Mark(*AT, START, 1.0)]))
    engine.apply(state, to_batch([OpenInterest(*AT, START, 1_000.0)]))
    (row,) = hold(100.0).iter_rows(named=True)
    assert (row["basis"], row["at_risk_usd"], row["leverage_band"]) == ("observed", 80_000_000, "5-10x")
    assert row["price_low"] <= 0.8 < row["price_high"]
    (row,) = hold(0.0).iter_rows(named=True)
    assert (row["at_risk_usd"], row["opened_usd"], row["closed_usd"]) == (0, 80_000_000, 80_000_000)


def test_a_large_position_stands_at_the_leverage_that_its_tier_allows_and_a_long_at_1x_has_no_price() -> None:
    tiers = MarginTiers.of([[0, 5_000, 20, 0.02, 0], [5_000, 1e9, 10, 0.05, 150]])
    mix = mix_within(tiers, (1.0, 10.0, 50.0), 5_000.0)
    assert mix.floors.tolist() == [5_000 * 1_000_000]
    assert (mix.allowed.tolist(), mix.usual) == ([2, 2], 1)
    # Who wanted 50x has 20x below 5,000 USD, and 10x above; both are kept with those of 10x.
    assert mix.collapse(np.array([0.2, 0.5, 0.3])).tolist() == [[0.2, 0.5, 0.0, 0.3]] * 2
    assert mix.rows[:, -1].tolist() == [1, 1]
    assert np.isnan(mix.factors[:, 0, 0]).all()
    assert np.isnan(mix.factors[:, :, 2]).all()
    assert mix.factors[0, 0, [1, 3]] == pytest.approx([0.9 / 0.98, 0.95 / 0.98])
    # At 5,000 USD a long is liquidated below the second tier's floor, where the first tier holds.
    assert mix.factors[1, 0, [1, 3]] == pytest.approx([0.9 / 0.98, 0.9 / 0.98])
    landing = mix.landing(np.array([100.0, 50.0]))
    assert landing.sum(axis=0).tolist() == [150.0, 150.0, 150.0]
    assert landing[1].tolist() == [0.0, 150.0, 150.0]


def test_a_trade_opens_what_its_size_allows_and_a_bars_sum_what_is_usual() -> None:
    wide = EngineSettings(leverages=(5.0, 50.0), leverage_shares=(0.5, 0.5), churn_share=0.0)

    def bands(quantity: float, trade_id: int) -> set[str]:
        state = engine.new_state("VIRTUAL", wide)
        tiers = [(0.0, 1e4, 50.0, 0.01, 0.0), (1e4, 1e9, 5.0, 0.1, 900.0)]
        table = [MarginTier(*AT, START, number, 2, *row) for number, row in enumerate(tiers, start=1)]
        log: list[list[Event]] = [
            [*table],
            [Mark(*AT, START, 1.0)],
            [OpenInterest(*AT, START, 1e6)],
            [Trade(*AT, START + 1, 1.0, quantity, 1, trade_id)],
            [OpenInterest(*AT, START + 2, 1.1e6)],
        ]
        for events in log:
            engine.apply(state, to_batch(events))
        rows = next(batch.frame for batch in engine.snapshot(state) if batch.kind is Kind.HEATMAP_BUCKETS)
        return set(rows["leverage_band"])

    assert bands(9_999.0, 7) == {"5-10x", "50x+"}
    assert bands(10_001.0, 7) == {"5-10x"}
    assert bands(10_001.0, -1) == {"5-10x", "50x+"}


def mix_of(*leverages: float) -> SymbolMix:
    return SymbolMix.of_settings(leverages, (1.0,) * len(leverages), 0.5)


def test_leverages_whose_positions_die_gain_and_those_passed_over_in_silence_lose() -> None:
    mix = mix_of(5.0, 10.0, 50.0)
    assert mix.estimate().multiples.tolist() == pytest.approx([0.5, 0.5, 0.5])
    assert mix.weights.tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6])
    before = mix.estimate().deviations
    # In each lesson the price passed levels that a multiple of 1 would fill with 1% of open interest: of what
    # stood at 10x four fifths died, of what stood at 50x nothing.
    for _ in range(20):
        mix.of("bybit").add(np.array([0.0, 0.01, 0.0]), 0.008, np.full(3, 0.5), 0.5)
        mix.of("bybit").add(np.array([0.0, 0.0, 0.01]), 0.0, np.full(3, 0.5), 0.5)
    estimate = mix.estimate()
    assert estimate.multiples[1] == pytest.approx(0.8, rel=0.1)
    assert estimate.multiples[2] < 0.1
    assert (estimate.deviations[1:] < before[1:]).all()
    # Nothing was seen of 5x: it follows its neighbour, and less is known of it.
    assert estimate.multiples[0] > 0.5
    assert estimate.deviations[0] > 2 * estimate.deviations[1]


def test_what_stands_should_be_about_the_share_in_reach_once_the_book_has_filled() -> None:
    mix = mix_of(5.0, 10.0)
    one = mix.of("bybit")
    one.standing, one.interest = np.array([2.0, 2.0]), 1e6
    assert mix.estimate().multiples.tolist() == pytest.approx([0.5, 0.5])
    one.lessons = 500
    # Twice as much as half of open interest would stand: the multiples come down, held back by their prior.
    assert mix.estimate().multiples @ one.standing == pytest.approx(1.3, abs=0.3)


def test_silence_of_a_venue_that_never_tells_teaches_nothing() -> None:
    mix = mix_of(5.0, 50.0)
    mix.of("hyperliquid").add(np.array([0.0, 1.0]), 0.0, np.full(2, 0.5), 0.5)
    assert mix.estimate().multiples.tolist() == pytest.approx([0.5, 0.5])


def test_a_sample_counts_the_less_the_more_liquidations_were_to_be_expected() -> None:
    def multiples(swept: float, *, is_sampled: bool) -> list[float]:
        """Twenty lessons in each of which a tenth of what is believed was told, of both leverages together."""
        mix = mix_of(5.0, 50.0)
        for _ in range(20):
            passed = np.array([swept, swept])
            mix.of("binance").add(passed, 0.1 * swept, np.full(2, 0.5), 0.5, is_sampled=is_sampled)
        return [float(multiple) for multiple in mix.estimate().multiples]

    # A usual liquidation is 0.03% of open interest: a third of one was to be expected, or 330 in a cascade.
    assert max(multiples(1e-4, is_sampled=False)) < 0.4
    assert multiples(1e-4, is_sampled=True) == pytest.approx(multiples(1e-4, is_sampled=False), rel=0.1)
    assert max(multiples(1e-1, is_sampled=False)) < 0.2
    assert multiples(1e-1, is_sampled=True) == pytest.approx([0.5, 0.5], rel=0.05)


def test_what_opens_should_be_in_reach_about_as_much_as_the_prior_says() -> None:
    def multiple_of_2x(share_of_100x: float) -> float:
        mix = SymbolMix.of_settings((2.0, 100.0), (1.0, share_of_100x), 0.5)
        for _ in range(50):
            mix.of("bybit").add(np.array([0.0, 0.01]), 0.04, np.full(2, 0.5), 0.5)
        return float(mix.estimate().multiples[0])

    # Nothing is seen of 2x, and four times as much as believed of 100x: the more opens at that, the less is left.
    assert multiple_of_2x(1.0) < 0.9 * multiple_of_2x(0.01)


def test_few_large_liquidations_say_less_than_many_small_ones() -> None:
    def deviation(events: int) -> float:
        mix = mix_of(10.0)
        one = mix.of("bybit")
        one.executed, one.executed_squares = 0.01, 0.01**2 / events
        one.add(np.array([0.02]), 0.01, np.full(1, 0.5), 0.5)
        return float(mix.estimate().deviations[0])

    assert deviation(1_000) < deviation(1)


def test_confidence_falls_with_what_is_not_known_and_with_what_a_few_positions_decide() -> None:
    levels = np.array([10**12, 10**9, 0])
    sure, vague = (confidence_of(levels, np.full(3, variance), 10_000.0) for variance in (0.0, 2.0))
    # 1 M USD of positions of 10,000 USD: the model's own variance is nearly all there is.
    assert sure[0] == pytest.approx(1 - erf(sqrt(0.12) / 2 / sqrt(2)), abs=0.01)
    assert sure[0] > sure[1] > sure[2] > 0
    assert (vague < sure).all()


def test_a_sampled_feed_counts_for_what_it_left_out() -> None:
    assert unsampled("bybit", 100.0, 30) == 100.0
    assert unsampled("binance", 100.0, 1) == pytest.approx(100.8, abs=0.1)
    assert unsampled("binance", 100.0, 30) == pytest.approx(138.6, abs=0.1)
