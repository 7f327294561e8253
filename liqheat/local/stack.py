"""The pipeline on one machine: which services `liqheat demo` and `live` start, with which settings, in which order.

Broker, worker, sink with page, and one ingest per venue; in the demo a simulated exchange replaces the
real ones. All of it listens on loopback and is configured by environment variables.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from liqheat.domain.market import Venue
from liqheat.local.broker_choice import start_broker
from liqheat.local.data_directory import DATA_SUBFOLDER
from liqheat.local.process_facts import resident_megabytes
from liqheat.local.restarts import RestartPolicy
from liqheat.local.supervisor import HOST, Service, Supervisor, free_port
from liqheat.platform.errors import FatalError
from liqheat.platform.settings import Local

BROKER, SIMULATOR, WORKER, SINK = "broker", "simulate", "process", "serve-local"
LIQHEAT = (sys.executable, "-P", "-m", "liqheat")
"""How a child is started; -P keeps a folder named `liqheat`, where a person happens to be, out of it."""

_REACH_SECONDS = 12.0
"""How long all exchanges may be out of reach at the start."""

Say = Callable[[str], None]
Stopping = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: `seed` None means the real exchanges, a number the simulated ones."""

    venues: tuple[Venue, ...]
    symbols: tuple[str, ...]
    data_directory: Path
    hours: int
    port: int
    seed: int | None
    local: Local = field(default_factory=Local)

    @property
    def ingests(self) -> tuple[str, ...]:
        """The names of the ingest services, one per venue."""
        return tuple(f"ingest-{venue.value}" for venue in self.venues)


class LocalStack:
    """The services of one plan under a supervisor."""

    def __init__(self, plan: Plan, supervisor: Supervisor, say: Say) -> None:
        """`say` is given a line for people at each step."""
        self._plan = plan
        self._supervisor = supervisor
        self._say = say
        self._environment: dict[str, str] = {}
        self._forgets = False
        self._reaching_since = 0.0
        self._has_reached = False

    @property
    def address(self) -> str:
        """The page."""
        return f"http://{HOST}:{self._plan.port}/"

    def start(self, stopping: Stopping) -> bool:
        """Start everything and wait until it is healthy; False if `stopping` came first.

        Raises:
            LiqheatError: a service did not come up; no exchange can be reached.
        """
        plan, supervisor = self._plan, self._supervisor
        self._start_broker()
        self._launch(SINK, "serve-local")
        if plan.seed is not None:
            self._simulate(plan)
        self._launch(WORKER, "process")
        if not supervisor.wait_healthy([SINK], 60, stopping):
            return False
        self._say(f"ClickHouse in {plan.data_directory / DATA_SUBFOLDER}, page on {self.address}")
        if plan.seed is not None:
            if not supervisor.wait_healthy([SIMULATOR], 90, stopping):
                return False
            self._say(f"simulated exchange with {plan.hours} h of history")
        self._start_ingests()
        self._reaching_since = time.monotonic()
        if not supervisor.wait_healthy([WORKER], 60, self._unless_unreachable(stopping)):
            return False
        self._say("worker ready")
        supervisor.keep_running(RestartPolicy(), self._say)
        return True

    def _start_broker(self) -> None:
        plan = self._plan
        broker = start_broker(plan.local, plan.data_directory)
        self._supervisor.adopt(BROKER, broker.process, broker.command)
        self._forgets = not broker.command
        self._say(f"{broker.name} on {broker.bootstrap_servers}")
        self._environment |= environment_of(plan, broker.bootstrap_servers)

    def _start_ingests(self) -> None:
        for venue, name in zip(self._plan.venues, self._plan.ingests, strict=True):
            self._launch(name, "ingest", "--venue", venue.value)

    def _begin_afresh_if_full(self) -> None:
        """Restart an embedded broker empty once it holds as much as it may: it can delete nothing.

        Rows under way arrive first; the engine begins again from the history that each ingest reads.
        """
        pid, limit = self._supervisor.pid(BROKER), self._plan.local.memory_megabytes
        if not self._forgets or pid is None or resident_megabytes(pid) < limit:
            return
        self._say(f"the embedded broker holds {limit:,} MB and is restarted empty (Apache Kafka would keep it on disk)")
        for names in (self._plan.ingests, [WORKER], [SINK], [BROKER]):
            self._supervisor.stop(names)
        self._start_broker()
        self._launch(SINK, "serve-local")
        self._launch(WORKER, "process")
        self._start_ingests()

    def check(self) -> None:
        """Return while every service runs and an exchange can be reached.

        Raises:
            FatalError: a service ended; or every exchange has been out of reach since the start.
        """
        self._supervisor.check()
        if self._has_reached:
            self._begin_afresh_if_full()
            return
        problems = self.problems()
        self._has_reached = len(problems) < len(self._plan.venues)
        # A service that does not answer yet is still starting.
        if (
            not self._has_reached
            and None not in problems.values()
            and time.monotonic() - self._reaching_since > _REACH_SECONDS
        ):
            raise _no_exchange(problems)

    def stop(self) -> None:
        """Stop in the direction of the flow, so that what is under way arrives."""
        for names in (self._plan.ingests, [WORKER], [SINK], [SIMULATOR], [BROKER]):
            self._supervisor.stop(names)

    def symbols_shown(self) -> dict[str, int]:
        """Return the latest minute (ms) of each symbol that the page can show; empty before the first."""
        connection = HTTPConnection(HOST, self._plan.port, timeout=5)
        try:
            connection.request("GET", "/api/markets")
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        except (OSError, HTTPException, ValueError):
            return {}
        finally:
            connection.close()
        return {item["symbol"]: item["latest"] for item in answer.get("symbols", [])}

    def problems(self) -> dict[str, str | None]:
        """Return the ingest services that are not well, each with its reason; None while it does not answer."""
        reports = {name: self._supervisor.health(name) for name in self._plan.ingests}
        return {name: report.problem for name, report in reports.items() if not report.healthy}

    def rows_published(self) -> float:
        """Return the event rows that all feeds have published since they started."""
        return sum(self._supervisor.metric(name, "liqheat_events_published_total") for name in self._plan.ingests)

    def rows_processed(self) -> float:
        """Return the event rows that the worker has applied since it started."""
        return self._supervisor.metric(WORKER, "liqheat_rows_consumed_total")

    def rows_stored(self) -> float:
        """Return the rows that the sink has inserted since it started."""
        return self._supervisor.metric(SINK, "liqheat_rows_inserted_total")

    def _unless_unreachable(self, stopping: Stopping) -> Stopping:
        def answer() -> bool:
            self.check()
            return stopping()

        return answer

    def _simulate(self, plan: Plan) -> None:
        """Start the simulated exchange, and point the services that come after it there."""
        from liqheat.simulator.server import environment_of as addresses_of

        port = free_port()
        command = [*LIQHEAT, "simulate", f"--port={port}", f"--seed={plan.seed}", f"--hours={plan.hours}"]
        command += [f"--symbols={','.join(plan.symbols)}", f"--venues={','.join(plan.venues)}"]
        self._supervisor.launch(Service(SIMULATOR, command, self._environment, port, "/_state"))
        self._environment |= addresses_of(f"http://{HOST}:{port}", plan.venues)

    def _launch(self, name: str, *command: str) -> None:
        port = free_port()
        environment = {**self._environment, "LIQHEAT_SERVICE__PORT": str(port)}
        self._supervisor.launch(Service(name, (*LIQHEAT, *command), environment, port))


