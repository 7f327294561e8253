"""The operator's endpoint of every service: `/livez`, `/readyz`, `/healthz` and `/metrics` on a thread of their own.

A service is made of conditions, each a check with a name. `/livez` fails when only a restart helps, `/readyz` while
something that it needs is away, `/healthz` as soon as anything is wrong; each says what, in words and as JSON. A
thread serves them, so that a blocked event loop is seen as the failure it is.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from liqheat.platform import metrics
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.metrics import REGISTRY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = structlog.get_logger()

Check = Callable[[], str | None]
"""Returns None while all is well, else one sentence that says what is not. Cheap, and callable from any thread."""

_LOOK_SECONDS = 0.5
"""How often the states are compared with those before, to log changes."""


class Level(IntEnum):
    """How much a condition means; each path answers for its own level and those above it."""

    WELL = 1
    """Somebody should look: `/healthz`."""
    READY = 2
    """Something that the service needs is away; it goes on by itself: `/readyz`, `/healthz`."""
    LIVE = 3
    """Only a restart helps: `/livez`, `/readyz`, `/healthz`."""


_PATHS = {"/livez": Level.LIVE, "/readyz": Level.READY, "/healthz": Level.WELL}


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that has to be so: its name (broker, clock, ...), its check, and what its failure means."""

    name: str
    check: Check
    level: Level = Level.WELL


class Conditions:
    """What a service says of itself; each change of state is logged once, with how often it has happened."""

    def __init__(self, service: str, conditions: Iterable[Condition]) -> None:
        self.service = service
        self._conditions = tuple(conditions)
        self._failing_since: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def problems(self, level: Level = Level.WELL) -> dict[str, str]:
        """Return the sentence of each condition of at least `level` that does not hold, the gravest first."""
        ordered = sorted(self._conditions, key=lambda condition: -condition.level)
        answers = {condition.name: condition.check() for condition in ordered if condition.level >= level}
        return {name: sentence for name, sentence in answers.items() if sentence is not None}

    def note_changes(self, now: float) -> None:
        """Log what has changed since the last call; `now` in monotonic seconds."""
        problems = self.problems()
        for condition in self._conditions:
            name, sentence = condition.name, problems.get(condition.name)
            metrics.CONDITION_FAILING.labels(name).set(0 if sentence is None else 1)
            since = self._failing_since.get(name)
            if sentence is not None and since is None:
                self._failing_since[name] = now
                self._failures[name] = self._failures.get(name, 0) + 1
                log.warning("not well", service=self.service, condition=name, problem=sentence)
            elif sentence is None and since is not None:
                del self._failing_since[name]
                seconds, times = round(now - since, 1), self._failures[name]
                log.info("well again", service=self.service, condition=name, seconds=seconds, times=times)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    timeout = 10
    """Seconds after which a client that says nothing is let go."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Probes come every few seconds; they are no news."""


class HealthServer:
    """Serves one service's health and metrics; a context manager that frees its port at the end."""

    def __init__(self, service: str, check: "Check | Conditions", host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind at once, so that a taken port is an error at start.

        `check` may be the service's only condition.

        Raises:
            ConfigurationError: the address cannot be bound.
        """
        self._conditions = (
            check if isinstance(check, Conditions) else Conditions(service, [Condition("service", check, Level.READY)])
        )
        try:
            self._server = _Server((host, port), _QuietHandler)
        except OSError as error:
            raise ConfigurationError(
                f"Cannot listen for health checks on {host}:{port} ({error.strerror}); "
                "set LIQHEAT_SERVICE__PORT to a free port, or 0"
            ) from error
        self._server.set_app(self._answer)
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, name="health", daemon=True),
            threading.Thread(target=self._look, name="health changes", daemon=True),
        ]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    def __enter__(self) -> "HealthServer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self._conditions.note_changes(time.monotonic())

    def _answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
            return [generate_latest(REGISTRY)]
        if path not in _PATHS:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/livez, /readyz, /healthz or /metrics\n"]
        problems = self._conditions.problems(_PATHS[path])
        start_response("503 Service Unavailable" if problems else "200 OK", [("Content-Type", "application/json")])
        answer = {
            "service": self._conditions.service,
            "healthy": not problems,
            "problem": "; ".join(problems.values()) or None,
            "problems": problems,
        }
        return [json.dumps(answer).encode()]
