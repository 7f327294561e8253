"""The engine against a slow one made of dictionaries, and any cut of the log."""

import math
from collections import defaultdict
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liqheat.domain.events import Batch, Event, Kind, schema_of, to_batch
from processors.heatmap import engine
from tests.support.engine_oracle import SETTINGS, Step, events_of, plan_of, slow_rows

plans = st.builds(plan_of, st.integers(0, 2**32 - 1), st.integers(1, 160))


def cut(events: list[Event], seams: frozenset[int]) -> list[Batch]:
    """Gather events into batches as large as can be, but cut before each of `seams`."""
    batches: list[Batch] = []
    run: list[Event] = []
    for number, event in enumerate(events):
        if run and (number in seams or type(event) is not type(run[0]) or event.venue != run[0].venue):
            batches.append(to_batch(run))
            run = []
        run.append(event)
    return [*batches, to_batch(run)]


def rows_of(batches: list[Batch], kind: Kind) -> list[tuple[Any, ...]]:
    """Return all rows of a kind with their venue, in order; NaN as None so that equal rows compare equal."""
    return [
        (batch.venue, *(None if value != value else value for value in row))
        for batch in batches
        if batch.kind is kind
        for row in batch.frame.iter_rows()
    ]


def run(batches: list[Batch], state: engine.SymbolState | None = None) -> list[Batch]:
    state = state or engine.new_state("V", SETTINGS)
    return [output for batch in batches for output in engine.apply(state, batch)]


RELAXED = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BUCKETS = Kind.HEATMAP_BUCKETS
VALUES = ("at_risk_usd", "opened_usd", "closed_usd", "swept_usd", "liquidated_usd")


def fast_rows(outputs: list[Batch]) -> list[tuple[Any, ...]]:
    columns = ("window_start", "side", "basis", "leverage_band", "price_low", *VALUES, "revision")
    frames = [(batch.venue, batch.frame.select(columns)) for batch in outputs if batch.kind is BUCKETS]
    return sorted((venue, *row) for venue, frame in frames for row in frame.iter_rows())


@RELAXED
@given(plans)
def test_the_engine_says_what_the_slow_one_says(plan: list[Step]) -> None:
    events = list(events_of(plan))
    assert fast_rows(run(cut(events, frozenset()))) == slow_rows(events)


@RELAXED
@given(plans, st.frozensets(st.integers(0, 200)))
def test_any_cut_of_the_log_gives_the_same_rows_in_the_same_order(plan: list[Step], seams: frozenset[int]) -> None:
    events = list(events_of(plan))
    one_by_one = run([to_batch([event]) for event in events])
    as_cut = run(cut(events, seams))
    for kind in (BUCKETS, Kind.MARKET_MINUTES):
        assert rows_of(as_cut, kind) == rows_of(one_by_one, kind)


@RELAXED
@given(plans, st.frozensets(st.integers(0, 60), max_size=4))
def test_a_state_that_was_dumped_and_loaded_goes_on_as_if_it_had_not_been(
    plan: list[Step], stops: frozenset[int]
) -> None:
    batches = cut(list(events_of(plan)), frozenset(range(0, 200, 3)))
    state = engine.new_state("V", SETTINGS)
    restarted: list[Batch] = []
    for number, batch in enumerate(batches):
        if number in stops:
            open_minutes = engine.snapshot(state)
            data = engine.dump(state)
            state = engine.load(data, SETTINGS)
            assert engine.dump(state) == data
            for kind in (BUCKETS, Kind.MARKET_MINUTES):
                assert rows_of(engine.snapshot(state), kind) == rows_of(open_minutes, kind)
        restarted += engine.apply(state, batch)
    straight = run(batches)
    for kind in (BUCKETS, Kind.MARKET_MINUTES):
        assert rows_of(restarted, kind) == rows_of(straight, kind)


@RELAXED
@given(plans)
def test_everything_opened_is_standing_closed_or_swept_to_the_micro_usd(plan: list[Step]) -> None:
    state = engine.new_state("V", SETTINGS)
    closed = run(cut(list(events_of(plan)), frozenset()), state)
    still_open = engine.snapshot(state)
    keys = ["venue", "side", "basis", "leverage_band"]
    flows, standing = (
        pl.concat(
            [batch.frame.with_columns(venue=pl.lit(batch.venue)) for batch in batches if batch.kind is BUCKETS]
            or [pl.DataFrame(schema={**schema_of(BUCKETS).polars, "venue": pl.String})]
        )
        .group_by(keys)
        .agg(pl.col(*VALUES).sum())
        for batches in (closed + still_open, still_open)
    )
    levels = {row[:4]: row[4] for row in standing.select(*keys, "at_risk_usd").iter_rows()}
    for *key, opened, ended in flows.select(
        *keys, "opened_usd", pl.col("closed_usd") + pl.col("swept_usd")
    ).iter_rows():
        assert opened == levels.get(tuple(key), 0) + ended, key


@RELAXED
@given(plans)
def test_closed_minutes_keep_to_their_side_of_the_mark_and_within_open_interest(plan: list[Step]) -> None:
    outputs = run(cut(list(events_of(plan)), frozenset()))
    minutes = {
        (batch.venue, row["window_start"]): row
        for batch in outputs
        if batch.kind is Kind.MARKET_MINUTES
        for row in batch.frame.iter_rows(named=True)
    }
    totals: dict[tuple[str, int, int], int] = defaultdict(int)
    for batch in outputs:
        for row in batch.frame.iter_rows(named=True) if batch.kind is BUCKETS else ():
            minute = minutes[batch.venue, row["window_start"]]
            if row["at_risk_usd"] and not math.isnan(minute["mark_close"]):
                if row["side"] > 0:
                    assert row["price_low"] <= minute["mark_close"]
                else:
                    assert row["price_high"] > minute["mark_close"]
            if row["basis"] == "inferred":
                totals[batch.venue, row["window_start"], row["side"]] += row["at_risk_usd"]
    for (venue, start, _), total in totals.items():
        assert not total > minutes[venue, start]["open_interest_usd"] * 1_000_000 + 1
