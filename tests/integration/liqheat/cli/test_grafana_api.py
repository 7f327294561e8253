"""What the container tests ask of Grafana and of compose, where neither runs: against a stub and a recorded command.

The stub answers in the shapes that Grafana documents for /api/ds/query and its rules.
"""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.containers.grafana_api import (
    DATASOURCE,
    GRAFANA_PASSWORD,
    Grafana,
    compose_project,
    environment_file,
    make_secrets,
)
from tests.support.compose_file import OURS, SERVICES, TEXT

FULL = "SELECT full WHERE $__timeFilter(t) AND $__conditionalAll(v IN (${venue:singlequote}), $venue)"
BOARD: dict[str, Any] = {
    "uid": "one",
    "templating": {
        "list": [
            {"name": "datasource", "type": "datasource"},
            {"name": "symbol", "type": "query", "query": {"rawSql": "SELECT symbol"}},
            {
                "name": "venue",
                "type": "query",
                "query": {"rawSql": "SELECT venue WHERE symbol = ${symbol:singlequote}"},
            },
        ]
    },
    "panels": [
        {"title": "Text", "type": "text"},
        {"title": "Full", "targets": [{"refId": "B", "format": 0, "rawSql": FULL}]},
        {"title": "Empty", "targets": [{"refId": "A", "format": 1, "rawSql": "SELECT empty"}]},
        {"title": "Silent", "targets": [{"refId": "A", "format": 1, "rawSql": "SELECT silent"}]},
    ],
}


def frame(*columns: list[Any]) -> dict[str, Any]:
    fields = [{"name": f"field-{number}", "type": "string"} for number in range(len(columns))]
    return {"schema": {"refId": "A", "fields": fields}, "data": {"values": list(columns)}}


class Stub:
    """Keeps what it was asked; answers a query by the word after its SELECT."""

    def __init__(self) -> None:
        self.queries: list[dict[str, Any]] = []
        self.logins: set[str] = set()

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/api/prometheus/grafana/api/v1/rules":
            rules = [{"name": "One", "health": "ok"}, {"name": "Two", "health": "error", "lastError": "no"}]
            return 200, {"status": "success", "data": {"groups": [{"name": "g", "file": "f", "rules": rules}]}}
        if path != "/api/ds/query":
            return 404, {"message": "Not found"}
        assert set(body) == {"queries", "from", "to"}
        (query,) = body["queries"]
        self.queries.append(query | {"span": int(body["to"]) - int(body["from"])})
        word = query["rawSql"].split()[1]
        if word == "denied":
            return 400, {"results": {"A": {"error": "code: 497, message: Not enough privileges", "status": 400}}}
        if word == "odd":
            return 200, {"results": {"A": {"error": "half an answer", "status": 207}}}
        frames = {
            "symbol": [frame(["FET", "TAO"])],
            "venue": [frame(["okx", "bybit"])],
            "full": [frame([1, 2], [3, 4])],
            "empty": [frame([], [])],
            "silent": [],
        }
        return 200, {"results": {"A": {"status": 200, "frames": frames[word]}}}


@pytest.fixture
def served() -> Iterator[tuple[Stub, Grafana]]:
    stub = Stub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            stub.logins.add(self.headers["Authorization"])
            length = int(self.headers.get("Content-Length", 0))
            status, answer = stub.answer(self.path, json.loads(self.rfile.read(length) or "{}"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        do_GET = do_POST  # noqa: N815 - the name that http.server calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield stub, Grafana(server.server_port, "a-password")
    server.shutdown()
    server.server_close()


def test_a_boards_panels_are_asked_with_its_variables_filled_in(served: tuple[Stub, Grafana]) -> None:
    stub, grafana = served
    assert grafana.unanswered(BOARD) == ["Empty", "Silent"]
    asked = {query["rawSql"]: query for query in stub.queries}
    # The symbol is chosen, not asked for; macros of the backend are left to it, those of the browser are not.
    assert list(asked) == [
        "SELECT venue WHERE symbol = 'VIRTUAL'",
        "SELECT full WHERE $__timeFilter(t) AND 1=1",
        "SELECT empty",
        "SELECT silent",
    ]
    full = asked["SELECT full WHERE $__timeFilter(t) AND 1=1"]
    assert (full["refId"], full["format"], full["datasource"]) == ("A", 0, DATASOURCE)
    assert (full["intervalMs"], full["maxDataPoints"], full["span"]) == (60_000, 200, 3_600_000)
    assert grafana.variables(BOARD).variables["venue"] == ["okx", "bybit"]
    assert stub.logins == {"Basic " + base64.b64encode(b"admin:a-password").decode()}


@pytest.mark.parametrize(("word", "said"), [("denied", "Not enough privileges"), ("odd", "half an answer")])
def test_a_refused_query_fails_with_grafanas_words(served: tuple[Stub, Grafana], word: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        served[1].columns(f"SELECT {word}")


def test_rules_are_known_by_their_health(served: tuple[Stub, Grafana]) -> None:
    assert served[1].rule_health() == {"One": "ok", "Two": "error"}


def test_compose_is_given_the_project_file_and_the_demos_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = tmp_path / "commands"
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >> {recorded}\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    file = tmp_path / ".env"
    file.write_text(environment_file(tmp_path / "secrets", 31_000, "liqheat-test"))
    project = compose_project(file)
    project.start()
    project.stop()
    before = f"compose -f docker-compose.yml --env-file {file}"
    assert recorded.read_text().splitlines() == [f"{before} up --build --detach", f"{before} down --volumes"]
    given = dict(line.split("=", 1) for line in file.read_text().splitlines())
    passwords = make_secrets(Path(given["LIQHEAT_SECRETS"]))
    assert all(f"${{LIQHEAT_SECRETS:-./secrets}}/{name}" in TEXT for name in [*passwords, GRAFANA_PASSWORD])
    assert "${GRAFANA_PORT:-" in SERVICES["grafana"]["ports"][0]
    assert given["COMPOSE_PROFILES"] in OURS["simulator"]["profiles"]
