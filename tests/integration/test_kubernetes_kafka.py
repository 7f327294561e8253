"""The three brokers of deploy/kubernetes/kafka.yaml, out of Kafka's jars: each asks for the password, one may go."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from kafka.errors import KafkaError
from pydantic import SecretStr

from liqheat.local.broker import Broker
from liqheat.local.child import ChildProcess
from liqheat.local.supervisor import free_port
from liqheat.platform import kafka as kafka_clients
from liqheat.platform.errors import ConfigurationError, LiqheatError, TransientError
from liqheat.platform.kafka import create_topics
from liqheat.platform.settings import Kafka
from liqheat.platform.topics import Topic
from tests.support.kafka_image import properties_of, start
from tests.support.kubernetes_files import environment
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]
PASSWORD = "8c1f" * 12
NODES = (1, 2, 3)


@pytest.fixture(scope="module")
def cluster(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kafka, list[ChildProcess]]]:
    """Settings that reach the three brokers, and their processes."""
    if "Tansu" in broker.name:
        pytest.skip("Needs Apache Kafka (Java and Maven)")
    directory = tmp_path_factory.mktemp("kubernetes-kafka")
    (directory / "secrets").mkdir()
    (directory / "secrets" / "kafka_password").write_text(PASSWORD)
    clients, controllers = {node: free_port() for node in NODES}, {node: free_port() for node in NODES}
    given = environment("kafka")
    with ExitStack() as stack:
        processes = []
        for node in NODES:
            addresses = {
                r"\[metadata\.labels\['apps\.kubernetes\.io/pod-index'\]\]": str(node),
                r"(CLIENT://)(?:\$\(POD_NAME\)\.kafka-brokers)?:9092": rf"\g<1>127.0.0.1:{clients[node]}",
                r"(CONTROLLER://):9093": rf"\g<1>127.0.0.1:{controllers[node]}",
                "/run/secrets": str(directory / "secrets"),
            } | {rf"kafka-{each}\.kafka-brokers:9093": f"127.0.0.1:{controllers[each]}" for each in NODES}
            process = start(f"kafka-{node}", properties_of(given), addresses, directory / str(node))
            processes.append(stack.enter_context(process))
        settings = Kafka(
            bootstrap_servers=",".join(f"127.0.0.1:{port}" for port in clients.values()),
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            sasl_username="liqheat",
            sasl_password=SecretStr(PASSWORD),
            replication_factor=3,
            partitions=2,
        )
        eventually(lambda: topics_are_made(settings, processes), 180)
        yield settings, processes


def topics_are_made(settings: Kafka, processes: list[ChildProcess]) -> bool:
    for process in processes:
        assert process.exit_status is None, process.last_words(30)
    try:
        create_topics(settings)
    except (TransientError, KafkaError):
        return False
    return True


def send(settings: Kafka, value: bytes) -> None:
    producer = kafka_clients.producer(settings)
    try:
        producer.send(settings.topic(Topic.POSITION_EVENTS), key=b"TAO", value=value).get(timeout=60)
    finally:
        producer.close(timeout=5)


def test_another_password_and_none_keep_out(cluster: tuple[Kafka, list[ChildProcess]]) -> None:
    settings, _ = cluster
    with pytest.raises(ConfigurationError, match="refused the user 'liqheat'"):
        create_topics(settings.model_copy(update={"sasl_password": SecretStr("guessed")}))
    with pytest.raises(LiqheatError, match="Cannot reach Kafka"):
        create_topics(Kafka(bootstrap_servers=settings.bootstrap_servers))


def test_rows_are_taken_while_one_broker_is_away(cluster: tuple[Kafka, list[ChildProcess]]) -> None:
    """Topics have three copies, and a row is taken once two of them have it."""
    settings, processes = cluster
    send(settings, b"with three")
    processes[0].stop(30)
    send(settings, b"with two")
