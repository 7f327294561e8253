"""When symbols are judged: in turn, in a bounded share of the time, by the leader, and without harm to the sink."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pytest

from liqheat.domain.instruments import ALL_SYMBOLS
from liqheat.platform.clock import ManualClock
from liqheat.platform.errors import ConfigurationError, TransientError
from liqheat.scoring.study import Pool
from liqheat.scoring.study_rows import rows_of_study
from sinks.studies import IDLE, LONGEST_REST, LONGEST_WAIT, REST_AFTER_FAILURE, Studies

SHARE = 0.01
COST = 0.5
"""Seconds that the fake judge takes per symbol."""


@dataclass
class FakeJudge:
    """Takes `COST` seconds per symbol; `fails` raises where a symbol is judged."""

    clock: ManualClock
    symbols: list[str]
    rounds: int = 1
    fails: dict[str, Exception] = field(default_factory=dict)
    judged: list[str] = field(default_factory=list)
    refusal: Exception | None = None

    def begin(self, now_ms: int) -> list[str]:
        if self.refusal is not None:
            raise self.refusal
        self.rounds -= 1
        return list(self.symbols) if self.rounds >= 0 else []

    def judge(self, symbol: str) -> Iterator[dict[str, Any]]:
        self.clock.advance(COST)
        if symbol in self.fails:
            raise self.fails[symbol]
        self.judged.append(symbol)
        return rows_of_study(Pool(5.0, 1.0).result(), symbol, 0, 3_600_000)

    def together(self) -> Iterator[dict[str, Any]]:
        self.judged.append(ALL_SYMBOLS)
        return rows_of_study(Pool(5.0, 1.0).result(), ALL_SYMBOLS, 0, 3_600_000)


@dataclass
class FakeTable:
    """Rows that were inserted, by symbol in order."""

    symbols: list[str] = field(default_factory=list)
    refusals: int = 0

    def insert(self, table: str, frames: Sequence[pl.DataFrame]) -> int:
        assert table == "evidence_raw"
        if self.refusals:
            self.refusals -= 1
            raise TransientError("too many parts")
        (frame,) = frames
        assert frame.height == 36
        self.symbols += frame["symbol"].unique().to_list()
        return frame.height


@dataclass
class House:
    """A pacer over fakes."""

    clock: ManualClock
    judge: FakeJudge
    table: FakeTable
    studies: Studies

    def run(self, seconds: float, leads: bool = True) -> None:
        """Call `step` as the sink's thread does, until that many seconds have passed."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.clock.advance(max(0.001, self.studies.step(leads)))


def house(*symbols: str, **judge: Any) -> House:
    clock = ManualClock()
    judging, table = FakeJudge(clock, list(symbols), **judge), FakeTable()
    return House(clock, judging, table, Studies(judging, table, clock, SHARE))


def test_symbols_are_judged_in_turn_and_then_all_together() -> None:
    at = house("FET", "TAO", "WLD")
    at.run(400)
    assert at.table.symbols == ["FET", "TAO", "WLD", ALL_SYMBOLS]


def test_judging_takes_no_more_than_its_share_of_the_time() -> None:
    at = house(*(f"S{number}" for number in range(10_000)))
    at.run(3_600)
    # Half a second of work, 49.5 of rest: 72 symbols per hour.
    assert len(at.judge.judged) == pytest.approx(3_600 * SHARE / COST, abs=1)


def test_a_database_that_stood_still_does_not_end_the_judging_for_days() -> None:
    at = house("FET", "TAO")
    judge = at.judge.judge

    def stalled(symbol: str) -> Iterator[dict[str, Any]]:
        at.clock.advance(7_200.0 if not at.judge.judged else 0.0)
        return judge(symbol)

    at.judge.judge = stalled  # type: ignore[method-assign]
    at.run(7_200.0 + LONGEST_REST + 120.0)
    assert at.judge.judged[:2] == ["FET", "TAO"]


def test_a_sink_that_does_not_lead_judges_nothing_and_one_that_leads_again_begins_a_round() -> None:
    at = house("FET", "TAO", rounds=2)
    at.run(600, leads=False)
    assert at.judge.judged == []
    assert at.studies.step(leads=False) == LONGEST_WAIT
    while at.judge.judged != ["FET"]:
        at.run(0.1)
    at.run(100, leads=False)
    at.run(200)
    assert at.judge.judged == ["FET", "FET", "TAO", ALL_SYMBOLS]


def test_no_round_is_due_twice_but_it_is_asked_again_soon() -> None:
    at = house("FET", rounds=1)
    at.run(200)
    asked = at.judge.rounds
    at.run(10 * IDLE)
    assert at.judge.judged == ["FET", ALL_SYMBOLS]
    assert asked - at.judge.rounds == pytest.approx(10, abs=1)


@pytest.mark.parametrize("error", [TransientError("gone"), ConfigurationError("lacks a table")])
def test_a_database_that_does_not_answer_ends_the_round_for_a_while(error: Exception) -> None:
    at = house("FET", "TAO", rounds=2, fails={"TAO": error})
    at.run(300)
    assert at.judge.judged == ["FET"]
    at.judge.fails.clear()
    at.run(REST_AFTER_FAILURE + 300)
    assert at.judge.judged == ["FET", "FET", "TAO", ALL_SYMBOLS]


def test_rows_that_are_refused_and_a_round_that_cannot_begin_harm_nothing() -> None:
    at = house("FET", rounds=2)
    at.judge.refusal = RuntimeError("of a kind that nobody reckoned with")
    at.run(REST_AFTER_FAILURE / 2)
    at.judge.refusal, at.table.refusals = None, 1
    at.run(REST_AFTER_FAILURE)
    assert at.table.symbols == []
    at.run(REST_AFTER_FAILURE + 100)
    assert at.table.symbols == ["FET", ALL_SYMBOLS]


def test_a_symbol_that_cannot_be_judged_is_passed_over() -> None:
    at = house("FET", "ODD", "TAO", fails={"ODD": IndexError("out of bounds")})
    at.run(400)
    assert at.table.symbols == ["FET", "TAO", ALL_SYMBOLS]
