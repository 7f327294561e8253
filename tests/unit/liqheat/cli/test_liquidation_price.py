"""`liqheat liquidation-price` as a user and as another program call it."""

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from liqheat.cli import liquidation_price as command
from liqheat.domain.market import Venue
from liqheat.platform.errors import ConfigurationError

VIRTUAL = "--venue binance --symbol VIRTUALUSDT --side long --entry 1.00 --leverage 10 --notional 5000"


def run(arguments: str, stdin: bytes | None = None) -> str:
    app = typer.Typer()
    command.register(app)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, ["liquidation-price", *arguments.split()], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def ask(*queries: dict[str, Any] | str) -> list[dict[str, Any]]:
    lines = [query if isinstance(query, str) else json.dumps(query) for query in queries]
    return [json.loads(line) for line in run("--jsonl", "\n".join(lines).encode()).splitlines()]


def test_a_position_is_answered_in_words() -> None:
    text = run(VIRTUAL)
    assert "liquidation price  0.90909091" in text
    assert "bankruptcy price   0.9" in text
    assert "-9.09% from entry" in text
    assert "tier               1 of" in text


def test_a_position_is_answered_as_json() -> None:
    answer = json.loads(run(VIRTUAL + " --json"))
    assert answer["liquidation_price"] == pytest.approx((5_000 - 500) / (5_000 * 0.99))
    assert answer["bankruptcy_price"] == pytest.approx(0.9)
    assert answer["distance"] == pytest.approx(answer["liquidation_price"] - 1)
    assert answer["tier"]["number"] == 1
    assert answer["tier"]["maintenance_margin_rate"] == 0.01


def test_the_tier_is_that_of_the_liquidation_notional() -> None:
    # A short that opens at the top of tier 1 dies in tier 2.
    answer = json.loads(run(VIRTUAL.replace("long", "short").replace("5000", "4990") + " --json"))
    assert answer["tier"]["number"] == 2


def test_a_leverage_that_the_venue_does_not_allow_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    command.liquidation_price(
        venue=Venue.BINANCE, symbol="VIRTUALUSDT", side="long", entry=1.0, leverage=60, notional=1e6, quantity=None,
        margin=None, extra_margin=0.0, taker_fee_rate=0.0, maintenance_margin_rate=None, maintenance_amount=0.0,
        model=None, as_json=True, jsonl=False,
    )  # fmt: skip
    assert "allows at most 4x at $1,000,000 of VIRTUALUSDT" in capfd.readouterr().err


def test_the_model_can_be_chosen() -> None:
    answer = json.loads(run(VIRTUAL + " --model simple --json"))
    assert answer["liquidation_price"] == pytest.approx(0.9)
    bybit = "--venue bybit --side long --entry 20000 --quantity 1 --leverage 50 --maintenance-margin-rate 0.005"
    assert json.loads(run(bybit + " --model bybit_legacy --json"))["liquidation_price"] == pytest.approx(19_700)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--side long", "Expected --side, --entry"),
        (VIRTUAL + " --model fancy", "Expected a model out of simple, binance"),
        (VIRTUAL.replace("VIRTUALUSDT", "NOPEUSDT"), "NOPEUSDT"),
        (VIRTUAL.replace("long", "sideways"), "long or short"),
        (VIRTUAL.replace("--leverage 10", ""), "wallet_balance or leverage"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        run(arguments)


BINANCE = {"model": "binance", "side": "long", "entry_price": 50_000, "quantity": 0.02, "wallet_balance": 500}


def test_lines_are_answered_in_order() -> None:
    answers = ask(
        {"id": 7, **BINANCE, "maintenance_margin_rate": 0.004},
        {"id": "b", "model": "simple", "side": "short", "entry_price": 1, "quantity": 5, "leverage": 4},
        {"id": None, "model": "simple", "side": "long", "entry_price": 1, "quantity": 5, "leverage": 1},
    )
    assert answers[0] == {"id": 7, "liquidation_price": pytest.approx(25_100.40, abs=0.005)}
    assert answers[1] == {"id": "b", "liquidation_price": 1.25}
    assert answers[2] == {"id": None, "liquidation_price": None}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("{", "Not JSON"),
        ("[1]", "JSON object"),
        ('{"id": 1, "model": "binance"}', "side"),
        ({"id": 1, **BINANCE}, "maintenance_margin_rate"),
        ({"id": 1, **BINANCE, "model": "kraken"}, "kraken"),
        ({"id": 1, **BINANCE, "side": "buy"}, "long or short"),
        ({"id": 1, **BINANCE, "quantity": 0, "maintenance_margin_rate": 0.01}, "quantity above 0"),
        ({"id": 1, **BINANCE, "quantity": "x", "maintenance_margin_rate": 0.01}, "quantity"),
        ({"id": 1, **BINANCE, "entry_price": float("nan"), "maintenance_margin_rate": 0.01}, "finite"),
        ({"id": 1, **BINANCE, "maintenance_margin_rate": 1.0}, r"\[0, 1\)"),
        ({"id": 1, **BINANCE, "maintenance_margin_rate": 0.9, "taker_fee_rate": 0.2}, "less than 1"),
        ({"id": 1, **BINANCE, "model": "okx", "maintenance_margin_rate": 0.1, "other_unrealized_pnl": 3}, "isolated"),
    ],
)
def test_a_bad_line_says_why_and_the_rest_goes_on(query: dict[str, Any] | str, sentence: str) -> None:
    bad, good = ask(query, {"id": 2, "model": "simple", "side": "long", "entry_price": 1, "quantity": 1, "leverage": 2})
    assert set(bad) == {"id", "error"}
    assert bad["id"] in (1, None)
    assert sentence.replace("\\", "") in bad["error"]
    assert good == {"id": 2, "liquidation_price": 0.5}


def test_lines_that_are_not_text_and_blank_lines() -> None:
    good = b'{"id": 1, "model": "simple", "side": "long", "entry_price": 1, "quantity": 1, "leverage": 2}'
    first, second = run("--jsonl", b"\xff\xfe\n\n" + good + b"\r\n").splitlines()
    assert "error" in json.loads(first)
    assert json.loads(second)["liquidation_price"] == 0.5
