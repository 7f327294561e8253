"""The pipeline under test: broker, exchange, ClickHouse, four ingests, two workers and two sinks under the supervisor.

The supervisor is the one of `liqheat demo`; it restarts what is killed. Nothing else lends a hand.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from liqheat.domain.market import Venue
from liqheat.local.broker import start_apache_kafka
from liqheat.local.restarts import RestartPolicy
from liqheat.local.stack import LIQHEAT
from liqheat.local.supervisor import Service, Supervisor, free_port
from liqheat.platform.kafka import create_topics
from liqheat.platform.settings import Kafka
from liqheat.simulator.server import environment_of
from tests.support import brokers
from tests.support.services import RunningService, kafka_environment

VENUES = (Venue.BINANCE, Venue.BYBIT, Venue.OKX, Venue.HYPERLIQUID)
SYMBOLS = ("AIXBT", "WLD")
KAFKA, CLICKHOUSE, EXCHANGE = "kafka", "clickhouse", "exchange"
INGESTS = tuple(f"ingest-{venue.value}" for venue in VENUES)
WORKERS = ("worker-1", "worker-2")
SINKS = ("sink-1", "sink-2")
SERVICES = (*INGESTS, *WORKERS, *SINKS)
"""Those of liqheat, which answer for their health."""

CLOCKED = (*INGESTS, *WORKERS)
"""Those whose clock is set; the sinks' is left alone."""

