"""Fixtures for all tests that need a broker: one for the whole session, topics of its own for each test."""

import os
import uuid
from collections.abc import Iterator

import pytest

from liqheat.platform.broker import Broker
from liqheat.platform.errors import LiqheatError
from liqheat.platform.kafka import create_topics
from liqheat.platform.settings import Kafka
from tests.integration import brokers

_STARTED = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A running broker; skips where none is to be had, which in CI is an error."""
    try:
        started = brokers.start(tmp_path_factory.mktemp("broker"))
    except LiqheatError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"No broker: {error}")
    request.config.stash[_STARTED] = started.name
    with started:
        yield started


@pytest.fixture
def kafka(broker: Broker) -> Kafka:
    """Settings of the session's broker with topics that no other test sees."""
    settings = Kafka(
        bootstrap_servers=broker.bootstrap_servers, topic_prefix=f"test-{uuid.uuid4().hex[:8]}-", partitions=4
    )
    create_topics(settings)
    return settings


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which broker the Kafka tests ran on."""
    name = config.stash.get(_STARTED, None)
    if name is not None:
        terminalreporter.write_line(f"Kafka tests ran on {name}")
