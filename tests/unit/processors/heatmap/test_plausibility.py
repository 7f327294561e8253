"""Values that no market has are held; crashes that happened are not; clocks that were wrong do not silence a market."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqheat.domain.events import Batch, Event, Kind, Mark, OpenInterest, Trade, to_batch
from liqheat.domain.market import Venue
from liqheat.platform.codec import rows_of
from liqheat.platform.settings import Engine as EngineSettings
from processors.heatmap import engine
from processors.heatmap.plausibility import judge, judge_one
from tests.support.crash_log import bars

START, MINUTE = 1_767_225_600_000, 60_000
AT = (Venue.BINANCE, "VIRTUAL", "VIRTUALUSDT")
SETTINGS = EngineSettings()


def accepted(values: Sequence[float], step: float = 3.0) -> list[bool]:
    """Return which of a market's values are accepted, one after the other."""
    taken, last, held = [], math.nan, math.nan
    for value in values:
        good, last, held = judge_one(value, last, held, step)
        taken.append(good)
    return taken


def test_a_leap_is_held_and_forgotten_when_the_next_value_is_where_the_last_one_was() -> None:
    assert accepted([100.0, 1_000.0, 101.0, 1_000.0, 99.0]) == [True, False, True, False, True]


def test_a_leap_that_the_next_value_confirms_is_accepted_from_there_on() -> None:
    assert accepted([100.0, 1_000.0, 1_010.0, 100.0, 990.0]) == [True, False, True, False, True]


def test_a_wick_of_60_percent_and_back_passes_in_single_steps() -> None:
    assert all(accepted([100.0, 40.0, 100.0]))


def test_the_recorded_january_of_2022_has_no_false_hold() -> None:
    prices = [price for bar in bars() for price in (bar.open, bar.low, bar.high, bar.close)]
    assert len(prices) > 10_000
    assert all(accepted(prices))
    # Nor would a twentieth of its length, as after long silences.
    assert all(accepted(prices[::1_000]))


def test_open_interest_that_vanishes_is_held_until_it_is_confirmed() -> None:
    assert accepted([1e6, 0.0, 1e6], 10.0) == [True, False, True]
    assert accepted([1e6, 0.0, 0.0, 5e5], 10.0) == [True, False, True, False]


values = st.lists(st.sampled_from([0.0, 1.0, 2.0, 9.0, 10.0, 11.0, 100.0]), min_size=1, max_size=12)
maybe = st.sampled_from([math.nan, 0.0, 1.0, 10.0, 100.0])


@given(st.lists(st.tuples(values, maybe, maybe), min_size=1, max_size=6))
def test_many_markets_are_judged_like_each_alone(markets: list[tuple[list[float], float, float]]) -> None:
    alone = []
    for own, last, held in markets:
        results = []
        for value in own:
            good, last, held = judge_one(value, last, held, 3.0)
            results.append(good)
        alone.append((results, last, held))
    first = np.cumsum([0, *(len(own) for own, _, _ in markets[:-1])])
    flat, lasts, helds = (
        np.array([value for own, _, _ in markets for value in own]),
        np.array([last for _, last, _ in markets]),
        np.array([held for _, _, held in markets]),
    )
    kept, taken, waiting = judge(flat, first, lasts, helds, 3.0)
    assert kept.tolist() == [each for results, _, _ in alone for each in results]
    assert np.array_equal(taken, [last for _, last, _ in alone], equal_nan=True)
    assert np.array_equal(waiting, [held for _, _, held in alone], equal_nan=True)


def rows(outputs: list[Batch], kind: Kind) -> pl.DataFrame:
    frame: pl.DataFrame = pl.concat([batch.frame for batch in outputs if batch.kind is kind])
    return frame


def test_one_mark_at_ten_times_the_price_sweeps_nothing_and_is_counted() -> None:
    state = engine.new_state(SETTINGS)
    for minute in range(12):
        begin = START + minute * MINUTE
        for events in (
            [Mark(*AT, begin, 1.0)],
            [Trade(*AT, begin + 1, 1.0, 10_000.0, 1)],
            [OpenInterest(*AT, begin + 2, 1e6 * (1 + minute / 10))],
        ):
            engine.apply(state, to_batch(events))
    begin = START + 12 * MINUTE + 3_000
    engine.apply(state, to_batch([Mark(*AT, begin, 1.0), Mark(*AT, begin + 1, 10.0), Mark(*AT, begin + 2, 1.0)]))
    closed = engine.apply(state, to_batch([Mark(*AT, begin + 60_000, 1.0)]))
    (closed_minute,) = rows(closed, Kind.MARKET_MINUTES).to_dicts()
    assert (closed_minute["mark_high"], closed_minute["late_rows"]) == (1.0, 1)
    assert closed_minute["at_risk_short_usd"] > 0
    assert state.counts == {"held": 1, "healed": 0}


@pytest.mark.parametrize("ahead", [70_000, 3_600_000, 365 * 86_400_000])
def test_a_watermark_from_a_wrong_clock_heals_with_the_next_message_and_is_counted(ahead: int) -> None:
    state = engine.new_state(SETTINGS)

    def read(written_at: int, *events: Event) -> list[Batch]:
        return engine.apply_span(state, [replace(rows_of(to_batch(list(events))), written_at=written_at)])

    read(START, Mark(*AT, START, 1.0))
    # The state is as one that an older version, which let this pass, has left behind.
    read(START + ahead, Mark(*AT, START + ahead, 1.0))
    later = START + 5_000
    read(later, Mark(*AT, later, 1.1))
    closed = read(later + 120_000, Mark(*AT, later + 120_000, 1.2))
    frame = rows(closed, Kind.MARKET_MINUTES)
    assert frame["window_start"].to_list() == [START, START + MINUTE]
    assert frame["mark_close"].to_list() == [1.1, 1.1]
    assert state.counts["healed"] == 1