_FAKETIME = next(
    (str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")),
    None,
)


class Pipeline:
    """Everything that runs, and what a fault may do to it."""

    def __init__(self, directory: Path, supervisor: Supervisor, kafka: Kafka) -> None:
        self.directory = directory
        self.supervisor = supervisor
        self.kafka = kafka
        self.clickhouse_directory = directory / "disk" / "clickhouse"
        self.clickhouse_port = free_port()
        self._ports = {name: free_port() for name in (*SERVICES, EXCHANGE)}
        self.said: list[str] = []

    @property
    def has_faketime(self) -> bool:
        """Whether clocks can be set: Debian's package `faketime` is there."""
        return _FAKETIME is not None

    def start(self) -> None:
        """Start all of it and wait until it is well."""
        create_topics(self.kafka)
        self.clickhouse_directory.mkdir(parents=True, exist_ok=True)
        # A module of the tests: the project's own folder has to be on the path, which -P leaves out.
        root = {"PYTHONPATH": str(brokers.ROOT)}
        command = [sys.executable, "-m", "tests.chaos.clickhouse_process"]
        command += [str(self.clickhouse_directory), str(self.clickhouse_port)]
        # The engine's own errors, of all its starts.
        command.append(str(self.directory / "logs" / "clickhouse-engine.log"))
        self.supervisor.launch(Service(CLICKHOUSE, command, root))
        port = self._ports[EXCHANGE]
        exchange = [*LIQHEAT, "simulate", f"--port={port}", "--hours=0.1", "--traders=60", "--seed=5"]
        exchange += [f"--symbols={','.join(SYMBOLS)}", f"--venues={','.join(VENUES)}"]
        self.supervisor.launch(Service(EXCHANGE, exchange, {}, port, "/_state"))
        self.supervisor.wait_healthy([EXCHANGE], 120, lambda: False)
        addresses = environment_of(f"http://127.0.0.1:{port}", VENUES)
        for venue, name in zip(VENUES, INGESTS, strict=True):
            options = ["--venue", venue.value, "--symbols", ",".join(SYMBOLS), "--backfill", "6m"]
            self._launch(name, ["ingest", *options], addresses | {"LIQHEAT_INGEST__SILENCE_LIMIT": "10"})
        engine = {"LIQHEAT_ENGINE__CHECKPOINT_SECONDS": "0.5"}
        for name in WORKERS:
            self._launch(name, ["process"], engine)
        for name in SINKS:
            self._launch(name, ["sink", "--migrate"], self.database())
            # One after the other: two that migrate an empty database at once get into each other's way.
            self.supervisor.wait_healthy([name], 120, lambda: False)
        self.supervisor.wait_healthy(SERVICES, 120, lambda: False)
        self.supervisor.keep_running(RestartPolicy(limit=10_000, longest=2.0), self.said.append)

    def database(self) -> dict[str, str]:
        """Return the settings of the sinks."""
        settings = {
            "LIQHEAT_CLICKHOUSE__INTERFACE": "http",
            "LIQHEAT_CLICKHOUSE__PORT": str(self.clickhouse_port),
        }
        return settings | SINK_SETTINGS

    def _launch(self, name: str, command: list[str], more: Mapping[str, str]) -> None:
        port = self._ports[name]
        environment = {**kafka_environment(self.kafka), **more, "LIQHEAT_SERVICE__PORT": str(port)}
        program: Sequence[str] = LIQHEAT
        if _FAKETIME is not None and name in CLOCKED:
            self.set_clock(name, 0)
            program = (sys.executable, "-m", "tests.chaos.under_faketime")
            environment |= {
                "PYTHONPATH": str(brokers.ROOT),
                "LD_PRELOAD": _FAKETIME,
                "FAKETIME_TIMESTAMP_FILE": str(self._clock_file(name)),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1",
            }
        self.supervisor.launch(Service(name, [*program, *command], environment, port))

    def set_clock(self, name: str, seconds: int) -> None:
        """Have the wall clock of a service run so far ahead."""
        file = self._clock_file(name)
        partial = file.with_suffix(".part")
        partial.write_text(f"{seconds:+d}\n")
        partial.rename(file)

    def _clock_file(self, name: str) -> Path:
        return self.directory / f"{name}.faketime"

    def ask(self) -> dict[str, tuple[int, dict[str, str]]]:
        """Return status and problems of each service; status 0 where nobody answers."""
        self.supervisor.check()

        def one(name: str) -> tuple[int, dict[str, str]]:
            status, answer = RunningService(None, self._ports[name]).ask()  # type: ignore[arg-type]  # asked, not stopped
            return status, answer["problems"]

        with ThreadPoolExecutor(len(SERVICES)) as together:
            return dict(zip(SERVICES, together.map(one, SERVICES), strict=True))

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a process; nothing where it does not run just now."""
        pid = self.supervisor.pid(name)
        if pid is not None:
            os.kill(pid, number)

    def fill_disk(self) -> None:
        """Leave no room where ClickHouse writes."""
        with (self.clickhouse_directory.parent / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(1 << 20))
            except OSError:
                return

    def free_disk(self) -> None:
        """Give the room back."""
        (self.clickhouse_directory.parent / "filler").unlink(missing_ok=True)

    def wait_well(self, timeout: float) -> float:
        """Return the seconds until every service is well.

        Raises:
            TimeoutError: one is not; with what each says.
        """
        began = time.monotonic()
        while True:
            answers = self.ask()
            if all(status == 200 for status, _ in answers.values()):
                return time.monotonic() - began
            if time.monotonic() - began > timeout:
                unwell = {name: answer for name, answer in answers.items() if answer[0] != 200}
                raise TimeoutError(f"Not well {timeout:g} s after a fault was over: {unwell}")
            time.sleep(0.3)


SINK_SETTINGS = {
    "LIQHEAT_SINK__BATCH_AGE": "0.3",
    # Commits then come less often than a halt is reported: health must not take one for the other.
    "LIQHEAT_SINK__ROLLUP_INTERVAL": "20",
    # Evidence is judged by the hour of the clock from what is stored by then: two runs need not agree.
    "LIQHEAT_STUDY__TIME_SHARE": "0",
    # The seeded log is years old.
    "LIQHEAT_SINK__RETENTION_DAYS": "20000",
    "LIQHEAT_SINK__HOUR_RETENTION_DAYS": "20000",
    "LIQHEAT_SINK__DAY_RETENTION_DAYS": "20000",
    "LIQHEAT_SINK__RECORD_RETENTION_DAYS": "20000",
}


@contextmanager
def small_disk(directory: Path) -> Iterator[bool]:
    """Mount a disk of 600 MB at `directory` where that is allowed; give whether it was."""
    directory.mkdir(parents=True)
    mount = shutil.which("mount")
    done: Any = None
    if mount is not None and os.geteuid() == 0:
        import subprocess

        done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=600m", "tmpfs", str(directory)], check=False)
    is_small = done is not None and done.returncode == 0
    try:
        yield is_small
    finally:
        if is_small:
            subprocess.run(["umount", "-l", str(directory)], check=False)


@contextmanager
def running(directory: Path) -> Iterator[tuple[Pipeline, bool]]:
    """Give the pipeline, well, and whether its disk can be filled."""
    with (
        small_disk(directory / "disk") as is_small,
        start_apache_kafka(brokers.KAFKA_JARS, directory / "kafka") as broker,
        Supervisor(directory / "logs", grace=28.0) as supervisor,
    ):
        kafka = Kafka(bootstrap_servers=broker.bootstrap_servers, topic_prefix="chaos-", partitions=4)
        pipeline = Pipeline(directory, supervisor, kafka)
        pipeline.start()
        supervisor.adopt(KAFKA, broker.process, broker.command)
        try:
            yield pipeline, is_small
        finally:
            # Together, and before the broker: each would else wait for it in vain.
            supervisor.stop([*INGESTS, EXCHANGE, *WORKERS, *SINKS])