def environment_of(plan: Plan, bootstrap_servers: str) -> dict[str, str]:
    """Return the settings that every service of the stack is given."""
    # One worker reads everything, and markets of one partition share messages and close together. Real exchanges' data
    # stay from run to run, with the partitions that they were written with.
    partitions = {} if plan.seed is None else {"LIQHEAT_KAFKA__PARTITIONS": "1"}
    return partitions | {
        "LIQHEAT_VENUES": json.dumps([venue.value for venue in plan.venues]),
        "LIQHEAT_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
        "LIQHEAT_KAFKA__SECURITY_PROTOCOL": "PLAINTEXT",
        "LIQHEAT_KAFKA__TOPIC_PREFIX": "",
        "LIQHEAT_CLICKHOUSE__INTERFACE": "chdb",
        "LIQHEAT_CLICKHOUSE__DATABASE": "liqheat",
        "LIQHEAT_CLICKHOUSE__DATA_DIRECTORY": str(plan.data_directory / DATA_SUBFOLDER),
        # The one sink takes all partitions at once: joining a group takes long on the embedded broker.
        "LIQHEAT_SINK__JOIN_GROUP": "false",
        "LIQHEAT_INGEST__SYMBOLS": json.dumps(list(plan.symbols)),
        "LIQHEAT_INGEST__BACKFILL": f"{plan.hours}h",
        "LIQHEAT_SERVICE__HOST": HOST,
        # Messages are small: in each service, handing work to threads would take longer than doing it.
        "POLARS_MAX_THREADS": "1",
        "LIQHEAT_VIEWER__HOST": HOST,
        "LIQHEAT_VIEWER__PORT": str(plan.port),
    }


def _no_exchange(problems: Mapping[str, str | None]) -> FatalError:
    reasons = "\n".join(f"  {problem}" for problem in problems.values())
    return FatalError(
        f"No exchange can be reached:\n{reasons}\n"
        "Check the network and the addresses (LIQHEAT_BINANCE__REST_URL and the like), or try `liqheat demo`."
    )
