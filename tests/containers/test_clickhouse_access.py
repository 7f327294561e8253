"""The users of `users.sql` on a ClickHouse server: made by `migrate --users`, and held to their rights and limits.

The server is the one whose administrator's address is in LIQHEAT_TEST_CLICKHOUSE (http://user:password@host:8123),
else the compose file's image where a Docker engine can pull it. It must have no database `liqheat` yet; that, the users
and their limits are made here and removed at the end.
"""

import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from urllib.parse import unquote, urlsplit

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.errors import ConfigurationError, TransientError
from liqheat.platform.settings import ClickHouse
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.users import create_users
from tests.containers.conftest import absent
from tests.containers.engine import Engine
from tests.support.clickhouse_access import (
    DATABASE,
    GRAFANA,
    READER,
    REFUSED,
    STRANGERS,
    USERS,
    VIEWS,
    WRITER,
    Case,
    allowed,
    settings_of,
    work_as_the_sink,
)
from tests.support.compose_file import SERVICES
from tests.support.grafana_macros import every_query

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

IMAGE: str = SERVICES["clickhouse"]["image"]
PASSWORD = secrets.token_hex(16)
# What an embedded engine can't be asked: which limits a reader may change, how far, and what of `system` it sees.
ONLY_A_SERVER = [
    Case(user, statement, refused)
    for user in (READER, GRAFANA)
    for statement, refused in (
        # The datasource plugin sets this with every query.
        ("SELECT 1 SETTINGS max_execution_time = 65", None),
        ("SELECT 1 SETTINGS max_execution_time = 121", "SETTING_CONSTRAINT_VIOLATION"),
        ("SELECT 1 SETTINGS max_threads = 8", None),
        ("SELECT 1 SETTINGS max_threads = 9", "SETTING_CONSTRAINT_VIOLATION"),
        ("SELECT 1 SETTINGS max_result_rows = 10", None),
        ("SELECT 1 SETTINGS max_result_rows = 0", "SETTING_CONSTRAINT_VIOLATION"),
        ("SELECT query FROM system.query_log", "ACCESS_DENIED"),
    )
]

Connect = Callable[[str], Client]


def settings_at(address: str) -> ClickHouse:
    """Return how the administrator of `address` connects."""
    parts = urlsplit(address)
    assert parts.scheme in ("http", "https"), "LIQHEAT_TEST_CLICKHOUSE is http(s)://user:password@host:port"
    assert parts.hostname is not None
    secure = parts.scheme == "https"
    return ClickHouse(
        interface="http",
        host=parts.hostname,
        port=parts.port or (8443 if secure else 8123),
        secure=secure,
        username=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=DATABASE,
    )


@pytest.fixture(scope="module")
def administrator(request: pytest.FixtureRequest) -> Iterator[ClickHouse]:
    """The administrator's connection to a server that answers."""
    address = os.environ.get("LIQHEAT_TEST_CLICKHOUSE")
    if address:
        yield settings_at(address)
        return
    engine: Engine = request.getfixturevalue("engine")
    pulled = engine.run("pull", "--quiet", IMAGE, check=False)
    if pulled.returncode:
        absent(f"LIQHEAT_TEST_CLICKHOUSE names no server, and {IMAGE} cannot be pulled: {pulled.stderr.strip()[-200:]}")
    from testcontainers.core.container import DockerContainer

    user = {"CLICKHOUSE_USER": "admin", "CLICKHOUSE_PASSWORD": PASSWORD, "CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT": "1"}
    with DockerContainer(IMAGE, env=user).with_exposed_ports(8123) as container:
        where = f"{container.get_container_host_ip()}:{container.get_exposed_port(8123)}"
        settings = settings_at(f"http://admin:{PASSWORD}@{where}")
        wait_for(settings)
        yield settings


def wait_for(clickhouse: ClickHouse) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            open_clickhouse(clickhouse).close()
            return
        except TransientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@pytest.fixture(scope="module")
def admin(administrator: ClickHouse) -> Iterator[Client]:
    """A client of the administrator, once the schema and the users are there."""
    client = open_clickhouse(administrator)
    known = "SELECT count() FROM system.databases WHERE name IN ('liqheat', 'other')"
    assert client.command(known, use_database=False) == 0, "a server with these databases is not one to test on"
    settings = settings_of(administrator, PASSWORD)
    try:
        for statement in STRANGERS:
            client.command(statement, use_database=False)
        migrate(client, settings)
        create_users(client, settings)
        # An upgrade does it again.
        create_users(client, settings)
        yield client
    finally:
        for removal in (
            *(f"DROP USER IF EXISTS {user}" for user in USERS),
            "DROP QUOTA IF EXISTS liqheat_reader",
            "DROP SETTINGS PROFILE IF EXISTS liqheat_reader",
            "DROP DATABASE IF EXISTS liqheat SYNC",
            "DROP DATABASE IF EXISTS other SYNC",
        ):
            client.command(removal, use_database=False)
        client.close()


@pytest.fixture(scope="module")
def connect(administrator: ClickHouse, admin: Client) -> Connect:
    """Opens a client as one of the users."""
    return lambda user: open_clickhouse(administrator.model_copy(update=login(user, PASSWORD)))


def login(user: str, password: str) -> dict[str, object]:
    return settings_at(f"http://{user}:{password}@host").model_dump(include={"username", "password"})


def refusal(client: Client, statement: str) -> str | None:
    try:
        client.command(statement, use_database=False)
    except DatabaseError as error:
        return str(error)
    return None


@pytest.mark.parametrize("user", USERS)
def test_a_user_can_do_what_it_is_there_for(admin: Client, connect: Connect, user: str) -> None:
    views = [row[0] for row in admin.query(VIEWS).result_rows]
    cases = [*allowed(views, every_query()), *(case for case in ONLY_A_SERVER if case.refused is None)]
    client = connect(user)
    refused = {case.statement: refusal(client, case.statement) for case in cases if case.user == user}
    assert {statement: answer for statement, answer in refused.items() if answer} == {}
    if user == WRITER:
        work_as_the_sink(client, settings_of(ClickHouse(database=DATABASE), PASSWORD))


@pytest.mark.parametrize("user", USERS)
def test_a_user_can_do_nothing_else(connect: Connect, user: str) -> None:
    client = connect(user)
    cases = [case for case in (*REFUSED, *ONLY_A_SERVER) if case.user == user and case.refused]
    answers = {case.statement: (case.refused, refusal(client, case.statement)) for case in cases}
    wrong = {key: got for key, (wanted, got) in answers.items() if not re.search(str(wanted), got or "")}
    assert wrong == {}


def test_services_have_a_quota_and_nobody_comes_in_without_the_password(
    admin: Client, administrator: ClickHouse
) -> None:
    (quota,) = admin.query("SELECT apply_to_list FROM system.quotas WHERE name = 'liqheat_reader'").result_rows
    assert quota[0] == [READER]
    for user in USERS:
        with pytest.raises(ConfigurationError, match="refused"):
            open_clickhouse(administrator.model_copy(update=login(user, "not-" + PASSWORD)))
