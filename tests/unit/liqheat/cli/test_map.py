"""`liqheat map` on logs small enough to work out by hand."""

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from liqheat.cli import map as command

START = 1_767_225_600_000
MINUTE = 60_000
AT: dict[str, Any] = {"venue": "binance", "symbol": "VIRTUAL"}
ONE_LEVERAGE = {"LIQHEAT_ENGINE__LEVERAGES": "[10]", "LIQHEAT_ENGINE__LEVERAGE_SHARES": "[1]"}


def run(arguments: str, *events: dict[str, Any] | str) -> Result:
    app = typer.Typer()
    command.register(app)
    app.callback()(lambda: None)
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return CliRunner().invoke(app, ["map", *arguments.split()], input="\n".join(lines), env=ONE_LEVERAGE)


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
    mark(START, 1.0),
    open_interest(START + 1_000, 1_000_000.0),
    trade(START + 2_000, 1.0, "buy"),
    open_interest(START + 15_000, 1_100_000.0),
]


def rows_of(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_rise_of_open_interest_stands_on_both_sides_at_its_liquidation_prices() -> None:
    rows = rows_of(run("", *OPENED))
    assert [row["side"] for row in rows] == ["long", "short"]
    # 100,000 coins at 1 USD and a quarter of the 100 USD traded, half of them within reach;
    # 10x with 1% maintenance: 0.9 / 0.99 and 1.1 / 1.01.
    for row, price in zip(rows, (0.9 / 0.99, 1.1 / 1.01), strict=True):
        assert row["at_risk_usd"] == pytest.approx(50_012.5, abs=0.01)
        assert row["price_low"] <= price < row["price_high"]
        assert row["symbol"] == "VIRTUAL"
        assert row["basis"] == "inferred"
        assert 0 < row["confidence"] <= 1


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


def test_the_mark_sweeps_the_long_and_not_the_short() -> None:
    rows = rows_of(run("", *OPENED, mark(START + 20_000, 0.9), mark(START + 25_000, 1.0)))
    assert [row["side"] for row in rows] == ["short"]


def test_every_and_at_choose_minutes() -> None:
    events = [*OPENED, *(mark(START + number * MINUTE, 1.0) for number in range(1, 31))]
    hourly = rows_of(run("--every 10m", *events))
    assert sorted({row["window_start"] for row in hourly}) == [START + number * 10 * MINUTE for number in range(4)]
    one = rows_of(run(f"--at {START + 5 * MINUTE + 3}", *events))
    assert {row["window_start"] for row in one} == {START + 5 * MINUTE}
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
def test_a_bad_line_is_told_by_number_and_the_rest_is_mapped(line: dict[str, Any] | str, sentence: str) -> None:
    result = run("", *OPENED, line)
    assert result.exit_code == 1
    assert f"line {len(OPENED) + 1}: " in result.stderr
    assert sentence in result.stderr
    assert len(result.stdout.splitlines()) == 2


def test_unknown_durations_and_times_are_refused_with_a_sentence() -> None:
    assert "Expected --every" in str(run("--every 10x", *OPENED).exception)
    assert "Expected --at" in str(run("--at soon", *OPENED).exception)
