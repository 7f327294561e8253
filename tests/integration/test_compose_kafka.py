"""The compose file's Kafka, from its environment: clients need the password of the secret's file.

The image turns KAFKA_FOO_BAR into the property foo.bar; so does this test, for Apache Kafka from its jars.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from liqheat.local.broker import Broker, kraft_commands
from liqheat.local.child import ChildProcess
from liqheat.local.supervisor import free_port
from liqheat.platform.errors import ConfigurationError, LiqheatError
from liqheat.platform.kafka import create_topics
from liqheat.platform.settings import Kafka
from tests.support import brokers
from tests.support.compose_file import SERVICES, substituted

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(200)]
PASSWORD = "8c1f" * 12


def properties_of(environment: dict[str, str]) -> dict[str, str]:
    """Return what the image makes of its environment."""
    ours = {"HEAP_OPTS"}
    named = {name.removeprefix("KAFKA_"): value for name, value in environment.items() if name.startswith("KAFKA_")}
    return {
        name.lower().replace("_", "."): value.replace("$$", "$") for name, value in named.items() if name not in ours
    }


@pytest.fixture(scope="module")
def client_port(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the listener CLIENT of a broker as compose configures it, with its secret in a file."""
    if "Tansu" in broker.name:
        pytest.skip("Needs Apache Kafka (Java and Maven)")
    directory = tmp_path_factory.mktemp("compose-kafka")
    (directory / "secrets").mkdir()
    (directory / "secrets" / "kafka_password").write_text(PASSWORD)
    client, local, controller = free_port(), free_port(), free_port()
    properties = properties_of(substituted(SERVICES["kafka"]["environment"]))
    text = "\n".join(f"{name}={value}" for name, value in properties.items())
    for ours, port in ((r"(CLIENT://)(?:kafka)?:9092", client), (r"(LOCAL://)localhost:9094", local)):
        text = re.sub(ours, rf"\g<1>127.0.0.1:{port}", text)
    text = re.sub(r"(CONTROLLER://|1@)localhost:9093", rf"\g<1>127.0.0.1:{controller}", text)
    text = text.replace("/run/secrets", str(directory / "secrets"))
    file = directory / "server.properties"
    file.write_text(f"{text}\nlog.dirs={directory / 'log'}\n")
    java = shutil.which("java")
    assert java is not None
    prepare, command = kraft_commands(java, brokers.KAFKA_JARS, file)
    subprocess.run(prepare, check=True, capture_output=True)
    with ChildProcess("kafka", command, directory / "kafka.log") as process:
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
