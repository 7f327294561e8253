"""The engine against a slow one in plain Python, under any cut of the log into messages and spans."""

import random
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liqheat.domain.events import Batch, Event, Kind, schema_of, to_batch
from liqheat.platform.codec import Rows, encode, rows_of
from liqheat.platform.codec_blocks import RowBlock, decode_blocks
from liqheat.platform.errors import PoisonMessage
from processors.heatmap import engine
from processors.heatmap.state import PartitionState
from tests.support.engine_oracle import SETTINGS, slow_rows
from tests.support.random_log import Step, events_of, plan_of

plans = st.builds(plan_of, st.integers(0, 2**32 - 1), st.integers(1, 90))
RELAXED = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LEVELS = ("bucket", "at_risk_usd", "expected_usd", "opened_usd", "closed_usd", "swept_usd", "liquidated_usd")
MINUTE_COLUMNS = (
    *("mark_open", "mark_high", "mark_low", "mark_close", "index_price", "funding_rate", "next_funding_time"),
    *("open_interest", "open_interest_usd", "turnover_24h_usd", "taker_buy_usd", "taker_sell_usd"),
    *("liquidated_long_usd", "liquidated_short_usd", "at_risk_long_usd", "at_risk_short_usd", "coverage"),
    *("late_rows", "revision", "expected_long_usd", "expected_short_usd", "expected_scale_long", "warming_up"),
)


def cut(events: list[Event], seams: frozenset[int]) -> list[Rows]:
    """Gather events into messages as large as can be, but cut before each of `seams`."""
    messages: list[Rows] = []
    run: list[Event] = []
    for number, event in enumerate(events):
        if run and (number in seams or type(event) is not type(run[0]) or event.venue != run[0].venue):
            messages.append(rows_of(to_batch(run)))
            run = []
        run.append(event)
    return [*messages, rows_of(to_batch(run))]


def spans(messages: list[Rows], seed: int) -> list[list[Rows]]:
    """Gather messages into spans of random lengths."""
    chance, gathered = random.Random(seed), [[messages[0]]]
    for message in messages[1:]:
        if chance.random() < 0.7:
            gathered[-1].append(message)
        else:
            gathered.append([message])
    return gathered


def run(parts: list[list[Rows]], state: PartitionState | None = None) -> list[Batch]:
    state = state or engine.new_state(SETTINGS)
    return [output for part in parts for output in engine.apply_span(state, part)]


def tuples(outputs: list[Batch]) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Return the rows in the oracle's form by venue and symbol, in their order."""
    found: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for batch in outputs:
        for row in batch.frame.iter_rows(named=True):
            head = (batch.kind, batch.venue, row["symbol"], row["window_start"])
            if batch.kind is Kind.HEATMAP_LEVELS:
                cells = tuple(zip(*(row[name] for name in LEVELS), strict=True))
                made = (*head, row["basis"], row["side"], row["leverage_band"], cells, row["revision"])
            else:
                made = (*head, *(None if row[name] != row[name] else row[name] for name in MINUTE_COLUMNS))
            found.setdefault((batch.venue, row["symbol"]), []).append(made)
    return found


def as_sets(found: dict[tuple[str, str], list[tuple[Any, ...]]]) -> set[tuple[Any, ...]]:
    rows = [row for of_market in found.values() for row in of_market]
    assert len(rows) == len(set(rows))
    return set(rows)


@RELAXED
@given(plans)
def test_the_engine_says_what_the_slow_one_says(plan: list[Step]) -> None:
    events = list(events_of(plan))
    fast, slow = as_sets(tuples(run([[message] for message in cut(events, frozenset())]))), set(slow_rows(events))
    assert fast - slow == set()
    assert slow - fast == set()


@RELAXED
@given(plans, st.frozensets(st.integers(0, 200)), st.integers(0, 2**32))
def test_any_cut_into_messages_and_spans_gives_the_same_rows(
    plan: list[Step], seams: frozenset[int], seed: int
) -> None:
    events = list(events_of(plan))
    one_by_one = run([[rows_of(to_batch([event]))] for event in events])
    gathered = run(spans(cut(events, seams), seed))
    assert as_sets(tuples(gathered)) == as_sets(tuples(one_by_one))
    for key, rows in tuples(gathered).items():
        minutes = [row[3] for row in rows if row[0] is Kind.MARKET_MINUTES]
        assert minutes == sorted(minutes), key


