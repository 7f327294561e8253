"""`liqheat grafana push` against a stub of Grafana's HTTP API, built from its documentation, on loopback."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from liqheat.cli.grafana import DATASOURCE_UID, register
from liqheat.platform.errors import ConfigurationError, FatalError, TransientError


class StubGrafana:
    """Keeps folders, datasources and dashboards by uid as Grafana 13 does: no numeric ids, no secrets read back."""

    def __init__(self) -> None:
        self.version = "13.2.3"
        self.status: int | None = None
        self.write_status: int | None = None
        self.folders: dict[str, Any] = {}
        self.datasources: dict[str, Any] = {}
        self.dashboards: dict[str, Any] = {}
        self.writes: list[tuple[str, str, Any]] = []
        self.tokens: set[str] = set()

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/api/health":
            return 200, {"database": "ok", "version": self.version}
        if self.status is not None:
            return self.status, {"message": "no"}
        if method != "GET" and self.write_status is not None:
            return self.write_status, {"message": "Access denied"}
        if method != "GET":
            self.writes.append((method, path, body))
        parts = path.removeprefix("/api/").split("/")
        uid = parts[-1]
        if method == "GET":
            if parts[:2] == ["dashboards", "uid"] and uid in self.dashboards:
                return 200, {"dashboard": self.dashboards[uid] | {"id": 7, "version": 3}, "meta": {}}
            store = {"folders": self.folders, "datasources": self.datasources}.get(parts[0], {})
            return (200, store[uid]) if uid in store else (404, {"message": "not found"})
        if path == "/api/folders":
            self.folders[body["uid"]] = body
        elif parts[0] == "datasources":
            kept = {key: value for key, value in body.items() if key != "secureJsonData"}
            self.datasources[body["uid"]] = kept | {"id": 1, "readOnly": False}
        elif path == "/api/dashboards/db":
            self.dashboards[body["dashboard"]["uid"]] = body["dashboard"]
        return 200, {"status": "success"}


@pytest.fixture
def grafana() -> Iterator[tuple[StubGrafana, str]]:
    stub = StubGrafana()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            stub.tokens.add(self.headers.get("Authorization", ""))
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            status, answer = stub.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield stub, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def push(grafana: tuple[StubGrafana, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    import typer

    (tmp_path / "one.json").write_text(json.dumps({"uid": "one", "title": "One", "panels": []}))
    (tmp_path / "two.json").write_text(json.dumps({"uid": "two", "title": "Two", "panels": []}))
    monkeypatch.setenv("LIQHEAT_GRAFANA__URL", grafana[1])
    monkeypatch.setenv("LIQHEAT_GRAFANA__TOKEN", "secret-token")
    monkeypatch.setenv("LIQHEAT_GRAFANA__CLICKHOUSE_PASSWORD", "secret-password")
    app = typer.Typer()
    register(app)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["grafana", "push", "--folder", str(tmp_path), *arguments])
        if result.exception:
            raise result.exception
        assert "secret" not in result.output
        return result.output

    return run


def test_a_first_push_creates_folder_datasource_and_dashboards(grafana: tuple[StubGrafana, str], push: Any) -> None:
    output = push()
    stub = grafana[0]
    assert "4 changed" in output
    assert set(stub.dashboards) == {"one", "two"}
    posted = [body for _, path, body in stub.writes if path == "/api/dashboards/db"]
    assert all(body["folderUid"] == "liqheat" and body["dashboard"]["id"] is None for body in posted)
    datasource = next(body for _, path, body in stub.writes if path == "/api/datasources")
    assert datasource["secureJsonData"] == {"password": "secret-password"}
    assert datasource["jsonData"]["defaultDatabase"] == "liqheat"
    assert stub.tokens == {"Bearer secret-token"}


def test_a_second_push_changes_nothing(grafana: tuple[StubGrafana, str], push: Any) -> None:
    push()
    grafana[0].writes.clear()
    assert "unchanged" in push()
    assert grafana[0].writes == []


def test_what_differs_is_updated_by_uid(
    grafana: tuple[StubGrafana, str], push: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    push()
    stub = grafana[0]
    stub.dashboards["one"]["title"] = "Edited by hand"
    stub.writes.clear()
    monkeypatch.setenv("LIQHEAT_GRAFANA__CLICKHOUSE_HOST", "elsewhere")
    assert "2 changed" in push()
    assert [(method, path) for method, path, _ in stub.writes] == [
        ("PUT", f"/api/datasources/uid/{DATASOURCE_UID}"),
        ("POST", "/api/dashboards/db"),
    ]
    assert stub.dashboards["one"]["title"] == "One"


def test_a_dry_run_shows_the_difference_and_changes_nothing(grafana: tuple[StubGrafana, str], push: Any) -> None:
    push()
    grafana[0].dashboards["two"]["title"] = "Edited by hand"
    grafana[0].writes.clear()
    output = push("--dry-run")
    assert '- "title": "Edited by hand"' in output
    assert '+ "title": "Two"' in output
    assert grafana[0].writes == []


@pytest.mark.parametrize(("status", "error"), [(403, ConfigurationError), (401, ConfigurationError), (400, FatalError)])
def test_a_refusal_says_what_to_do(
    grafana: tuple[StubGrafana, str], push: Any, status: int, error: type[Exception]
) -> None:
    grafana[0].status = status
    with pytest.raises(error, match="LIQHEAT_GRAFANA__TOKEN" if error is ConfigurationError else "refuses"):
        push()


def test_a_token_that_may_only_look_is_refused_what_it_may_not(grafana: tuple[StubGrafana, str], push: Any) -> None:
    stub = grafana[0]
    stub.write_status = 403
    assert "Two" in push("--dry-run")
    with pytest.raises(ConfigurationError, match=r"denies POST .*role Editor"):
        push()
    assert (stub.folders, stub.datasources, stub.dashboards) == ({}, {}, {})


def test_a_failing_grafana_is_worth_another_try(grafana: tuple[StubGrafana, str], push: Any) -> None:
    grafana[0].status = 500
    with pytest.raises(TransientError, match="fails"):
        push()


def test_a_grafana_without_a_price_axis_is_refused(grafana: tuple[StubGrafana, str], push: Any) -> None:
    grafana[0].version = "12.3.1"
    with pytest.raises(FatalError, match=r"need Grafana 12\.4"):
        push()


def test_no_grafana_at_all_is_a_sentence(push: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIQHEAT_GRAFANA__URL", "http://127.0.0.1:9")
    with pytest.raises(TransientError, match="Cannot reach Grafana"):
        push()
