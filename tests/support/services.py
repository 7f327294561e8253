"""Every service as a real process on a real broker, its health asked from outside: for tests of outages."""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liqheat.domain.market import Venue
from liqheat.local.child import ChildProcess
from liqheat.local.supervisor import free_port
from liqheat.platform.settings import Kafka
from liqheat.simulator.server import environment_of

PYTHON = (sys.executable, "-P", "-m", "liqheat")
_FEED = (
    '<rss version="2.0"><channel><title>News</title><item><title>TAO is up</title><guid>1</guid></item></channel></rss>'
)


@dataclass(frozen=True)
class RunningService:
    """A started service and the port of its health."""

    process: ChildProcess
    port: int

    def ask(self, path: str = "/healthz") -> tuple[int, dict[str, Any]]:
        """Return status and body; status 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=3) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except (OSError, ValueError):
            return 0, {"problem": None, "problems": {}}

    @property
    def is_well(self) -> bool:
        return self.ask()[0] == 200

    def log_lines(self) -> int:
        return len(self.process.log.read_text(errors="replace").splitlines())

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kafka_environment(kafka: Kafka) -> dict[str, str]:
    """Return the settings that point a service at `kafka`, and those that make it quick."""
    return {
        "LIQHEAT_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "LIQHEAT_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
        "LIQHEAT_KAFKA__PARTITIONS": str(kafka.partitions),
        "LIQHEAT_KAFKA__SESSION_SECONDS": "4",
        "LIQHEAT_SERVICE__LOG_STYLE": "console",
        "POLARS_MAX_THREADS": "1",
    }


def commands_of(directory: Path, kafka: Kafka, simulator: str) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return every service's command and its own settings; `simulator` is the exchange's address."""
    feed = directory / "feed.xml"
    feed.write_text(_FEED)
    common = kafka_environment(kafka)
    return {
        "sink": (
            ["sink", "--migrate"],
            common
            | {
                "LIQHEAT_CLICKHOUSE__INTERFACE": "chdb",
                "LIQHEAT_CLICKHOUSE__DATA_DIRECTORY": str(directory / "clickhouse"),
            },
        ),
        "worker": (["process"], common),
        "ingest": (
            ["ingest", "--venue", "binance", "--symbols", "AIXBT"],
            common | environment_of(simulator, (Venue.BINANCE,)),
        ),
        "webhook": (["alerts-webhook"], common | {"LIQHEAT_WEBHOOK__URL": "http://127.0.0.1:9"}),
        "catalysts": (
            ["catalyst", "watch"],
            common | {"LIQHEAT_CATALYSTS__FEEDS": json.dumps([str(feed)]), "LIQHEAT_CATALYSTS__INTERVAL": "1"},
        ),
    }


def start(name: str, command: list[str], environment: Mapping[str, str], directory: Path) -> RunningService:
    """Start a service with a health port of its own."""
    port = free_port()
    full = {**environment, "LIQHEAT_SERVICE__PORT": str(port)}
    return RunningService(ChildProcess(name, [*PYTHON, *command], directory / f"{name}.log", full), port)


@contextmanager
def simulator(directory: Path) -> Iterator[str]:
    """Run a small simulated Binance; give its address."""
    port = free_port()
    command = [*PYTHON, "simulate", f"--port={port}", "--hours=0.1", "--traders=50", "--symbols=AIXBT"]
    command += ["--venues=binance", "--seed=1"]
    with ChildProcess("simulate", command, directory / "simulate.log") as process:
        deadline = time.monotonic() + 45
        while "Simulated exchange on" not in process.log.read_text():
            assert process.exit_status is None, process.last_words()
            assert time.monotonic() < deadline, process.last_words()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def all_services(kafka: Kafka, directory: Path) -> Iterator[dict[str, RunningService]]:
    """Run every service over a simulated exchange until all are well."""
    with ExitStack() as stack:
        address = stack.enter_context(simulator(directory))
        running = {}
        for name, (command, environment) in commands_of(directory, kafka, address).items():
            running[name] = start(name, command, environment, directory)
            stack.callback(running[name].process.stop, 1.0)
        wait_until_well(running, 60)
        yield running


def wait_until_well(services: Mapping[str, RunningService], timeout: float) -> dict[str, float]:
    """Return the seconds until each was well."""
    began = time.monotonic()
    well: dict[str, float] = {}
    while len(well) < len(services):
        for name, service in services.items():
            if name not in well and service.is_well:
                well[name] = time.monotonic() - began
        for name, service in services.items():
            assert service.process.exit_status is None, f"{name}: {service.process.last_words(40)}"
            assert time.monotonic() - began < timeout, f"{name}: {service.ask()} {service.process.last_words(20)}"
        time.sleep(0.2)
    return well
