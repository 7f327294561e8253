"""The compose file's services as containers of the built image, on the machine's network.

Commands, environments, health checks, limits and the grace period come out of docker-compose.yml. What differs is what
no registry is needed for: Kafka is the tests' own image, and the sink writes to ClickHouse inside its process.
"""

import json
import os
import shlex
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from liqheat.local.broker import kraft_commands, kraft_properties
from tests.containers.engine import Engine
from tests.support.compose_file import OURS, HostNetwork

SINK = "sink"
_DATA = "/data"
_KAFKA_FILES = Path("/tmp/kafka")  # noqa: S108 - inside the container


class Stack:
    """Containers by the name of their service; a context manager that removes them all."""

    def __init__(self, engine: Engine, image: str, kafka_image: str, data: Path) -> None:
        """`data` is the folder that the sink's container writes to."""
        data.mkdir()
        data.chmod(0o777)
        self._engine = engine
        self._image = image
        self._kafka_image = kafka_image
        self._data = data
        self.network = HostNetwork()
        self._containers: dict[str, Any] = {}

    def __enter__(self) -> "Stack":
        return self

    def __exit__(self, *_: object) -> None:
        for container in self._containers.values():
            container.stop()

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's address."""
        return f"127.0.0.1:{self.network.port('kafka', 9092)}"

    def start_kafka(self) -> None:
        """Start Apache Kafka from its jars, as the other tests run it without a container."""
        properties = _KAFKA_FILES / "server.properties"
        text = kraft_properties(self.network.port("kafka", 9092), _KAFKA_FILES)
        prepare, run = (
            shlex.join(command).replace("'/opt/kafka/lib/*'", '"/opt/kafka/lib/*"')
            for command in kraft_commands("java", Path("/opt/kafka/lib"), properties)
        )
        write = f"mkdir -p {_KAFKA_FILES} && printf %s {shlex.quote(text)} > {properties}"
        self._start("kafka", self._kafka_image, ["sh", "-c", f"{write} && {prepare} && exec {run}"], {})

    def start(self, name: str) -> None:
        """Start one service of the compose file."""
        service = OURS[name]
        # The outcome is compared with arithmetic done outside, and OpenBLAS rounds the last digit by its kernel.
        kernel = {variable: value for variable, value in os.environ.items() if variable.startswith("OPENBLAS_")}
        environment = self.network.environment(name) | kernel
        command = self.network.command(name)
        volumes = []
        if name == SINK:
            environment |= {
                "LIQHEAT_CLICKHOUSE__INTERFACE": "chdb",
                "LIQHEAT_CLICKHOUSE__DATA_DIRECTORY": f"{_DATA}/clickhouse",
            }
            # In place of the job `schema`, which makes users on a server.
            command.append("--migrate")
            volumes = [(str(self._data), _DATA, "rw")]
        self._start(
            name,
            self._image,
            command,
            environment,
            volumes=volumes,
            read_only=service["read_only"],
            cap_drop=service["cap_drop"],
            security_opt=["no-new-privileges"],
            mem_limit=service["mem_limit"],
            tmpfs=dict(entry.partition(":")[::2] for entry in service["tmpfs"]),
        )

    def _start(self, name: str, image: str, command: list[str], environment: dict[str, str], **options: Any) -> None:
        # Reads its configuration when imported, so not before the engine's address is in the environment.
        from testcontainers.core.container import DockerContainer

        volumes, tmpfs = options.pop("volumes", []), options.pop("tmpfs", {})
        container = DockerContainer(image, volumes=volumes, env=environment).with_command(command)
        container.tmpfs = tmpfs
        container.with_kwargs(network_mode="host", **options)
        self._containers[name] = container.start()

    def run_job(self, name: str) -> str:
        """Run a service that ends by itself; return what it said."""
        self.start(name)
        self.wait(lambda: self.state(name)["Status"] == "exited", 60, name)
        assert self.state(name)["ExitCode"] == 0, self.last_words(name)
        return self.last_words(name)

    def state(self, name: str) -> dict[str, Any]:
        """Return what the engine says of the container."""
        container = self._containers[name].get_wrapped_container()
        container.reload()
        state: dict[str, Any] = container.attrs["State"]
        return state

    def healthy(self, name: str) -> bool:
        """Run the compose file's health check in the container; fails when the service has ended."""
        assert self.state(name)["Status"] == "running", f"{name} has ended\n{self.last_words(name)}"
        test = OURS[name]["healthcheck"]["test"][1:]
        return bool(self._containers[name].get_wrapped_container().exec_run(test).exit_code == 0)

    def last_words(self, name: str) -> str:
        """Return the end of its output."""
        output: bytes = self._containers[name].get_wrapped_container().logs(tail=30)
        return output.decode(errors="replace")

    def wait(self, done: Callable[[], bool], seconds: float, *names: str) -> None:
        """Return once `done`; fails after `seconds` with the last words of the services named."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise AssertionError("\n".join(f"--- {name}\n{self.last_words(name)}" for name in names))
            time.sleep(1.0)

    def stop(self, names: Iterable[str]) -> dict[str, int]:
        """Stop as compose does, all at once: SIGTERM, then after the grace period SIGKILL; return exit statuses."""

        def end(name: str) -> int:
            grace = int(str(OURS[name]["stop_grace_period"]).removesuffix("s"))
            self._containers[name].get_wrapped_container().stop(timeout=grace)
            return int(self.state(name)["ExitCode"])

        names = list(names)
        with ThreadPoolExecutor(len(names)) as pool:
            return dict(zip(names, pool.map(end, names), strict=True))

    def resume(self, names: Iterable[str]) -> None:
        """Start stopped containers again, in the order given."""
        for name in names:
            self._containers[name].get_wrapped_container().start()

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Ask the data that the stopped sink left, with the image's own `liqheat sql`."""
        options = ["--rm", "--network=host", "-v", f"{self._data}:{_DATA}"]
        done = self._engine.run("run", *options, self._image, "sql", "--data-dir", _DATA, "--format", "json", sql)
        return [json.loads(line) for line in done.stdout.splitlines()]
