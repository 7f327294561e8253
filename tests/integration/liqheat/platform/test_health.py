"""The health server answers on loopback, and says so where it cannot."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from liqheat.platform.errors import ConfigurationError
from liqheat.platform.health import Condition, Conditions, HealthServer, Level


def test_health_answers_with_the_services_own_check() -> None:
    problem: list[str] = []
    with HealthServer("test", lambda: problem[0] if problem else None) as server:
        address = f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(f"{address}/healthz") as answer:
            assert json.load(answer) == {"service": "test", "healthy": True, "problem": None, "problems": {}}
        with urllib.request.urlopen(f"{address}/metrics") as answer:
            assert b"liqheat_dead_letters_total" in answer.read()
        problem.append("no event for 60 s")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/healthz")
        assert refused.value.code == 503
        assert "no event for 60 s" in refused.value.read().decode()


def test_a_taken_health_port_is_a_sentence() -> None:
    with (
        HealthServer("one", lambda: None) as server,
        pytest.raises(ConfigurationError, match="LIQHEAT_SERVICE__PORT"),
    ):
        HealthServer("two", lambda: None, port=server.port)


class Switches:
    """Checks that a test turns on and off."""

    def __init__(self) -> None:
        self.on: dict[str, str] = {}

    def __getitem__(self, name: str) -> Callable[[], str | None]:
        return lambda: self.on.get(name)


def asked(server: HealthServer, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}") as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_each_path_answers_for_its_own_level_and_those_above() -> None:
    switches = Switches()
    conditions = Conditions(
        "test",
        [
            Condition("lag", switches["lag"], Level.WELL),
            Condition("broker", switches["broker"], Level.READY),
            Condition("event loop", switches["event loop"], Level.LIVE),
        ],
    )
    with HealthServer("test", conditions) as server:

        def statuses() -> list[int]:
            return [asked(server, path)[0] for path in ("/livez", "/readyz", "/healthz")]

        assert statuses() == [200, 200, 200]
        switches.on["lag"] = "Falling behind"
        assert statuses() == [200, 200, 503]
        switches.on["broker"] = "Kafka does not answer"
        assert statuses() == [200, 503, 503]
        answer = asked(server, "/healthz")[1]
        assert answer["problems"] == {"broker": "Kafka does not answer", "lag": "Falling behind"}
        assert answer["problem"] == "Kafka does not answer; Falling behind"
        switches.on["event loop"] = "The event loop is blocked for 61 s"
        assert statuses() == [503, 503, 503]
