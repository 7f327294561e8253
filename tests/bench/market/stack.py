"""Everything that one run of the market bench starts: Kafka, generator, and the services by their real commands.

Settings go by environment, as in production; all listens on loopback.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from liqheat.local.broker import Broker, start_apache_kafka
from liqheat.local.child import ChildProcess
from liqheat.local.supervisor import free_port
from liqheat.platform.errors import FatalError
from tests.bench.market.activity import LISTED
from tests.bench.market.server import HOST, environment_of

KAFKA, GENERATOR, WORKER, SINK = "Kafka", "generator", "worker", "sink with ClickHouse"
CLICKHOUSE = "ClickHouse"
"""A process of its own where there are several sinks: embedded ClickHouse is one engine per process."""
INGESTS = {f"ingest {venue.value}": venue for venue in LISTED}
"""An ingest for each venue that the generator plays."""

PUBLISHED = "liqheat_events_published_total"
CONSUMED = "liqheat_rows_consumed_total"
INSERTED = "liqheat_rows_inserted_total"
"""Counters that the services serve: rows by `kind`, and by `table`."""

_LIQHEAT = (sys.executable, "-m", "liqheat")
_ROOT = Path(__file__).parents[3]
KAFKA_JARS = _ROOT / ".cache" / "kafka" / "lib"
_READY_SECONDS = 180.0
_STOP_SECONDS = 30.0
# A worker that is busy catching up answers between its rounds.
_ANSWER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """How large a run is: markets over the four venues, the tape's seed, and over how many processes it is spread."""

    markets: int
    seed: int = 1
    workers: int = 1
    sinks: int = 1

    @property
    def worker_names(self) -> tuple[str, ...]:
        """The workers."""
        return _numbered(WORKER, self.workers)

    @property
    def sink_names(self) -> tuple[str, ...]:
        """The sinks; one alone has ClickHouse inside it."""
        return (SINK,) if self.sinks == 1 else _numbered("sink", self.sinks)

    @property
    def storing(self) -> tuple[str, ...]:
        """All that stores rows: sinks and ClickHouse."""
        return self.sink_names if self.sinks == 1 else (*self.sink_names, CLICKHOUSE)

    @property
    def counted(self) -> tuple[str, ...]:
        """The services that the issue's budget is for; generator and Kafka are printed beside them."""
        return (*INGESTS, *self.worker_names, *self.storing)


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return (name,) if count == 1 else tuple(f"{name} {number}" for number in range(1, count + 1))


