"""The engine on logs small enough to work out by hand: minutes, late rows, refusals, and what is learned."""

import numpy as np
import polars as pl
import pytest

from liqheat.domain.events import Batch, Event, Kind, MarginTier, Mark, OpenInterest, Position, Trade, to_batch
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import Venue
from liqheat.platform.errors import FatalError, PoisonMessage
from liqheat.platform.settings import Engine as EngineSettings
from processors import engine
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


def test_leverages_that_the_tiers_do_not_offer_drop_out_and_a_long_at_1x_has_no_price() -> None:
    tiers = MarginTiers.of([[0, 5_000, 20, 0.02, 0], [5_000, 1e9, 10, 0.05, 150]])
    mix = mix_within(tiers, (1.0, 10.0, 50.0), (0.2, 0.6, 0.2), 5_000.0)
    assert mix.leverages.tolist() == [1.0, 10.0]
    np.testing.assert_allclose(mix.shares, [0.25, 0.75])
    assert np.isnan(mix.factors[0, 0])
    assert mix.factors[0, 1] == pytest.approx(0.9 / 0.98)


def test_leverages_whose_positions_die_gain_and_those_passed_over_in_silence_lose() -> None:
    mix = SymbolMix((5.0, 10.0, 50.0), (0.4, 0.4, 0.2), stopped_share=0.0)
    even = np.ones(3)
    assert mix.estimate().shares.tolist() == pytest.approx([0.4, 0.4, 0.2])
    for venue in ("bybit", "hyperliquid"):
        mix.of(venue).standing, mix.of(venue).target = even * 1e8, 1e8
    # The price passed the levels of 10x and 50x with 1e7 units each; only what stood at 10x died.
    for _ in range(20):
        mix.of("bybit").add(np.array([0.0, 1e6, 0.0]), 6e5, even)
        mix.of("bybit").add(np.array([0.0, 0.0, 1e6]), 0.0, even)
    estimate = mix.estimate()
    assert estimate.shares.sum() == pytest.approx(1.0)
    assert estimate.shares[1] > 0.45
    assert estimate.shares[2] < 0.1
    assert (estimate.uncertainty > 0).all()
    # All of the target stands, on a venue without a feed of its own as well.
    weights = mix.weights("hyperliquid", estimate)
    assert weights is not None
    assert weights @ mix.of("hyperliquid").standing == pytest.approx(1e8)


def test_silence_of_a_venue_that_never_tells_teaches_nothing() -> None:
    mix = SymbolMix((5.0, 50.0), (0.5, 0.5), stopped_share=0.0)
    silent = mix.of("hyperliquid")
    silent.standing, silent.target = np.ones(2), 1e8
    silent.add(np.array([0.0, 10.0]), 0.0, np.ones(2))
    assert mix.estimate().shares.tolist() == [0.5, 0.5]


def test_a_sampled_feed_counts_for_what_it_left_out() -> None:
    assert unsampled("bybit", 100.0, 30) == 100.0
    assert unsampled("binance", 100.0, 1) == pytest.approx(100.8, abs=0.1)
    assert unsampled("binance", 100.0, 30) == pytest.approx(138.6, abs=0.1)
