"""The broker frozen, dead, or not letting us in: every service says so in time, does not spin, ends, and recovers."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from liqheat.local.broker import Broker, kraft_commands, kraft_properties, start_apache_kafka
from liqheat.local.child import ChildProcess
from liqheat.local.supervisor import free_port
from liqheat.platform.kafka import create_topics
from liqheat.platform.settings import Kafka
from tests.support import brokers
from tests.support.services import (
    RunningService,
    all_services,
    commands_of,
    kafka_environment,
    start,
    wait_until_well,
)

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.timeout(240)]

REPORT_SECONDS = 10.0
STOP_SECONDS = 30.0


@pytest.fixture
def own_broker(broker: Broker, tmp_path: Path) -> Iterator[Broker]:
    """A broker that a test may freeze and kill; the session's only says that Apache Kafka can be had."""
    if "Tansu" in broker.name:
        pytest.skip("Needs Apache Kafka (Java and Maven)")
    with start_apache_kafka(brokers.KAFKA_JARS, tmp_path / "kafka") as own:
        yield own
        if own.process.exit_status is None:
            os.kill(own.process.pid, signal.SIGCONT)


def reported(services: dict[str, RunningService], since: float) -> dict[str, float]:
    """Return the seconds until each service said that Kafka is the matter."""
    seen: dict[str, float] = {}
    while len(seen) < len(services) and time.monotonic() - since < REPORT_SECONDS:
        for name, service in services.items():
            status, answer = service.ask()
            if name not in seen and status == 503 and "Kafka" in answer["problems"].get("broker", ""):
                seen[name] = time.monotonic() - since
        time.sleep(0.1)
    return seen


def test_a_frozen_broker_is_reported_costs_nothing_and_is_recovered_from(own_broker: Broker, tmp_path: Path) -> None:
    kafka = Kafka(bootstrap_servers=own_broker.bootstrap_servers, partitions=2)
    create_topics(kafka)
    with all_services(kafka, tmp_path) as services:
        lines = {name: service.log_lines() for name, service in services.items()}
        os.kill(own_broker.process.pid, signal.SIGSTOP)
        seen = reported(services, time.monotonic())
        assert seen.keys() == services.keys()
        spent = {name: service.processor_seconds() for name, service in services.items()}
        # Processor time is measured over a span.
        time.sleep(8)
        for name, service in services.items():
            assert service.processor_seconds() - spent[name] < 0.2 * 8, f"{name} spins"
            assert service.ask("/livez")[0] == 200, f"{name} asks for a restart that would not help"
            assert service.ask("/readyz")[0] == 503, name
        os.kill(own_broker.process.pid, signal.SIGCONT)
        wait_until_well(services, 30)
        for name, service in services.items():
            assert service.log_lines() - lines[name] < 40, service.process.last_words(40)


@pytest.mark.parametrize("fate", [signal.SIGSTOP, signal.SIGKILL])
def test_services_end_in_time_whether_the_broker_is_there_or_not(
    own_broker: Broker, tmp_path: Path, fate: signal.Signals
) -> None:
    kafka = Kafka(bootstrap_servers=own_broker.bootstrap_servers, partitions=2)
    create_topics(kafka)
    with all_services(kafka, tmp_path) as services:
        lines = {name: service.log_lines() for name, service in services.items()}
        os.kill(own_broker.process.pid, fate)
        assert reported(services, time.monotonic()).keys() == services.keys()
        # So that each is deep in its waiting and trying again.
        time.sleep(5)
        began = time.monotonic()
        for service in services.values():
            os.kill(service.process.pid, signal.SIGTERM)
        for name, service in services.items():
            service.process.wait(max(0.1, STOP_SECONDS - (time.monotonic() - began)))
            log = service.process.log.read_text()
            assert "Traceback" not in log, f"{name}: {service.process.last_words(60)}"
            assert service.log_lines() - lines[name] < 60, service.process.last_words(40)