class Stack:
    """The processes of one run; a context manager that stops them against the flow's direction."""

    def __init__(self, load: Load, directory: Path, settings: Mapping[str, str], say: Callable[[str], None]) -> None:
        """Keep data and logs in `directory`; `settings` are further environment variables of all services."""
        self._load = load
        self._directory = directory
        self._settings = settings
        self._say = say
        self._ports: dict[str, int] = {}
        self._processes: dict[str, ChildProcess] = {}
        self._broker: Broker | None = None
        self.page = free_port()

    @property
    def data_directory(self) -> Path:
        """Where ClickHouse keeps its data."""
        return self._directory / "clickhouse"

    @property
    def pids(self) -> Mapping[str, int]:
        """The processes by name."""
        return {name: process.pid for name, process in self._processes.items()}

    def __enter__(self) -> "Stack":
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop([*INGESTS])
        self.stop(self._load.worker_names)
        self.stop_storing()
        self.stop([GENERATOR])
        if self._broker is not None:
            self._broker.stop()

    def stop(self, names: Sequence[str]) -> None:
        """Ask these to end, together, and wait; those that do not run are passed over."""
        processes = [self._processes.pop(name) for name in names if name in self._processes]
        if processes:
            with ThreadPoolExecutor(len(processes)) as together:
                list(together.map(lambda process: process.stop(_STOP_SECONDS), processes))

    def stop_storing(self) -> None:
        """End the sinks, then what they write to."""
        self.stop(self._load.sink_names)
        self.stop([CLICKHOUSE])

    def check(self) -> None:
        """Return while all run.

        Raises:
            FatalError: one has ended; with its last lines.
        """
        for name, process in self._processes.items():
            if process.exit_status is not None:
                raise FatalError(f"{name} ended with status {process.exit_status}:\n{process.last_words(30)}")

    def _start(self) -> None:
        self._broker = start_apache_kafka(KAFKA_JARS, self._directory / "kafka")
        self._processes[KAFKA] = self._broker.process
        port = free_port()
        command = [sys.executable, "-m", "tests.bench.market.generator", f"--markets={self._load.markets}"]
        command += [f"--port={port}", f"--seed={self._load.seed}"]
        self._launch(GENERATOR, command, {"PYTHONPATH": str(_ROOT)}, port)
        self._wait([GENERATOR], "/_state")
        environment = self._environment(self._broker.bootstrap_servers) | environment_of(f"http://{HOST}:{port}")
        self._run_once([*_LIQHEAT, "topics", "create"], environment)
        if self._load.sinks == 1:
            self._launch(SINK, [*_LIQHEAT, "serve-local"], environment)
            self._wait([SINK])
        else:
            self._start_sinks(environment)
        self._start_workers(environment)
        for name, venue in INGESTS.items():
            self._launch(name, [*_LIQHEAT, "ingest", "--venue", venue.value], environment)
        self._wait([*INGESTS])

    def _start_workers(self, environment: Mapping[str, str]) -> None:
        for name in self._load.worker_names:
            self._launch(name, [*_LIQHEAT, "process"], environment)
        self._wait(self._load.worker_names)

    def _start_sinks(self, environment: Mapping[str, str]) -> None:
        """Start the sinks as one group, on a ClickHouse of its own process; no page reads that one."""
        port = free_port()
        engine = [sys.executable, "-m", "tests.chaos.clickhouse_process", str(self.data_directory), str(port)]
        self._launch(CLICKHOUSE, engine, {"PYTHONPATH": str(_ROOT)}, port)
        self._wait([CLICKHOUSE], "/ping")
        server = {"LIQHEAT_CLICKHOUSE__INTERFACE": "http", "LIQHEAT_CLICKHOUSE__PORT": str(port)}
        for name in self._load.sink_names:
            self._launch(name, [*_LIQHEAT, "sink", "--migrate"], {**environment, **server})
            self._wait([name])

    def _environment(self, bootstrap_servers: str) -> dict[str, str]:
        return {
            "LIQHEAT_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
            "LIQHEAT_CLICKHOUSE__INTERFACE": "chdb",
            "LIQHEAT_CLICKHOUSE__DATA_DIRECTORY": str(self.data_directory),
            "LIQHEAT_INGEST__SYMBOLS": json.dumps(["all"]),
            "LIQHEAT_INGEST__CONNECTIONS": "4",
            # The generator has no order books; what they cost is measured by tests/bench/test_bench_mappers_venues.py.
            "LIQHEAT_INGEST__DEPTH": "false",
            "LIQHEAT_SERVICE__HOST": HOST,
            "LIQHEAT_SERVICE__LOG_LEVEL": "warning",
            "LIQHEAT_VIEWER__HOST": HOST,
            "LIQHEAT_VIEWER__PORT": str(self.page),
            # As `liqheat demo` sets it: messages are small, and threads would cost more than they save.
            "POLARS_MAX_THREADS": "1",
            **self._settings,
        }

    def _launch(self, name: str, command: Sequence[str], environment: Mapping[str, str], port: int = 0) -> None:
        self._ports[name] = port = port or free_port()
        environment = {**environment, "LIQHEAT_SERVICE__PORT": str(port)}
        log = self._directory / "logs" / f"{name}.log"
        self._processes[name] = ChildProcess(name, command, log, environment)

    def _run_once(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        with ChildProcess("topics", command, self._directory / "logs" / "topics.log", environment) as process:
            if process.wait(_READY_SECONDS):
                raise FatalError(f"Topics were not created:\n{process.last_words()}")

    def _wait(self, names: Sequence[str], path: str = "/healthz") -> None:
        deadline = time.monotonic() + _READY_SECONDS
        for name in names:
            while not self._is_well(self._ports[name], path):
                self.check()
                if time.monotonic() > deadline:
                    raise FatalError(f"{name} is not ready after {_READY_SECONDS:g} s; logs in {self._directory}")
                time.sleep(0.2)
        self._say(f"ready: {', '.join(names)}")

    def _is_well(self, port: int, path: str) -> bool:
        connection = HTTPConnection(HOST, port, timeout=5.0)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def load_state(self) -> dict[str, Any]:
        """Return what the generator says of itself."""
        state: dict[str, Any] = json.loads(self._get(self._ports[GENERATOR], "/_state"))
        return state

    def begin_storm(self, seconds: float) -> None:
        """Have a storm begin now."""
        self._get(self._ports[GENERATOR], f"/_storm?seconds={seconds:g}", "POST")

    def counts(self, names: Sequence[str], metric: str, label: str) -> dict[str, float]:
        """Return the services' counter, added up, by one of its labels; empty while they have none."""
        found: dict[str, float] = {}
        for name in names:
            for family in text_string_to_metric_families(self._get(self._ports[name], "/metrics")):
                for sample in family.samples:
                    if sample.name == metric:
                        key = sample.labels.get(label, "")
                        found[key] = found.get(key, 0.0) + sample.value
        return found

    def _get(self, port: int, path: str, method: str = "GET") -> str:
        """Ask a service.

        Raises:
            FatalError: it does not answer, or a process has ended; with the last lines of that one.
        """
        connection = HTTPConnection(HOST, port, timeout=_ANSWER_SECONDS)
        try:
            connection.request(method, path)
            return connection.getresponse().read().decode()
        except (OSError, HTTPException) as error:
            # A service that fails closes its port before it ends.
            deadline = time.monotonic() + _STOP_SECONDS
            while time.monotonic() < deadline:
                self.check()
                time.sleep(0.2)
            raise FatalError(f"{path} on port {port} does not answer: {error}") from error
        finally:
            connection.close()