@RELAXED
@given(plans, st.frozensets(st.integers(0, 200)))
def test_messages_that_are_read_together_give_the_same_rows_in_the_same_order(
    plan: list[Step], seams: frozenset[int]
) -> None:
    messages = cut(list(events_of(plan)), seams)
    together = decode_blocks([encode(rows.batch()) for rows in messages], 2)
    alone = set(range(len(messages))).difference(*(block.places.tolist() for block in together))
    blocks = [*together, *(RowBlock.of(messages[place], place) for place in alone)]
    assert any(len(block.places) > 1 for block in blocks) or len(messages) < 20
    state, straight = engine.new_state(SETTINGS), engine.new_state(SETTINGS)
    assert tuples(engine.apply_blocks(state, blocks)) == tuples(engine.apply_span(straight, messages))
    assert state.numbers == straight.numbers
    assert state.instruments == straight.instruments


@RELAXED
@given(plans, st.randoms(use_true_random=False))
def test_how_markets_of_different_symbols_interleave_changes_nothing(plan: list[Step], chance: random.Random) -> None:
    """Only the order of each symbol's own rows counts."""
    events = list(events_of(plan))
    queues = [[event for event in events if event.symbol == symbol] for symbol in ("V", "W")]
    shuffled = []
    while any(queues):
        queue = chance.choice([each for each in queues if each])
        shuffled.append(queue.pop(0))
    straight, mixed = (run([[each] for each in cut(log, frozenset())]) for log in (events, shuffled))
    assert as_sets(tuples(straight)) == as_sets(tuples(mixed))


@RELAXED
@given(plans, st.frozensets(st.integers(0, 60), max_size=4), st.integers(0, 2**32))
def test_a_state_that_was_dumped_and_loaded_goes_on_as_if_it_had_not_been(
    plan: list[Step], stops: frozenset[int], seed: int
) -> None:
    parts = spans(cut(list(events_of(plan)), frozenset(range(0, 200, 3))), seed)
    state = engine.new_state(SETTINGS)
    restarted: list[Batch] = []
    for number, part in enumerate(parts):
        if number in stops and state.symbol_numbers:
            saved = {symbol: engine.dump(state, symbol) for symbol in state.symbol_numbers}
            open_minutes = as_sets(tuples(engine.open_minutes(state)))
            state = engine.new_state(SETTINGS)
            for data in saved.values():
                engine.load(state, data)
            assert {symbol: engine.dump(state, symbol) for symbol in state.symbol_numbers} == saved
            assert as_sets(tuples(engine.open_minutes(state))) == open_minutes
        restarted += engine.apply_span(state, part)
    assert as_sets(tuples(restarted)) == as_sets(tuples(run(parts)))


@RELAXED
@given(plans, st.data())
def test_a_span_that_fails_anywhere_leaves_the_state_as_it_was(plan: list[Step], data: st.DataObject) -> None:
    parts = spans(cut(list(events_of(plan)), frozenset()), 7)
    failing = data.draw(st.integers(0, len(parts) - 1))
    state = engine.new_state(SETTINGS)
    run(parts[:failing], state)
    before = {symbol: engine.dump(state, symbol) for symbol in state.symbol_numbers}

    def fails(_: Any) -> list[Batch]:
        raise RuntimeError("no signals today")

    poison = rows_of(to_batch([event for event in events_of(plan) if type(event).__name__ == "Mark"][:1]))
    poison.columns["mark_price"] = np.array([-1.0])
    for span, judge in ((parts[failing], fails), ([*parts[failing], poison], None)):
        try:
            engine.apply_span(state, span, judge)
        except PoisonMessage:
            after = {symbol: engine.dump(state, symbol) for symbol in state.symbol_numbers}
            assert {symbol: each for symbol, each in after.items() if symbol in before} == before
            break
    straight = run(parts[failing:] if judge is None else parts[failing + 1 :], state)
    assert all(batch.frame.height for batch in straight)


def test_every_column_of_a_minute_is_compared() -> None:
    known = {*MINUTE_COLUMNS, "window_start", "model_version", "expected_scale_short"}
    known |= {name for name in schema_of(Kind.MARKET_MINUTES).polars if name.startswith(("interval_", "at_risk_scale"))}
    assert known == set(schema_of(Kind.MARKET_MINUTES).polars)
