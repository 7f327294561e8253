"""`liqheat liquidation-price` as a user and as another program call it."""

import json
import re
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from liqheat.cli import liquidation_price as command
from liqheat.domain.market import ModelName, Venue
from liqheat.platform.errors import ConfigurationError
from tests.support.field_cases import cases

VIRTUAL = "--venue binance --symbol VIRTUALUSDT --side long --entry 1.00 --leverage 10 --notional 5000"


def run(arguments: str, stdin: bytes | None = None, status: int = 0) -> str:
    app = typer.Typer()
    command.register(app)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, ["liquidation-price", *arguments.split()], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.stdout


def ask(*queries: dict[str, Any] | str, status: int = 0) -> list[dict[str, Any]]:
    lines = [query if isinstance(query, str) else json.dumps(query) for query in queries]
    return [json.loads(line) for line in run("--jsonl", "\n".join(lines).encode(), status).splitlines()]


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
        model=None, as_json=True, jsonl=False, strict=False,
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


def test_a_price_that_no_number_holds_is_none(recwarn: pytest.WarningsRecorder) -> None:
    query = {"model": "simple", "entry_price": 1e308, "leverage": 1e-300}
    assert ask({"id": 1, "side": "short", **query}, {"id": 2, "side": "long", **query}) == [
        {"id": 1, "liquidation_price": None},
        {"id": 2, "liquidation_price": None},
    ]
    assert not recwarn.list


@pytest.mark.parametrize("name", ["virtualusdt", "VIRTUAL", "virtual/usdt", "VIRTUAL-USDT-SWAP"])
def test_an_instrument_may_be_named_as_a_person_does(name: str) -> None:
    answer = json.loads(run(VIRTUAL.replace("VIRTUALUSDT", name) + " --json"))
    assert answer["liquidation_price"] == pytest.approx((5_000 - 500) / (5_000 * 0.99))


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
    bad, good = ask(
        query, {"id": 2, "model": "simple", "side": "long", "entry_price": 1, "quantity": 1, "leverage": 2}, status=1
    )
    assert set(bad) == {"id", "error"}
    assert bad["id"] in (1, None)
    assert sentence.replace("\\", "") in bad["error"]
    assert good == {"id": 2, "liquidation_price": 0.5}


def test_lines_that_are_not_text_and_blank_lines() -> None:
    good = b'{"id": 1, "model": "simple", "side": "long", "entry_price": 1, "quantity": 1, "leverage": 2}'
    first, second = run("--jsonl", b"\xff\xfe\n\n" + good + b"\r\n", status=1).splitlines()
    assert "error" in json.loads(first)
    assert json.loads(second)["liquidation_price"] == 0.5


def test_bad_lines_are_said_with_their_numbers_and_counted(capfd: pytest.CaptureFixture[str]) -> None:
    good = '{"id": 1, "model": "simple", "side": "long", "entry_price": 1, "leverage": 2}'
    lines = f"{good}\n\nnonsense\n{good}\n[2]\n".encode()
    app = typer.Typer()
    command.register(app)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, ["liquidation-price", "--jsonl"], input=lines)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 4
    first, second, count = result.stderr.splitlines()
    assert first.startswith("line 3: Not JSON")
    assert second == "line 5: Expected a JSON object"
    assert count == "2 lines or parts of lines could not be read"
    strict = CliRunner().invoke(app, ["liquidation-price", "--jsonl", "--strict"], input=lines)
    assert (strict.exit_code, len(strict.stdout.splitlines())) == (1, 2), "it stops at the first bad line"


def test_the_model_simple_needs_no_size() -> None:
    assert ask({"id": 1, "model": "simple", "side": "short", "entry_price": 2, "leverage": 4}) == [
        {"id": 1, "liquidation_price": 2.5}
    ]
    answer = json.loads(run("--model SIMPLE --side long --entry 100 --leverage 10 --json"))
    assert (answer["liquidation_price"], answer["bankruptcy_price"]) == (pytest.approx(90), pytest.approx(90))
    with pytest.raises(ConfigurationError, match="--notional"):
        run("--model simple --side long --entry 100 --leverage 10 --extra-margin 5")


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        ("--symbol BTCUSDT --side long --entry 100000 --leverage 20 --notional 5e9", "past the last margin tier"),
        ("--symbol BTCUSDT --side long --entry 100000 --leverage 20 --notional 5e9", "at or above the entry"),
        ("--symbol BTCUSDT --side long --entry 100000 --leverage 1 --notional 1e12", "past the last margin tier"),
        ("--symbol BTCUSDT --side long --entry 100000 --margin 0 --notional 1000", "at or above the entry"),
        ("--symbol BTCUSDT --side short --entry 100000 --margin 0 --notional 1000", "at or below the entry"),
    ],
)
def test_an_answer_that_contradicts_its_question_carries_a_note(arguments: str, note: str) -> None:
    assert any(note in text for text in json.loads(run(arguments + " --json"))["notes"])


