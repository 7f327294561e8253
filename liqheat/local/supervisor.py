"""Starts services as child processes, waits for their health, watches them and stops them in order.

`liqheat demo` and `live` use it. It knows no particular service: all it gets is a command, an environment and the
port of its `/healthz` and `/metrics`. No child outlives it, not even after `kill -9`.
"""

import json
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from liqheat.local.child import ChildProcess
from liqheat.local.restarts import RestartPolicy, Restarts
from liqheat.platform.errors import ConfigurationError, FatalError

HOST = "127.0.0.1"
_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 2.0
_DEAF_TIMES = 3


@dataclass(frozen=True, slots=True)
class Service:
    """What to start: its name, command, environment beside the parent's, and where it answers for its health."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    health_path: str = "/healthz"


@dataclass(frozen=True, slots=True)
class Health:
    """What a service says of itself; `problem` is its sentence, None while it is well or says nothing yet."""

    healthy: bool
    problem: str | None = None


def free_port() -> int:
    """Return a port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def require_free_port(port: int, advice: str) -> None:
    """Do nothing if `port` can be listened on.

    Raises:
        ConfigurationError: it is taken; with `advice`.
    """
    with socket.socket() as probe:
        # As servers do, so that a port whose last connections are still fading counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigurationError(f"Port {port} is in use ({error.strerror}); {advice}") from error


def _silently(line: str) -> None:
    """Say nothing: without `keep_running` there is nothing to say."""


class Supervisor:
    """The running services; a context manager that stops what still runs, last started first.

    Use it from one thread that stays: the kernel ties the children to it.
    """

    def __init__(self, logs: Path, grace: float = 10.0) -> None:
        """Write each child's output to `logs`; give each `grace` seconds to end when asked."""
        self._logs = logs
        self._grace = grace
        self._policy: RestartPolicy | None = None
        self._say: Callable[[str], None] = _silently
        self._restarts: dict[str, Restarts] = {}
        self._deaf: dict[str, int] = {}
        self._services: dict[str, Service] = {}
        self._processes: dict[str, ChildProcess] = {}

    def launch(self, service: Service) -> None:
        """Start a service without waiting for it.

        Raises:
            FatalError: the program cannot be started.
        """
        log = self._logs / f"{service.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        self._services[service.name] = service
        self._processes[service.name] = ChildProcess(service.name, service.command, log, service.environment)

    def adopt(self, name: str, process: ChildProcess, command: Sequence[str] = ()) -> None:
        """Watch and stop a process that was started elsewhere in this thread; with `command` it is restarted too."""
        self._services[name] = Service(name, command)
        self._processes[name] = process

    def keep_running(self, policy: RestartPolicy, say: Callable[[str], None]) -> None:
        """From now on start again what ends or hangs, and say so to `say`; before, an end is an error."""
        self._policy = policy
        self._say = say

    def check(self) -> None:
        """Return while every service runs, or is started again.

        Raises:
            FatalError: one has ended and is not started again; with its name, status and last lines.
        """
        for name, process in list(self._processes.items()):
            if process.exit_status is None and self._policy is not None and self._hangs(name):
                self._say(f"{name} hangs and is ended")
                process.kill()
            if process.exit_status is not None:
                self._revive(name, process, process.exit_status)

    def processes(self) -> Mapping[str, ChildProcess]:
        """Return the children by name."""
        return dict(self._processes)

    def pid(self, name: str) -> int | None:
        """Return the process id of a service, None while it does not run."""
        process = self._processes.get(name)
        return None if process is None or process.exit_status is not None else process.pid

    def _revive(self, name: str, process: ChildProcess, status: int) -> None:
        """Start a service again once its time has come.

        Raises:
            FatalError: it is not to be started again.
        """
        service, now = self._services[name], time.monotonic()
        words = f"{name} ended with status {status}; the end of its log {process.log}:\n{process.last_words()}"
        if self._policy is None or not service.command:
            raise FatalError(words)
        restarts = self._restarts.setdefault(name, Restarts(self._policy))
        if restarts.due is None:
            wait = restarts.ended(status, now)
            if wait is None:
                raise FatalError(f"{words}\nIt was started again {restarts.count} times before")
            self._say(f"{name} ended with status {status}; it is started again in {wait:g} s")
        elif now >= restarts.due:
            restarts.started()
            self._deaf.pop(name, None)
            self._processes[name] = ChildProcess(name, service.command, process.log, service.environment)
            self._say(f"{name} was started again (restart {restarts.count})")

    def _hangs(self, name: str) -> bool:
        """Whether a service has said several times in a row that only a restart helps."""
        if not self._services[name].port:
            return False
        answer = self._get(name, "/livez")
        self._deaf[name] = self._deaf.get(name, 0) + 1 if answer is not None and answer[0] == 503 else 0
        return self._deaf[name] >= _DEAF_TIMES

    def health(self, name: str) -> Health:
        """Ask a service how it is; one that does not answer yet is not healthy and has no problem."""
        answer = self._get(name, self._services[name].health_path)
        if answer is None:
            return Health(healthy=False)
        status, body = answer
        try:
            problem = json.loads(body)["problem"]
        except (ValueError, KeyError, TypeError):
            problem = None
        return Health(status == 200, problem)

    def wait_healthy(self, names: Iterable[str], timeout: float, stopping: Callable[[], bool]) -> bool:
        """Return True once all of `names` are healthy, False as soon as `stopping` says so.

        Raises:
            FatalError: one ended, or is not healthy within `timeout` seconds; with the reason it gives.
        """
        waiting = list(names)
        deadline = time.monotonic() + timeout
        while True:
            self.check()
            reports = {name: self.health(name) for name in waiting}
            waiting = [name for name, report in reports.items() if not report.healthy]
            if not waiting:
                return True
            if stopping():
                return False
            if time.monotonic() > deadline:
                reasons = "; ".join(f"{name}: {reports[name].problem or 'no answer'}" for name in waiting)
                raise FatalError(f"Not ready after {timeout:g} s: {reasons} (logs in {self._logs})")
            time.sleep(_POLL_SECONDS)

    def metric(self, name: str, metric: str) -> float:
        """Return the sum of a counter or gauge over its labels; 0 while the service does not answer."""
        answer = self._get(name, "/metrics")
        if answer is None:
            return 0.0
        return sum(
            sample.value
            for family in text_string_to_metric_families(answer[1])
            for sample in family.samples
            if sample.name == metric
        )

    def stop(self, names: Iterable[str]) -> None:
        """Stop these together and wait for them; those that are not running are passed over."""
        processes = [self._processes.pop(name) for name in list(names) if name in self._processes]
        if processes:
            with ThreadPoolExecutor(len(processes)) as together:
                list(together.map(lambda process: process.stop(self._grace), processes))

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self._processes)):
            self.stop([name])

    def _get(self, name: str, path: str) -> tuple[int, str] | None:
        connection = HTTPConnection(HOST, self._services[name].port, timeout=_ANSWER_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()
