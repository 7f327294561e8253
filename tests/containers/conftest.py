"""One engine and one built image for the session; where there can be none, a skip that says why.

`LIQHEAT_REQUIRE_DOCKER=1` says that there must be one, and makes its absence an error.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from liqheat.local.broker import fetch_apache_kafka
from liqheat.platform.errors import LiqheatError
from tests.containers.engine import HERE, ROOT, Engine, EngineMissing, running_engine
from tests.support.brokers import KAFKA_JARS

IMAGE = "localhost/liqheat-test:local"
KAFKA_IMAGE = "localhost/liqheat-test-kafka:local"


def absent(reason: Exception | str) -> None:
    """Skip, or fail where a container engine is required."""
    if os.environ.get("LIQHEAT_REQUIRE_DOCKER") == "1":
        pytest.fail(f"LIQHEAT_REQUIRE_DOCKER=1, but {reason}")
    pytest.skip(f"No containers: {reason}")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The machine's container engine; the environment points Docker's clients at it."""
    try:
        with running_engine(tmp_path_factory.mktemp("engine")) as found, pytest.MonkeyPatch.context() as patch:
            for name, value in found.environment.items():
                patch.setenv(name, value)
            yield found
    except EngineMissing as error:
        absent(error)


@pytest.fixture(scope="session")
def base(engine: Engine) -> str:
    """The image that the others are built on."""
    try:
        return engine.base()
    except EngineMissing as error:
        absent(error)
        raise


@pytest.fixture(scope="session")
def image(engine: Engine, base: str) -> str:
    """The image of deploy/docker/Dockerfile, with the embedded ClickHouse in it."""
    dockerfile = ROOT / "deploy" / "docker" / "Dockerfile"
    engine.build(IMAGE, dockerfile, ROOT, PYTHON_IMAGE=base, LOCK_FILE="requirements.lock")
    return IMAGE


@pytest.fixture(scope="session")
def kafka_image(engine: Engine, base: str) -> str:
    """Apache Kafka from the jars of Maven."""
    try:
        fetch_apache_kafka(ROOT / "deploy" / "kafka" / "pom.xml", KAFKA_JARS)
    except LiqheatError as error:
        absent(str(error))
    engine.build(KAFKA_IMAGE, HERE / "kafka.Dockerfile", Path(KAFKA_JARS), BASE=base)
    return KAFKA_IMAGE
