"""The whole compose file on its published images, demo data in, each panel's query answered by a real Grafana.

Only where a Docker engine can pull: ClickHouse's and Grafana's images are to be had no other way.
"""

import json
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from liqheat.domain.market import Venue
from tests.compose_file import ROOT, SERVICES, free_port
from tests.containers.conftest import absent
from tests.containers.engine import Engine
from tests.grafana_macros import Dashboard, interpolate

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1_800)]

DATASOURCE = {"uid": "liqheat-clickhouse", "type": "grafana-clickhouse-datasource"}
BOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").rglob("*.json"))
PASSWORDS = [f"CLICKHOUSE_{user}_PASSWORD" for user in ("ADMIN", "WRITER", "READER", "GRAFANA")]
QUIET = {"Gaps", "Dead letters"}
HOUR = 3_600

Json = dict[str, Any]


class Grafana:
    """Grafana's HTTP API as its administrator."""

    def __init__(self, port: int, password: str) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self._authorization = "Basic " + b64encode(f"admin:{password}".encode()).decode()

    def ask(self, path: str, body: Json | None = None) -> Json:
        """Return the answer; an error's body is part of the failure."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": self._authorization, "Content-Type": "application/json"}
        request = urllib.request.Request(self._address + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                found: Json = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode(errors='replace')}") from error

    def rows(self, sql: str, target: Json | None = None) -> list[list[Any]]:
        """Return the columns of the first frame that the datasource answers with, over the last hour."""
        now = int(time.time())
        query = {**(target or {"format": 1, "editorType": "sql"}), "refId": "A", "datasource": DATASOURCE}
        query |= {"rawSql": sql, "intervalMs": 60_000, "maxDataPoints": 200}
        answer = self.ask(
            "/api/ds/query", {"queries": [query], "from": str((now - HOUR) * 1_000), "to": str(now * 1_000)}
        )
        result = answer["results"]["A"]
        assert "error" not in result, result["error"]
        frames = result["frames"]
        columns: list[list[Any]] = frames[0]["data"]["values"] if frames else []
        return columns


@pytest.fixture(scope="module")
def grafana(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grafana]:
    """The demo's compose project, up and healthy; removed with its volumes at the end."""
    if engine.command != "docker" or engine.run("compose", "version", check=False).returncode:
        absent("the published images need a Docker engine with the compose plugin")
    for name in ("kafka", "clickhouse", "grafana"):
        pulled = engine.run("pull", "--quiet", SERVICES[name]["image"], check=False)
        if pulled.returncode:
            absent(f"{SERVICES[name]['image']} cannot be pulled: {pulled.stderr.strip()[-200:]}")
    from testcontainers.compose import DockerCompose

    port, password = free_port(), secrets.token_hex(16)
    lines = [f"{name}={secrets.token_hex(16)}" for name in PASSWORDS]
    lines += [f"GRAFANA_ADMIN_PASSWORD={password}", f"GRAFANA_PORT={port}", "COMPOSE_PROFILES=demo"]
    lines += [f"COMPOSE_PROJECT_NAME=liqheat-test-{secrets.token_hex(4)}"]
    env_file = tmp_path_factory.mktemp("compose") / ".env"
    env_file.write_text("\n".join(lines))
    # Not `wait`: compose counts a job that has ended well as failed.
    compose = DockerCompose(ROOT, "docker-compose.yml", build=True, wait=False, env_file=str(env_file))
    try:
        compose.start()
        reached = Grafana(port, password)
        wait_for_data(reached, compose)
        yield reached
    finally:
        compose.stop()


def wait_for_data(grafana: Grafana, compose: Any) -> None:
    deadline = time.monotonic() + 600
    problem: Exception | str = "no rows"
    while time.monotonic() < deadline:
        try:
            columns = grafana.rows("SELECT uniqExact(symbol, venue) AS markets FROM market_minutes")
            if columns and columns[0][0] >= len(Venue):
                return
        except (OSError, AssertionError, KeyError, IndexError) as error:
            problem = error
        time.sleep(1.0)
    output, errors = compose.get_logs()
    raise AssertionError(f"{problem}\n{output[-4_000:]}\n{errors[-1_000:]}")


def variables(grafana: Grafana, board: Json) -> Dashboard:
    """Fill in the dashboard's variables by their own queries, in their order."""
    now = int(time.time())
    filled = Dashboard(now - HOUR, now, variables={"symbol": ["VIRTUAL"], "span": ["10"]})
    for variable in board["templating"]["list"]:
        if variable["type"] == "query" and variable["name"] not in filled.variables:
            columns = grafana.rows(interpolate(variable["query"]["rawSql"], filled))
            filled.variables[variable["name"]] = [str(value) for value in (columns[0] if columns else [])]
    return filled


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_every_panel_is_answered_through_grafana(grafana: Grafana, path: Path) -> None:
    board = json.loads(path.read_text())
    assert grafana.ask(f"/api/dashboards/uid/{board['uid']}")["dashboard"]["title"] == board["title"]
    filled = variables(grafana, board)
    empty = []
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            columns = grafana.rows(interpolate(target["rawSql"], filled), target)
            if panel["title"] not in QUIET and not (columns and columns[0]):
                empty.append(f"{panel['title']} {target['refId']}")
    # Alerts and executed liquidations may not have come yet in the first minutes; the map must have.
    assert len(empty) <= len(board["panels"]) // 2, empty


def test_the_datasource_is_well_and_may_not_write(grafana: Grafana) -> None:
    assert grafana.ask(f"/api/datasources/uid/{DATASOURCE['uid']}/health")["status"] == "OK"
    with pytest.raises(AssertionError, match=r"(?i)access|privileges|readonly"):
        grafana.rows("INSERT INTO catalysts_raw (symbol) VALUES ('X')")


def test_compose_refuses_to_start_without_passwords(engine: Engine, tmp_path: Path) -> None:
    if engine.command != "docker" or engine.run("compose", "version", check=False).returncode:
        absent("docker compose is not here")
    empty = tmp_path / ".env"
    empty.write_text("")
    command = ["docker", "compose", "--env-file", str(empty), "config", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "Copy .env.example to .env" in done.stderr
