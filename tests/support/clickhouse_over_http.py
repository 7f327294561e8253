"""A ClickHouse server's HTTP interface in front of the embedded engine: what the client sends is really run.

It knows as much of the protocol as clickhouse-connect uses: the query in the address or the body, data of an insert in
the body, `param_...` values, settings as parameters, errors with their code in a header. No users. A write that
the disk refuses is an error as on a server, which the embedded engine does not see to by itself.
"""

import json
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import chdb

from liqheat.platform.embedded_clickhouse import ENGINE_OPTIONS, FailedWrites
from liqheat.platform.errors import TransientError

_TRANSPORT = {"query", "database", "query_id", "session_id", "default_format", "client_protocol_version", "compress"}
_OURS = {
    "wait_end_of_query",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
    "enable_http_compression",
}
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*$", re.IGNORECASE)


def _parted(query: str, body: bytes) -> tuple[str, bytes]:
    """Return query and data; an insert may carry both in its body, separated by the line end after its FORMAT."""
    if query:
        return query, body
    insert = re.match(rb"\s*INSERT\b.*?\bFORMAT\s+\w+\n", body, re.IGNORECASE | re.DOTALL)
    if insert is None:
        return body.decode(), b""
    return insert[0].decode().rstrip(), body[insert.end() :]


class HttpClickHouse:
    """The server: where it listens, the settings that inserts came with, and an error to answer instead."""

    def __init__(self, directory: Path, log: Path | None = None) -> None:
        options = dict(ENGINE_OPTIONS)
        if log is not None:
            options |= {"log-level": "error", "logger.log": str(log)}
        self.connection: Any = chdb.connect(f"{directory.resolve()}?{urlencode(options)}")  # type: ignore[no-untyped-call]
        self.lock = threading.Lock()
        self.port = 0
        self.insert_settings: list[dict[str, str]] = []
        self.error: tuple[int, str] | None = None
        self._failed_writes = FailedWrites(self._ask)

    def run(self, parameters: dict[str, str], body: bytes) -> bytes:
        """Run one request; raises RuntimeError with ClickHouse's own words, TransientError where the disk is full."""
        query, data = _parted(parameters.get("query", ""), body)
        settings = {
            name: value
            for name, value in parameters.items()
            if name not in _TRANSPORT | _OURS and not name.startswith("param_")
        }
        values = {name.removeprefix("param_"): value for name, value in parameters.items() if name.startswith("param_")}
        with self.lock, tempfile.NamedTemporaryFile() as file, self._failed_writes.noticed():
            if parameters.get("database"):
                self.connection.query(f"USE {parameters['database']}")
            if query.lstrip().upper().startswith("INSERT") and data:
                self.insert_settings.append(settings)
                file.write(data)
                file.flush()
                query = _FORMAT.sub(rf"FROM INFILE '{file.name}' FORMAT \1", query)
            for name, value in settings.items():
                self.connection.query(f"SET {name} = '{value}'")
            shown = _FORMAT.search(query)
            output = shown[1] if shown else parameters.get("default_format", "TabSeparated")
            result: bytes = self.connection.query(query, output, params=values).bytes()
            return result

    def _ask(self, statement: str) -> list[list[Any]]:
        answer = self.connection.query(statement, "JSONCompact").bytes()
        rows: list[list[Any]] = json.loads(answer)["data"] if answer else []
        return rows


@contextmanager
def clickhouse_over_http(directory: Path, port: int = 0, log: Path | None = None) -> Iterator[HttpClickHouse]:
    """Serve the engine of `directory` on loopback, on a free port by default; its errors go to `log`."""
    house = HttpClickHouse(directory, log)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            body = self._body()
            if urlsplit(self.path).path == "/ping":
                self._answer(200, b"Ok.\n", 0)
                return
            if house.error is not None:
                self._answer(500, f"Code: {house.error[0]}. DB::Exception: {house.error[1]}".encode(), house.error[0])
                return
            try:
                self._answer(200, house.run(parameters, body), 0)
            except TransientError as error:
                self._answer(500, f"Code: 75. DB::Exception: {error}".encode(), 75)
            except RuntimeError as error:
                code = re.search(r"Code: (\d+)", str(error))
                self._answer(500, str(error).encode(), int(code[1]) if code else 1)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def _answer(self, status: int, body: bytes, code: int) -> None:
            self.send_response(status)
            if code:
                self.send_header("X-ClickHouse-Exception-Code", str(code))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    house.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield house
    finally:
        server.shutdown()
        server.server_close()
        house.connection.close()