def test_an_ordinary_answer_carries_no_note() -> None:
    assert json.loads(run(VIRTUAL + " --json"))["notes"] == []


def test_added_margin_moves_bankruptcy_beyond_liquidation() -> None:
    answer = json.loads(
        run("--symbol BTCUSDT --side long --entry 100000 --leverage 10 --notional 1000 --extra-margin 500 --json")
    )
    assert answer["bankruptcy_price"] == pytest.approx(40_000)
    assert answer["bankruptcy_price"] < answer["liquidation_price"] == pytest.approx(40_160, abs=5)


def test_the_field_queries_are_answered_line_by_line() -> None:
    (case,) = [case for case in cases("elsewhere") if case.id == "F21"]
    answers = [json.loads(line) for line in run("--jsonl", case.path.read_bytes(), status=1).splitlines()]
    prices = {answer["id"]: answer.get("liquidation_price") for answer in answers}
    assert prices["eth-cross"] == pytest.approx(1_153.26, abs=0.01), "Binance's own worked example"
    assert prices["btc-cross"] == pytest.approx(26_316.89, abs=0.01)
    assert prices["1x-long"] is None
    assert prices["1x-short"] == pytest.approx(2 / 1.01)
    errors = {answer["id"] for answer in answers if "error" in answer}
    assert errors == {"str", "upper", "buy", "nan", "qty0"}
    assert len(answers) == 13


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--entry inf", "Expected entry_price to be a finite number"),
        ("--leverage inf", "Expected leverage to be a finite number"),
        ("--extra-margin nan", "Expected extra_margin to be a finite number"),
        ("--extra-margin -inf", "Expected extra_margin to be a finite number"),
        ("--quantity 5", "Expected one of --notional and --quantity, were both"),
        ("--maintenance-margin-rate 0.95 --taker-fee-rate 0.1", "to sum to less than 1"),
        ("--symbol BTC-USD-SWAP", "'BTC-USD-SWAP' is inverse: it is settled in its coin"),
        ("--symbol BTCUSD_PERP", "'BTCUSD_PERP' is inverse"),
        ("--symbol btc/usd:btc", "'btc/usd:btc' is inverse"),
        ("--symbol BTC/USDT:USDT-260626", "Expected an instrument of binance"),
    ],
)
def test_numbers_that_are_none_and_other_contracts_are_refused_with_a_sentence(option: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(reason)):
        run(f"{VIRTUAL} {option}")


def test_a_query_of_an_unknown_model_or_an_inverse_contract_says_what_is_known() -> None:
    query = {"model": "binance", "side": " Long ", "entry_price": 100, "quantity": 1, "leverage": 10}
    query |= {"maintenance_margin_rate": 0.005, "symbol": 7}
    good, model, inverse = ask(query, query | {"model": "inverse"}, query | {"symbol": "BTCUSD_PERP"}, status=1)
    assert good["liquidation_price"] == pytest.approx(90.45226)
    assert model["error"] == f"Expected a model out of {', '.join(ModelName)}, was 'inverse'"
    assert "'BTCUSD_PERP' is inverse" in inverse["error"]
    (deep,) = ask("[" * 100_000, status=1)
    assert deep["error"] == "Not JSON that can be read: it is nested too deep"


def test_a_short_that_dies_past_the_last_tier_is_told_so() -> None:
    short = "--symbol BTCUSDT --side short --entry 60000 --leverage 1 --json"
    within, beyond = (json.loads(run(f"{short} --notional {size}"))["notes"] for size in ("1e6", "1.7e9"))
    assert within == []
    (note,) = beyond
    assert note.startswith("At its liquidation price the position is $")
    assert "past the last margin tier of $1,800,000,000" in note
