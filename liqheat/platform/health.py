"""The operator's endpoint of every service: `/healthz` and `/metrics` on a thread of their own.

`/healthz` answers 200 while the service's own check passes and 503 with the reason when it does not; a
thread serves it, so that a blocked event loop is seen as the failure it is.
"""

import json
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from liqheat.platform.errors import ConfigurationError
from liqheat.platform.metrics import REGISTRY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Check = Callable[[], str | None]
"""Returns None while all is well, else one sentence that says what is not."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Probes come every few seconds; they are no news."""


class HealthServer:
    """Serves one service's health and metrics; a context manager that frees its port at the end."""

    def __init__(self, service: str, check: Check, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind at once, so that a taken port is an error at start.

        Raises:
            ConfigurationError: the address cannot be bound.
        """
        self._service = service
        self._check = check
        try:
            self._server = _Server((host, port), _QuietHandler)
        except OSError as error:
            raise ConfigurationError(
                f"Cannot listen for health checks on {host}:{port} ({error.strerror}); "
                "set LIQHEAT_SERVICE__PORT to a free port, or 0"
            ) from error
        self._server.set_app(self._answer)
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    def __enter__(self) -> "HealthServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
            return [generate_latest(REGISTRY)]
        if path != "/healthz":
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/healthz or /metrics\n"]
        problem = self._check()
        start_response("503 Service Unavailable" if problem else "200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"service": self._service, "healthy": problem is None, "problem": problem}).encode()]
