"""The compose file's Kafka, from its environment: clients need the password of the secret's file.

The image turns KAFKA_FOO_BAR into the property foo.bar; so does this test, for Apache Kafka from its jars.
"""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from liqheat.local.broker import Broker
from liqheat.local.supervisor import free_port
from liqheat.platform.errors import ConfigurationError, LiqheatError
from liqheat.platform.kafka import create_topics
from liqheat.platform.settings import Kafka
from tests.support.compose_file import SERVICES, substituted
from tests.support.kafka_image import properties_of, start

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(200)]
PASSWORD = "8c1f" * 12


@pytest.fixture(scope="module")
def client_port(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the listener CLIENT of a broker as compose configures it, with its secret in a file."""
    if "Tansu" in broker.name:
        pytest.skip("Needs Apache Kafka (Java and Maven)")
    directory = tmp_path_factory.mktemp("compose-kafka")
    (directory / "secrets").mkdir()
    (directory / "secrets" / "kafka_password").write_text(PASSWORD)
    client, local, controller = free_port(), free_port(), free_port()
    addresses = {
        r"(CLIENT://)(?:kafka)?:9092": rf"\g<1>127.0.0.1:{client}",
        r"(LOCAL://)localhost:9094": rf"\g<1>127.0.0.1:{local}",
        r"(CONTROLLER://|1@)localhost:9093": rf"\g<1>127.0.0.1:{controller}",
        "/run/secrets": str(directory / "secrets"),
    }
    properties = properties_of(substituted(SERVICES["kafka"]["environment"]))
    with start("kafka", properties, addresses, directory) as process:
        # The broker's own listener asks for no password; it ends at its loopback.
        Broker("the compose file's Kafka", process, local).wait_ready(120)
        yield client


def test_the_password_of_the_secret_lets_in(client_port: int) -> None:
    guarded = Kafka(
        bootstrap_servers=f"127.0.0.1:{client_port}",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username="liqheat",
        sasl_password=SecretStr(PASSWORD),
        topic_prefix="in-",
    )
    assert "in-position-events" in create_topics(guarded)


def test_another_password_and_none_keep_out(client_port: int) -> None:
    wrong = Kafka(
        bootstrap_servers=f"127.0.0.1:{client_port}",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username="liqheat",
        sasl_password=SecretStr("guessed"),
    )
    with pytest.raises(ConfigurationError, match="refused the user 'liqheat'"):
        create_topics(wrong)
    with pytest.raises(LiqheatError, match="Cannot reach Kafka"):
        create_topics(Kafka(bootstrap_servers=f"127.0.0.1:{client_port}"))
