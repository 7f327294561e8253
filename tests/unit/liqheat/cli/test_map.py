"""`liqheat map` on logs small enough to work out by hand."""

import gzip
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from liqheat.cli import map as command
from liqheat.domain.events import Batch
from liqheat.platform.codec import Rows
from liqheat.platform.errors import PoisonMessage
from processors.heatmap import engine

START = 1_767_225_600_000
MINUTE = 60_000
AT: dict[str, Any] = {"venue": "binance", "symbol": "VIRTUAL"}


def run(arguments: str, *events: dict[str, Any] | str) -> Result:
    app = typer.Typer()
    command.register(app)
    app.callback()(lambda: None)
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return CliRunner().invoke(app, ["map", *arguments.split()], input="\n".join(lines))


def mark(time: int, price: float) -> dict[str, Any]:
    return {"kind": "marks", **AT, "event_time": time, "mark_price": price, "index_price": None}


def open_interest(time: int, coins: float) -> dict[str, Any]:
    return {"kind": "open_interest", **AT, "event_time": time, "quantity": coins}


def trade(time: int, price: float, side: str) -> dict[str, Any]:
    fields = {"event_time": time, "price": price, "quantity": 100.0, "taker_side": side, "trade_id": None}
    return {"kind": "trades", **AT, **fields}


TIERS = {"kind": "margin_tiers", **AT, "tiers": [[0, 1e9, 50, 0.01, 0]]}
OPENED = [
    TIERS,
    *(mark(START + minute * MINUTE, 1.0) for minute in range(12)),
    *(trade(START + minute * MINUTE + 2_000, 1.0, "buy") for minute in range(12)),
    *(open_interest(START + minute * MINUTE + 1_000, 1_000_000.0 + 10_000.0 * minute) for minute in range(12)),
]
LAST = START + 11 * MINUTE


def rows_of(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_open_interest_stands_as_longs_below_the_mark_and_shorts_above() -> None:
    rows = rows_of(run("", *OPENED))
    assert {row["side"] for row in rows} == {"long", "short"}
    for row in rows:
        assert row["price_high"] <= 1.0 + 1e-9 if row["side"] == "long" else row["price_low"] >= 1.0
        assert (row["symbol"], row["basis"], row["window_start"]) == ("VIRTUAL", "inferred", LAST)
        assert row["at_risk_usd"] > row["expected_usd"] >= 0
        assert 0 < row["confidence"] <= 1
    assert 0 < sum(row["at_risk_usd"] for row in rows) < 2 * 1_110_000
    assert sum(row["expected_usd"] for row in rows) > 0


def test_the_lines_may_come_in_any_order_and_the_table_one_tier_a_line() -> None:
    tier = {
        "tier": 1,
        "tiers": 1,
        "notional_floor": 0.0,
        "notional_cap": 1e9,
        "maximum_leverage": 50.0,
        "maintenance_margin_rate": 0.01,
        "maintenance_amount": 0.0,
    }
    table = {"kind": "margin_tiers", **AT, "event_time": START + 3_600_000, **tier}
    assert run("", *reversed(OPENED[1:]), table).stdout == run("", *OPENED).stdout


def test_the_mark_sweeps_the_longs_that_it_reaches_and_no_short() -> None:
    before, after = (
        rows_of(run("", *OPENED, *more)) for more in ([], [mark(LAST + 20_000, 0.9), mark(LAST + 25_000, 1.0)])
    )
    assert [row for row in after if row["side"] == "short"] == [row for row in before if row["side"] == "short"]
    longs = [row for row in after if row["side"] == "long"]
    assert 0 < len(longs) < len([row for row in before if row["side"] == "long"])
    assert max(row["price_low"] for row in longs) <= 0.9


def test_every_and_at_choose_minutes() -> None:
    events = [*OPENED, *(mark(START + number * MINUTE, 1.0) for number in range(12, 31))]
    hourly = rows_of(run("--every 10m", *events))
    assert sorted({row["window_start"] for row in hourly}) == [START + number * 10 * MINUTE for number in range(1, 4)]
    one = rows_of(run(f"--at {START + 15 * MINUTE + 3}", *events))
    assert {row["window_start"] for row in one} == {START + 15 * MINUTE}
    assert rows_of(run(f"--at {START // 1_000 + 15 * 60}", *events)) == one
    early = run("--at 2020-01-01", *events)
    assert (early.stdout, "before the first minute with a map" in early.stderr) == ("", True)
    assert {row["window_start"] for row in rows_of(run("--at 2027-01-01T00:00", *events))} == {START + 30 * MINUTE}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "Expected a JSON object"),
        ({"kind": "nonsense"}, "Expected a known kind"),
        ({**mark(START, 1.0), "mark_price": -1.0}, "Expected mark_price"),
        ({"kind": "trades", **AT, "event_time": START}, "field 'price' is missing"),
        ({**trade(START, 1.0, "hold")}, "Expected taker_side as buy or sell"),
        ({**TIERS, "tiers": [[1, 2, 3]]}, "Expected `tiers` as rows"),
    ],
)
def test_a_bad_line_is_reported_by_number_and_the_rest_is_mapped(line: dict[str, Any] | str, sentence: str) -> None:
    result = run("", *OPENED, line)
    assert result.exit_code == 1
    assert f"line {len(OPENED) + 1}: " in result.stderr
    assert sentence in result.stderr
    assert result.stdout == run("", *OPENED).stdout != ""


