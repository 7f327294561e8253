"""`liqheat clusters` and `what-if` of symbols that are not stored: the answer names those that are."""

from typing import Any

import pytest
from typer.testing import CliRunner, Result

from liqheat.cli.main import app, load_commands
from liqheat.platform.errors import FatalError

CLUSTER = {
    "symbol": "FET",
    "side": "long",
    "price_low": 1.0,
    "price_high": 1.1,
    "at_risk_usd": 1e6,
    "percent_of_adv": 5.0,
    "distance": 2.0,
    "age_minutes": 3,
    "state": "[/]",
    "cluster_id": "FET-long-1-1",
}


@pytest.fixture(autouse=True)
def page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for a page that knows FET and TAO."""

    def ask(address: str, path: str) -> dict[str, Any]:
        if path == "/api/markets":
            return {"symbols": [{"symbol": "FET"}, {"symbol": "TAO"}]}
        known = path.endswith("=FET")
        return {"reading": {} if known else None, "clusters": [CLUSTER] if known else [], "cascades": []}

    monkeypatch.setattr("liqheat.cli.signal_source._ask", ask)
    load_commands()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize("command", [["clusters", "NOSUCH"], ["what-if", "nosuch", "--move", "1%"]])
def test_an_unknown_symbol_is_refused_with_the_known_ones(command: list[str]) -> None:
    result = run(*command)
    assert isinstance(result.exception, FatalError)
    assert str(result.exception) == "Nothing is stored of NOSUCH; known are FET, TAO"
    assert result.stdout == ""


def test_the_clusters_of_known_symbols_are_shown_beside_the_refusal() -> None:
    result = run("clusters", "FET", "NOSUCH")
    assert "FET-long-1-1" in result.stdout
    assert "[/]" in result.stdout
    assert "Nothing is stored of NOSUCH" in str(result.exception)


def test_symbols_of_the_watch_list_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIQHEAT_INGEST__SYMBOLS", "FET,NOSUCH")
    assert run("clusters").exit_code == 0
