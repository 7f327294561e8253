"""Every command of docker-compose.yml starts and gets well with exactly the environment that compose gives it.

Plain processes instead of containers; only names and ports are those of this machine. Kafka is the tests' broker, and
ClickHouse's HTTP interface is answered by the embedded engine, which has no users.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from liqheat.domain.market import Venue
from liqheat.local.broker import Broker
from liqheat.local.child import ChildProcess
from liqheat.simulator.server import environment_of
from tests.support.clickhouse_over_http import clickhouse_over_http
from tests.support.compose_file import OURS, HostNetwork

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

JOBS = ("topics", "schema")
LIVE = tuple(name for name, service in OURS.items() if service.get("profiles") == ["live"])
# A simulator takes seconds to compute its past, so all of them share one, and it is a test of its own.
SERVICES = sorted(set(OURS) - {*JOBS, *LIVE, "simulator"})
NEWS = """<rss version="2.0"><channel><title>News</title><item><title>VIRTUAL is listed</title>
<link>https://example.com/1</link><pubDate>Mon, 02 Mar 2026 10:00:00 GMT</pubDate></item></channel></rss>"""

Start = Callable[[str, Sequence[str] | None], ChildProcess]


@pytest.fixture(scope="module")
def network(broker: Broker, clickhouse_directory: Path) -> Iterator[HostNetwork]:
    with clickhouse_over_http(clickhouse_directory) as house:
        yield HostNetwork({("kafka", 9092): broker.port, ("clickhouse", 8123): house.port})
        house.connection.query("DROP DATABASE IF EXISTS liqheat SYNC")


@pytest.fixture(scope="module")
def start(network: HostNetwork, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts a service by its name, with nothing in its environment but what compose puts there."""
    folder = tmp_path_factory.mktemp("compose")
    feed = folder / "news.xml"
    feed.write_text(NEWS)
    # What somebody who starts these services has in `.env`.
    given = {"ALERT_WEBHOOK_URL": "http://127.0.0.1:9/", "LIQHEAT_CATALYSTS__FEEDS": json.dumps([str(feed)])}

    def started(name: str, command: Sequence[str] | None) -> ChildProcess:
        with only(network.environment(name, given)):
            words = command or network.command(name)
            return ChildProcess(name, [sys.executable, "-m", "liqheat", *words], folder / f"{name}.log")

    return started


@contextmanager
def only(environment: dict[str, str]) -> Iterator[None]:
    """Put `environment` in the place of this process's own, for a child to inherit."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update({"PATH": before["PATH"], **environment})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def prepared(start: Start) -> None:
    """The jobs have run: `topics`, and `schema` without `--users`, since access control is a server's."""
    for name, command in (("topics", None), ("schema", ["migrate"])):
        assert command is None or set(command) < set(OURS[name]["command"])
        job = start(name, command)
        assert job.wait(60) == 0, job.last_words()


@pytest.fixture(scope="module")
def simulator(network: HostNetwork, start: Start) -> Iterator[None]:
    """A simulated exchange, with less of a past than compose gives it: computing that takes most of the time."""
    command = network.command("simulator")
    command[command.index("--hours") + 1] = "0.5"
    with start("simulator", command) as running:
        wait_until_healthy(network, "simulator", running, 120)
        yield


def health(network: HostNetwork, name: str) -> tuple[int, str]:
    """Return status and answer of the service's health endpoint; status 0 where none answers."""
    connection = HTTPConnection("127.0.0.1", network.health_port(name), timeout=5)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()


def wait_until_healthy(network: HostNetwork, name: str, running: ChildProcess, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (answer := health(network, name))[0] != 200:
        assert running.exit_status is None, running.last_words()
        assert time.monotonic() < deadline, f"{answer}\n{running.last_words()}"
        time.sleep(0.1)


@pytest.mark.parametrize("name", SERVICES)
def test_the_service_gets_well_and_stops_when_asked(
    name: str, network: HostNetwork, start: Start, prepared: None, request: pytest.FixtureRequest
) -> None:
    if name.startswith("demo-"):
        request.getfixturevalue("simulator")
    with start(name, None) as running:
        wait_until_healthy(network, name, running, 60)
        with only(network.environment(name)):
            checked = subprocess.run([sys.executable, "-m", "liqheat", "health"], capture_output=True, check=False)
        assert checked.returncode == 0, checked.stdout
        assert running.stop(30) == 0, running.last_words()


@pytest.mark.parametrize("venue", Venue)
def test_the_demo_differs_from_live_in_addresses_and_history_alone(venue: Venue) -> None:
    """So what is shown of the demo's feeds holds for the live ones, which need the real exchanges."""
    live, demo = OURS[f"ingest-{venue.value}"], OURS[f"demo-ingest-{venue.value}"]
    assert live["command"] == demo["command"]
    addresses = environment_of("http://simulator:9000", tuple(Venue))
    assert {name: demo["environment"][name] for name in addresses} == addresses
    expected = live["environment"] | addresses | {"LIQHEAT_INGEST__BACKFILL": "6h"}
    assert demo["environment"] == expected
