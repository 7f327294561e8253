"""The whole compose file on its published images, demo data in, each panel's query answered by a real Grafana.

Only where a Docker engine can pull: ClickHouse's and Grafana's images are to be had no other way.
"""

import json
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.src.build import RULES
from liqheat.domain.market import Venue
from tests.containers.conftest import absent
from tests.containers.engine import Engine
from tests.containers.grafana_api import (
    DATASOURCE,
    GRAFANA_PASSWORD,
    Grafana,
    compose_project,
    environment_file,
    make_secrets,
)
from tests.support.compose_file import ROOT, SERVICES, free_port

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1_800)]

BOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").rglob("*.json"))
QUIET = {"Gaps", "Dead letters", "Alerts", "Clusters", "Executed liquidations"}
"""Panels of events, of which the first minutes need not have one."""


@pytest.fixture(scope="module")
def grafana(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grafana]:
    """The demo's compose project, up and healthy; removed with its volumes at the end."""
    if engine.command != "docker" or engine.run("compose", "version", check=False).returncode:
        absent("the published images need a Docker engine with the compose plugin")
    for name in ("kafka", "clickhouse", "grafana"):
        pulled = engine.run("pull", "--quiet", SERVICES[name]["image"], check=False)
        if pulled.returncode:
            absent(f"{SERVICES[name]['image']} cannot be pulled: {pulled.stderr.strip()[-200:]}")
    port, folder = free_port(), tmp_path_factory.mktemp("compose")
    passwords = make_secrets(folder / "secrets")
    env_file = folder / ".env"
    env_file.write_text(environment_file(folder / "secrets", port, f"liqheat-test-{secrets.token_hex(4)}"))
    compose = compose_project(env_file)
    try:
        compose.start()
        reached = Grafana(port, passwords[GRAFANA_PASSWORD])
        wait_for_data(reached, compose)
        yield reached
    finally:
        compose.stop()


def wait_for_data(grafana: Grafana, compose: Any) -> None:
    deadline = time.monotonic() + 600
    problem: Exception | str = "no rows"
    while time.monotonic() < deadline:
        try:
            columns = grafana.columns("SELECT uniqExact(symbol, venue) AS markets FROM market_minutes")
            if columns and columns[0][0] >= len(Venue):
                return
        except (OSError, AssertionError, KeyError, IndexError) as error:
            problem = error
        time.sleep(1.0)  # the services are still starting; each look is a query of the server
    output, errors = compose.get_logs()
    raise AssertionError(f"{problem}\n{output[-4_000:]}\n{errors[-1_000:]}")


def settled(look: Callable[[], set[str]], seconds: float) -> set[str]:
    """Return what `look` finds missing, as soon as that is nothing or after `seconds`."""
    deadline = time.monotonic() + seconds
    while (missing := look()) and time.monotonic() < deadline:
        time.sleep(2.0)  # each look is a query a panel, or all rules: asking oftener would only slow the start
    return missing


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_every_panel_is_answered_through_grafana(grafana: Grafana, path: Path) -> None:
    board = json.loads(path.read_text())
    assert grafana.ask(f"/api/dashboards/uid/{board['uid']}")["dashboard"]["title"] == board["title"]
    # History is still being read in the first minutes.
    assert settled(lambda: set(grafana.unanswered(board)) - QUIET, 240) == set()


def test_every_alert_rule_is_evaluated(grafana: Grafana) -> None:
    titles = {rule["title"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}

    def not_evaluated() -> set[str]:
        health = grafana.rule_health()
        return {title for title in titles if health.get(title) not in ("ok", "nodata")}

    assert settled(not_evaluated, 180) == set()


def test_the_datasource_is_well_and_may_not_write(grafana: Grafana) -> None:
    assert grafana.ask(f"/api/datasources/uid/{DATASOURCE['uid']}/health")["status"] == "OK"
    with pytest.raises(AssertionError, match=r"(?i)access|privileges|readonly"):
        grafana.columns("INSERT INTO catalysts_raw (symbol) VALUES ('X')")


def test_compose_refuses_to_start_without_passwords(engine: Engine, tmp_path: Path) -> None:
    if engine.command != "docker" or engine.run("compose", "version", check=False).returncode:
        absent("docker compose is not here")
    empty = tmp_path / ".env"
    empty.write_text("")
    command = ["docker", "compose", "--env-file", str(empty), "config", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "Copy .env.example to .env" in done.stderr
