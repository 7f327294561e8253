"""The health server answers on loopback, and says so where it cannot."""

import json
import urllib.error
import urllib.request

import pytest

from liqheat.platform.errors import ConfigurationError
from liqheat.platform.health import HealthServer


def test_health_answers_with_the_services_own_check() -> None:
    problem: list[str] = []
    with HealthServer("test", lambda: problem[0] if problem else None) as server:
        address = f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(f"{address}/healthz") as answer:
            assert json.load(answer) == {"service": "test", "healthy": True, "problem": None}
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