def test_a_gzipped_file_or_input_is_read_as_it_is_unpacked(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(event) for event in OPENED).encode()
    (tmp_path / "events.gz").write_bytes(gzip.compress(lines))
    wanted = run("", *OPENED).stdout
    assert run(str(tmp_path / "events.gz")).stdout == wanted
    app = typer.Typer()
    command.register(app)
    app.callback()(lambda: None)
    assert CliRunner().invoke(app, ["map"], input=gzip.compress(lines)).stdout == wanted


def test_damaged_gzip_is_a_bad_line_and_what_comes_before_it_is_mapped(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl.gz"
    packed = gzip.compress("\n".join(json.dumps(event) for event in OPENED).encode())
    file.write_bytes(packed + b"\x1f\x8b damaged")
    result = run(str(file))
    assert result.exit_code == 1
    assert "damaged from here on" in result.stderr
    assert result.stdout == run("", *OPENED).stdout
    file.write_bytes(packed[: len(packed) // 2])
    assert "damaged from here on" in run(str(file)).stderr


def test_a_file_that_is_not_there_is_refused_with_a_sentence(tmp_path: Path) -> None:
    assert "There is no file" in str(run(str(tmp_path / "none.jsonl")).exception)
    assert f"Expected a file, {tmp_path} is a directory" in str(run(str(tmp_path)).exception)


def test_the_rows_are_those_of_one_batch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    together = run("--every 1m", *OPENED).stdout
    monkeypatch.setattr(command, "_SPAN", 1)
    assert run("--every 1m", *OPENED).stdout == together != ""


def test_unknown_durations_and_times_are_refused_with_a_sentence() -> None:
    assert "Expected --every" in str(run("--every 10x", *OPENED).exception)
    assert "Expected --at" in str(run("--at soon", *OPENED).exception)


def test_a_time_that_has_not_come_is_refused_with_its_line_and_moves_nothing() -> None:
    expected = rows_of(run("", *OPENED))
    soon = int(time.time() * 1_000) + 3_600_000
    far = [mark(4_000_000_000_000, 1.0), mark(soon, 1.0), {**trade(soon, 1.0, "buy"), "event_time": str(soon)}]
    tiers = [{**TIERS, "event_time": at} for at in (soon, str(soon))]
    result = run("", *OPENED, *far, *tiers)
    assert result.exit_code == 1
    assert [json.loads(line) for line in result.stdout.splitlines()] == expected
    *said, count = result.stderr.splitlines()
    assert [line.split(":")[0] for line in said] == [f"line {len(OPENED) + 1 + number}" for number in range(5)]
    assert all("Expected a time that has come" in line for line in said)
    assert count.startswith("5 lines")


def test_what_the_engine_refuses_is_said_and_costs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rows_of(run("", *OPENED))
    apply_span = engine.apply_span

    def refusing(state: Any, span: Sequence[Rows], *more: Any) -> list[Batch]:
        if any(symbol == "DOOMED" for rows in span for symbol, _ in rows.markets):
            raise PoisonMessage("The engine refuses these rows")
        return apply_span(state, span, *more)

    monkeypatch.setattr(engine, "apply_span", refusing)
    result = run("", *OPENED, {**open_interest(LAST, 5.0), "symbol": "DOOMED"})
    assert result.exit_code == 1
    assert [json.loads(line) for line in result.stdout.splitlines()] == expected
    said, _ = result.stderr.splitlines()
    assert said == f"open_interest of binance DOOMED from {LAST}: The engine refuses these rows"


def as_text(value: Any) -> Any:
    if isinstance(value, list):
        return [as_text(item) for item in value]
    return "" if value is None else str(value)


def test_numbers_may_be_written_as_text() -> None:
    expected = rows_of(run("", *OPENED))
    texts = [{name: as_text(value) for name, value in event.items()} for event in OPENED]
    assert rows_of(run("", *texts)) == expected
    floats = [{**event, "event_time": float(event.get("event_time", 0))} for event in OPENED]
    assert rows_of(run("", *floats)) == expected


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        ("price", "1,000"),
        ("price", "1_0"),
        ("price", "nan"),
        ("price", "inf"),
        ("price", ""),
        ("price", True),
        ("price", []),
        ("quantity", 10**400),
        ("event_time", "soon"),
        ("event_time", 1767225600000.5),
        ("event_time", ""),
        ("event_time", True),
        ("trade_id", 1.5),
        ("trade_id", "1.5"),
        ("trade_id", 2**63),
        ("trade_id", str(2**63)),
        ("symbol", 5),
        ("taker_side", "up"),
    ],
)
def test_what_is_no_number_of_its_field_is_refused_and_its_neighbours_count(name: str, odd: Any) -> None:
    expected = rows_of(run("", *OPENED))
    result = run("", *OPENED, {**trade(LAST, 1.0, "buy"), name: odd})
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert [json.loads(line) for line in result.stdout.splitlines()] == expected
    assert name in result.stderr.splitlines()[0] or "JSON" in result.stderr.splitlines()[0]


def test_a_symbol_may_be_in_any_case() -> None:
    odd = [{**event, "symbol": " virtual"} if place % 2 else event for place, event in enumerate(OPENED)]
    assert rows_of(run("", *odd)) == rows_of(run("", *OPENED))
