"""Fixtures for all tests that need a broker or ClickHouse: one for the session, names of its own for each test."""

import json
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from clickhouse_connect.driver.client import Client
from hypothesis import settings as hypothesis_settings

from liqheat.local.broker import Broker
from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.errors import LiqheatError
from liqheat.platform.kafka import create_topics
from liqheat.platform.settings import ClickHouse, Kafka, Settings, Sink
from sinks.clickhouse.migrate import migrate
from tests.parts import COUNTED, PARTS, part_of
from tests.support import brokers
from tests.support.clickhouse_contents import empty_tables

# No test is timed: beside other processes an example may take any time. All else is as Hypothesis has it here or in CI.
hypothesis_settings.register_profile("untimed", hypothesis_settings(), deadline=None)
hypothesis_settings.load_profile("untimed")

_STARTED = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the fuzz tests do as many frames as there is time for, and `make test` run in parts."""
    parser.addoption(
        "--frames", type=int, default=100_000, help="spoilt frames per venue, and messages, of a fuzz test"
    )
    parser.addoption("--part", choices=sorted(PARTS), help="only the tests of this part (tests/parts.py)")
    parser.addoption("--tally", type=Path, help="write how many tests ended how to this JSON file")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of the other part."""
    part = config.getoption("--part")
    if part is not None:
        left_out = [item for item in items if part_of(item.path) != part]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if part_of(item.path) == part]


@pytest.fixture(scope="session")
def frames(pytestconfig: pytest.Config) -> int:
    """How many frames or messages a fuzz test spoils."""
    return int(pytestconfig.getoption("--frames"))


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """Undo `logging.configure` of a test: it writes to the standard error of that test, which is closed after it."""
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


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


@pytest.fixture(scope="session")
def clickhouse_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of the one embedded ClickHouse that a process can have, kept open for the session."""
    # Laid out as a demo leaves it, so that its parent can be given as --data-dir.
    directory = tmp_path_factory.mktemp("data") / "clickhouse"
    client = open_clickhouse(ClickHouse(interface="chdb", data_directory=directory))
    yield directory
    client.close()


def settings_of(clickhouse_directory: Path) -> Settings:
    """Return settings of a database that no other test sees; it does not exist yet, and rows of any age are kept."""
    return Settings(
        clickhouse=ClickHouse(
            interface="chdb", data_directory=clickhouse_directory, database=f"test_{uuid.uuid4().hex[:8]}"
        ),
        sink=Sink(
            retention_days=20_000, hour_retention_days=20_000, day_retention_days=20_000, record_retention_days=20_000
        ),
    )


@pytest.fixture
def settings(clickhouse_directory: Path) -> Settings:
    """Settings of the test's own database."""
    return settings_of(clickhouse_directory)


@pytest.fixture(scope="module")
def module_settings(clickhouse_directory: Path) -> Settings:
    """Settings of the module's own database."""
    return settings_of(clickhouse_directory)


@pytest.fixture(scope="module")
def module_clickhouse(module_settings: Settings) -> Iterator[Client]:
    """A client of a database with the whole schema, for tests that share what the module wrote and only read it."""
    client = open_clickhouse(module_settings.clickhouse)
    migrate(client, module_settings)
    yield client
    client.command(f"DROP DATABASE {module_settings.clickhouse.database} SYNC", use_database=False)
    client.close()


@pytest.fixture
def shared_clickhouse(module_clickhouse: Client) -> Iterator[Client]:
    """The module's database without a row, for a test that writes rows but leaves the schema as it is.

    It saves each test the second that the whole schema takes.
    """
    yield module_clickhouse
    empty_tables(module_clickhouse)


@pytest.fixture
def empty_clickhouse(settings: Settings) -> Iterator[Client]:
    """A client of the test's own database, before any migration."""
    client = open_clickhouse(settings.clickhouse)
    yield client
    client.command(f"DROP DATABASE IF EXISTS {settings.clickhouse.database} SYNC", use_database=False)
    client.close()


@pytest.fixture
def clickhouse(settings: Settings, empty_clickhouse: Client) -> Client:
    """A client of the test's own database with the whole schema in it."""
    migrate(empty_clickhouse, settings)
    return empty_clickhouse


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which broker the Kafka tests ran on; write the tally that was asked for."""
    name = config.stash.get(_STARTED, None)
    if name is not None:
        terminalreporter.write_line(f"Kafka tests ran on {name}")
    tally = config.getoption("--tally")
    if tally is not None:
        stats = terminalreporter.stats
        counts = {outcome: len(stats.get(outcome, ())) for outcome in COUNTED}
        failures = [report.nodeid for outcome in ("failed", "error") for report in stats.get(outcome, ())]
        tally.write_text(json.dumps({"counts": counts, "failures": failures}))
