"""What the tests ask a running Grafana, and the compose project that it runs in.

Apart from the tests that need a Docker engine, so that requests, answers and commands are tested where there is none.
"""

import json
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

from tests.support.compose_file import ROOT
from tests.support.grafana_macros import Dashboard, interpolate

DATASOURCE = {"uid": "liqheat-clickhouse", "type": "grafana-clickhouse-datasource"}
GRAFANA_PASSWORD = "grafana_admin_password"  # noqa: S105 - the name of its file
HOUR = 3_600

Json = dict[str, Any]


class Grafana:
    """Grafana's HTTP API as its administrator."""

    def __init__(self, port: int, password: str) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self._authorization = "Basic " + b64encode(f"admin:{password}".encode()).decode()

    def ask(self, path: str, body: Json | None = None) -> Any:
        """Return the answer; an error's body is part of the failure."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": self._authorization, "Content-Type": "application/json"}
        request = urllib.request.Request(self._address + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode(errors='replace')}") from error

    def columns(self, sql: str, target: Json | None = None) -> list[list[Any]]:
        """Return the columns of the first frame that the datasource answers with, over the last hour."""
        now = int(time.time())
        query = {**(target or {"format": 1, "editorType": "sql"}), "refId": "A", "datasource": DATASOURCE}
        query |= {"rawSql": sql, "intervalMs": 60_000, "maxDataPoints": 200}
        span = {"from": str((now - HOUR) * 1_000), "to": str(now * 1_000)}
        result = self.ask("/api/ds/query", {"queries": [query], **span})["results"]["A"]
        assert "error" not in result, result["error"]
        frames = result.get("frames") or []
        columns: list[list[Any]] = frames[0]["data"]["values"] if frames else []
        return columns

    def variables(self, board: Json) -> Dashboard:
        """Fill in the dashboard's variables by their own queries, in their order."""
        now = int(time.time())
        filled = Dashboard(now - HOUR, now, variables={"symbol": ["VIRTUAL"], "span": ["10"]})
        for variable in board["templating"]["list"]:
            if variable["type"] == "query" and variable["name"] not in filled.variables:
                columns = self.columns(interpolate(variable["query"]["rawSql"], filled))
                filled.variables[variable["name"]] = [str(value) for value in (columns[0] if columns else [])]
        return filled

    def unanswered(self, board: Json) -> list[str]:
        """Return the panels of which a query has no rows, by their titles; a refused query fails."""
        filled = self.variables(board)
        empty = []
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                columns = self.columns(interpolate(target["rawSql"], filled), target)
                if not (columns and columns[0]):
                    empty.append(panel["title"])
        return empty

    def rule_health(self) -> dict[str, str]:
        """Return how each alert rule fared when it was last evaluated, by its title: ok, nodata, unknown or error."""
        groups = self.ask("/api/prometheus/grafana/api/v1/rules")["data"]["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}


def make_secrets(folder: Path) -> dict[str, str]:
    """Make the password files of the compose file as an operator does; return the passwords by file."""
    subprocess.run([str(ROOT / "deploy" / "make_secrets.sh"), str(folder)], check=True, capture_output=True)
    return {file.name: file.read_text() for file in folder.iterdir()}


def environment_file(secrets: Path, port: int, project: str) -> str:
    """Return the text of an `.env` for the demo: passwords out of `secrets`, Grafana on `port` of loopback."""
    settings = {"LIQHEAT_SECRETS": str(secrets), "GRAFANA_PORT": str(port)}
    settings |= {"COMPOSE_PROFILES": "demo", "COMPOSE_PROJECT_NAME": project}
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def compose_project(environment: Path) -> Any:
    """Return testcontainers' hold of the compose file with the settings of the file `environment`."""
    from testcontainers.compose import DockerCompose

    # Not `wait`: compose counts a job that has ended well as failed.
    return DockerCompose(ROOT, "docker-compose.yml", build=True, wait=False, env_file=str(environment))