@pytest.fixture(scope="module")
def guarded_broker(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Apache Kafka with a listener for passwords and one for certificates; give their addresses and files."""
    if "Tansu" in broker.name:
        pytest.skip("Needs Apache Kafka (Java and Maven)")
    directory = tmp_path_factory.mktemp("guarded")
    files = _certificates(directory)
    port, sasl, tls = free_port(), free_port(), free_port()
    text = kraft_properties(port, directory)
    text = text.replace(
        "listeners=PLAINTEXT://", f"listeners=SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls},PLAINTEXT://"
    )
    text = text.replace("protocol.map=", "protocol.map=SASL:SASL_PLAINTEXT,TLS:SSL,")
    users = 'username="admin" password="inner" user_admin="inner" user_liqheat="right"'
    text += (
        "sasl.enabled.mechanisms=PLAIN\n"
        "listener.name.sasl.plain.sasl.jaas.config="
        f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};\n"
        f"listener.name.tls.ssl.keystore.type=PEM\nlistener.name.tls.ssl.keystore.location={files['keystore']}\n"
        f"listener.name.tls.ssl.truststore.type=PEM\nlistener.name.tls.ssl.truststore.location={files['ca']}\n"
        "listener.name.tls.ssl.client.auth=required\n"
    )
    properties = directory / "server.properties"
    properties.write_text(text)
    java = shutil.which("java")
    assert java is not None
    prepare, command = kraft_commands(java, brokers.KAFKA_JARS, properties)
    subprocess.run(prepare, check=True, capture_output=True)
    with ChildProcess("kafka", command, directory / "kafka.log") as process:
        Broker("guarded Kafka", process, port).wait_ready()
        create_topics(Kafka(bootstrap_servers=f"127.0.0.1:{port}", partitions=2))
        yield files | {"plain": f"127.0.0.1:{port}", "sasl": f"127.0.0.1:{sasl}", "tls": f"127.0.0.1:{tls}"}


def _certificates(directory: Path) -> dict[str, str]:
    """Make an authority, a broker's and a client's certificate, and an authority that signed nothing."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    for authority in ("ca", "stranger"):
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{authority}.key", "-out"),
            *(f"{authority}.pem", "-days", "2", "-subj", f"/CN={authority}"),
            # Python 3.13 takes no authority without it, nor a certificate that does not name its authority's key.
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
    for name in ("broker", "client"):
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", "-days", "2", "-extfile", "names"),
        )
    keystore = directory / "keystore.pem"
    keystore.write_text((directory / "broker.key").read_text() + (directory / "broker.pem").read_text())
    return {
        "keystore": str(keystore),
        "ca": str(directory / "ca.pem"),
        "stranger": str(directory / "stranger.pem"),
        "certificate": str(directory / "client.pem"),
        "key": str(directory / "client.key"),
    }


def test_a_wrong_password_is_called_that(guarded_broker: dict[str, str], tmp_path: Path) -> None:
    _all_end_with(
        tmp_path,
        Kafka(bootstrap_servers=guarded_broker["sasl"], partitions=2),
        {
            "LIQHEAT_KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "LIQHEAT_KAFKA__SASL_MECHANISM": "PLAIN",
            "LIQHEAT_KAFKA__SASL_USERNAME": "liqheat",
            "LIQHEAT_KAFKA__SASL_PASSWORD": "wrong",
        },
        "refused the user 'liqheat'; check LIQHEAT_KAFKA__SASL_MECHANISM",
    )


def test_a_certificate_that_is_not_trusted_is_called_that(guarded_broker: dict[str, str], tmp_path: Path) -> None:
    _all_end_with(
        tmp_path,
        Kafka(bootstrap_servers=guarded_broker["tls"], partitions=2),
        {"LIQHEAT_KAFKA__SECURITY_PROTOCOL": "SSL", "LIQHEAT_KAFKA__SSL_CA_FILE": guarded_broker["stranger"]},
        "do not trust each other's certificates",
    )


def _all_end_with(directory: Path, kafka: Kafka, settings: dict[str, str], sentence: str) -> None:
    """Start the services side by side, for each takes its time over it; each must end with `sentence` alone."""
    commands = commands_of(directory, kafka, "http://127.0.0.1:9")
    services = {
        name: start(name, commands[name][0], commands[name][1] | settings, directory)
        for name in ("sink", "worker", "ingest", "webhook", "catalysts")
    }
    for name, service in services.items():
        assert service.process.wait(90) == 2, f"{name}: {service.process.last_words(30)}"
        log = service.process.log.read_text()
        said = [line for line in log.splitlines() if line.startswith("liqheat: ")]
        assert len(said) == 1, log
        assert sentence in said[0], name
        assert "Traceback" not in log, name


def test_client_certificates_serve_both_kafka_clients(guarded_broker: dict[str, str], tmp_path: Path) -> None:
    kafka = Kafka(bootstrap_servers=guarded_broker["tls"], partitions=2, topic_prefix="")
    settings = {
        "LIQHEAT_KAFKA__SECURITY_PROTOCOL": "SSL",
        "LIQHEAT_KAFKA__SSL_CA_FILE": guarded_broker["ca"],
        "LIQHEAT_KAFKA__SSL_CERTIFICATE_FILE": guarded_broker["certificate"],
        "LIQHEAT_KAFKA__SSL_KEY_FILE": guarded_broker["key"],
    }
    assert kafka_environment(kafka)["LIQHEAT_KAFKA__BOOTSTRAP_SERVERS"] == guarded_broker["tls"]
    commands = commands_of(tmp_path, kafka, "http://127.0.0.1:9")
    services = {
        name: start(name, commands[name][0], commands[name][1] | settings, tmp_path) for name in ("worker", "webhook")
    }
    try:
        wait_until_well(services, 45)
    finally:
        for service in services.values():
            assert service.process.stop(STOP_SECONDS) == 0, service.process.last_words(30)
