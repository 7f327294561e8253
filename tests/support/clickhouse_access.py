"""What each user of ClickHouse must be able to do, and what must be refused: for an embedded engine and for a server.

`users.sql` is run by a server. The embedded engine takes no access statements, but it reads users from a file and holds
them to it by the same code; `users_xml` writes the rights and limits of `users.sql` into such a file.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from clickhouse_connect.driver.client import Client
from pydantic import SecretStr

from liqheat.cli.evidence import StoredEvidence
from liqheat.domain.events import Kind
from liqheat.domain.windows import HOUR_MS
from liqheat.platform.errors import Origin
from liqheat.platform.settings import ClickHouse, Settings
from sinks.clickhouse.migrate import pending_migrations
from sinks.clickhouse.rollup import hours_of
from sinks.clickhouse.rows import evidence_rows, hours_of_minutes, rows_of
from sinks.clickhouse.tables import EVIDENCE, MARKET_HOURS, STORED, TABLES, Writer
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.sink_fakes import MIDNIGHT, filled_batch, heatmap_batch

WRITER, READER, GRAFANA = USERS = ("liqheat_writer", "liqheat_reader", "liqheat_grafana")
DATABASE = "liqheat"
VIEWS = "SELECT name FROM system.tables WHERE database = 'liqheat' AND engine = 'View' ORDER BY name"
STRANGERS = ("CREATE DATABASE IF NOT EXISTS other", "CREATE TABLE IF NOT EXISTS other.secrets (x Int8) ENGINE = Memory")
"""Run by an administrator first: a database that is no business of any of the users."""

DENIED = "ACCESS_DENIED|READONLY"


@dataclass(frozen=True)
class Case:
    """One statement of one user; `refused` is what the refusal says, None where it must be carried out."""

    user: str
    statement: str
    refused: str | None = None


_NOBODY_MAY = (
    "DROP TABLE liqheat.heatmap_levels_raw",
    "DROP DATABASE liqheat",
    "TRUNCATE TABLE liqheat.heatmap_levels_raw",
    "ALTER TABLE liqheat.heatmap_levels_raw DELETE WHERE 1",
    "ALTER TABLE liqheat.heatmap_levels_raw MODIFY TTL window_start + INTERVAL 1 DAY",
    "CREATE TABLE liqheat.mine (x Int8) ENGINE = Memory",
    "CREATE VIEW liqheat.heatmap_too AS SELECT 1 AS x",
    "INSERT INTO liqheat.migrations (number) VALUES (9999)",
    "SELECT * FROM other.secrets",
    "INSERT INTO other.secrets VALUES (1)",
    "SELECT name FROM system.users",
    "CREATE USER intruder",
    "GRANT SELECT ON *.* TO CURRENT_USER",
    "SELECT * FROM file('/etc/passwd', LineAsString)",
    "SELECT * FROM url('http://127.0.0.1:9/', LineAsString)",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    "SYSTEM SHUTDOWN",
)
_READERS_MAY_NOT = (
    "INSERT INTO liqheat.heatmap_levels_raw FORMAT JSONEachRow {}",
    "INSERT INTO liqheat.alerts_raw FORMAT JSONEachRow {}",
    "CREATE TEMPORARY TABLE mine (x Int8)",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS readonly = 2",
    "SELECT 1 SETTINGS max_memory_usage = 0",
    "SELECT 1 SETTINGS result_overflow_mode = 'break'",
)
_LIMITS = ["max_execution_time", "max_result_rows", "result_overflow_mode", "max_memory_usage", "max_threads"]

REFUSED = [
    *(Case(user, statement, DENIED) for user in USERS for statement in _NOBODY_MAY),
    *(Case(user, statement, DENIED) for user in (READER, GRAFANA) for statement in _READERS_MAY_NOT),
    *(Case(user, "SELECT number FROM numbers(5000001)", "TOO_MANY_ROWS") for user in (READER, GRAFANA)),
    # The sink writes; what it need not read it does not.
    *(Case(WRITER, f"SELECT * FROM liqheat.{name} LIMIT 1", DENIED) for name in ("heatmap", "alerts", "alerts_raw")),
]
LIMITED = [
    Case(
        user,
        "SELECT throwIf(toString(("
        + ", ".join(f"getSetting('{name}')" for name in _LIMITS)
        + ")) != '(60,5000000,\\'throw\\',500000000,4)')",
    )
    for user in (READER, GRAFANA)
]


def allowed(views: Sequence[str], dashboard_queries: Sequence[str]) -> list[Case]:
    """Return what each user is there for, given what the schema and the dashboards hold."""
    written = [table.name for table in TABLES.values() if table.writer is not Writer.MIGRATION]
    return [
        *(Case(user, f"SELECT * FROM liqheat.{view} LIMIT 1") for user in (READER, GRAFANA) for view in views),
        *(Case(GRAFANA, query) for query in dashboard_queries),
        *(Case(GRAFANA, f"SELECT name FROM system.{name} LIMIT 1") for name in ("databases", "tables", "columns")),
        *(Case(WRITER, f"INSERT INTO liqheat.{table} FORMAT JSONEachRow {{}}") for table in written),
        *LIMITED,
    ]


def settings_of(clickhouse: ClickHouse, password: str) -> Settings:
    """Return settings with `password` for each of the three users."""
    secret = SecretStr(password)
    passwords = {f"{role}_password": secret for role in ("writer", "reader", "grafana")}
    return Settings(clickhouse=clickhouse.model_copy(update=passwords))


def work_as_the_sink(client: Client, settings: Settings) -> None:
    """Do by `client` what the sink does: check the schema, write rows, roll hours and days up, judge what is stored."""
    assert pending_migrations(client, settings) == []
    writer = ClickHouseWriter(client, settings.clickhouse)
    minute = filled_batch(Kind.MARKET_MINUTES, {"window_start": MIDNIGHT}, symbol="VIRTUAL", venue="okx")
    for batch in (heatmap_batch(1, symbol="VIRTUAL", venue="okx", buckets=(1,), at_risk=1), minute):
        rows = rows_of(batch, Origin("log", 0, 1))
        assert writer.insert(STORED[batch.kind].table.name, [rows])
        if batch.kind is Kind.MARKET_MINUTES:
            writer.insert(MARKET_HOURS.name, [hours_of_minutes(rows)])
        if batch.kind is Kind.HEATMAP_LEVELS:
            writer.roll_up(hours_of(batch))
    evidence = StoredEvidence(client, settings.clickhouse, settings.study)
    assert evidence.begin(MIDNIGHT + HOUR_MS) == []
    assert list(evidence.judge("VIRTUAL")) == []
    assert writer.insert(EVIDENCE.name, [evidence_rows(evidence.together())])


def users_xml(statements: Sequence[str], user: str) -> str:
    """Return ClickHouse's file of users in which `default`, the embedded engine's one user, is `user`.

    `statements` are those of `users.sql`. What a file can't say without a server's own settings is left out: which
    limits a reader may change (CHANGEABLE_IN_READONLY; here none), and quotas.
    """
    bare = [" ".join(re.sub(r"--.*", "", statement).split()) for statement in statements]
    root = ElementTree.Element("clickhouse")
    profiles = ElementTree.SubElement(root, "profiles")
    ElementTree.SubElement(profiles, "default")
    for statement in bare:
        if found := re.match(r"CREATE SETTINGS PROFILE OR REPLACE (\w+) SETTINGS (.+)", statement):
            profile = ElementTree.SubElement(profiles, found[1])
            for setting in found[2].split(", "):
                name, value = re.match(r"(\w+) = '?(\w+)'?", setting).groups()  # type: ignore[union-attr]
                ElementTree.SubElement(profile, name).text = value
    (altered,) = (statement for statement in bare if statement.startswith(f"ALTER USER {user} "))
    chosen = re.search(r"SETTINGS PROFILE '(\w+)'", altered)
    account = ElementTree.SubElement(ElementTree.SubElement(root, "users"), "default")
    ElementTree.SubElement(account, "no_password")
    ElementTree.SubElement(ElementTree.SubElement(account, "networks"), "ip").text = "127.0.0.1"
    ElementTree.SubElement(account, "profile").text = chosen[1] if chosen else "default"
    ElementTree.SubElement(account, "quota").text = "default"
    grants = ElementTree.SubElement(account, "grants")
    for statement in bare:
        if found := re.match(rf"(GRANT .+) TO {user}\b", statement):
            ElementTree.SubElement(grants, "query").text = found[1]
    ElementTree.SubElement(ElementTree.SubElement(root, "quotas"), "default")
    return ElementTree.tostring(root, encoding="unicode")
