"""Numbered, forward-only migrations: `migrations/0001_name.sql`, ... applied once each, in order.

Every statement is idempotent (IF NOT EXISTS, OR REPLACE), so a migration that stopped half-way is simply run
again, and two runs at once do the same work twice to no effect. What was applied is recorded with a checksum
of the file as written; a file that changed or vanished afterwards is refused.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from clickhouse_connect.driver.client import Client

from liqheat.platform.clickhouse import translated_errors
from liqheat.platform.embedded_clickhouse import require_room
from liqheat.platform.errors import FatalError
from liqheat.platform.settings import Settings
from liqheat.platform.sql_text import fill, split_statements
from sinks.clickhouse.retention import apply_retention
from sinks.clickhouse.shards import spread
from sinks.clickhouse.tables import TABLES
from sinks.clickhouse.views import apply_views

log = structlog.get_logger()

MIGRATIONS_FOLDER = Path(__file__).parent / "migrations"

_FILE_NAME = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, name and text with placeholders."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text as written, placeholders and all, so that settings do not change it."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self, values: dict[str, str]) -> list[str]:
        """Return the statements with `{name}` replaced from `values`.

        Raises:
            FatalError: the text has a placeholder that is not in `values`.
        """
        return split_statements(fill(self.text, values, f"Migration {self.number:04d}_{self.name}"))


def read_migrations(folder: Path = MIGRATIONS_FOLDER) -> list[Migration]:
    """Read the migrations of `folder`, lowest number first.

    Raises:
        FatalError: a file is not named `0001_name.sql`, or two have one number.
    """
    found: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.match(path.name)
        if match is None:
            raise FatalError(f"Expected a migration named like 0001_name.sql, was {path.name}")
        number = int(match[1])
        if number in found:
            raise FatalError(f"Two migrations have the number {number:04d}: {found[number].name} and {match[2]}")
        found[number] = Migration(number, match[2], path.read_text(encoding="utf-8"))
    return [found[number] for number in sorted(found)]


def placeholders(settings: Settings) -> dict[str, str]:
    """Return the value of each placeholder: `{database}`, `{on_cluster}` and `{replicated}`."""
    cluster = settings.clickhouse.cluster
    return {
        "database": settings.clickhouse.database,
        "on_cluster": f"ON CLUSTER '{cluster}'" if cluster else "",
        "replicated": "Replicated" if cluster else "",
    }


def stored_placeholders(settings: Settings) -> dict[str, str]:
    """Return those of the tables that hold the rows: on several shards they have a database of their own."""
    return placeholders(settings) | {"database": settings.clickhouse.stored_database}


def pending_migrations(
    client: Client, settings: Settings, migrations: Sequence[Migration] | None = None
) -> list[Migration]:
    """Compare what was applied with the files; return the migrations still to apply, in order.

    Raises:
        FatalError: an applied migration has no file any more, its file changed, or a new file's number is lower
            than one already applied.
    """
    files = read_migrations() if migrations is None else list(migrations)
    by_number = {migration.number: migration for migration in files}
    applied = _applied(client, settings)
    for number, (name, checksum) in applied.items():
        file = by_number.get(number)
        if file is None:
            raise FatalError(
                f"Migration {number:04d}_{name} was applied to the database {settings.clickhouse.database} but its "
                "file is missing: this liqheat is older than the database; install the newer one again"
            )
        if file.checksum != checksum:
            raise FatalError(
                f"Migration {number:04d}_{name} was changed after it was applied; migrations are forward-only: "
                "restore the file and put the change into a new one"
            )
    return [migration for migration in files if migration.number not in applied]


def migrate(client: Client, settings: Settings, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """Create the database and bring its tables, views and retention up to date; return what was applied.

    Where `migrations` are given they are all that is done: registry and views belong to the whole list.

    Raises:
        FatalError: as `pending_migrations`, or ClickHouse refuses a statement.
        TransientError: ClickHouse cannot be reached, or is embedded and its disk is nearly full.
    """
    if settings.clickhouse.interface == "chdb" and settings.clickhouse.data_directory is not None:
        require_room(settings.clickhouse.data_directory)
    values, stored = placeholders(settings), stored_placeholders(settings)
    done = []
    with translated_errors(settings.clickhouse):
        # The database may not exist yet, so nothing here may rely on the client's own.
        for statement in split_statements(fill(_BOOTSTRAP, stored, "The bootstrap")):
            client.command(statement, use_database=False)
        spread(client, settings, values, {"migrations": "number", "views": "name"})
        for migration in pending_migrations(client, settings, migrations):
            for statement in migration.statements(stored):
                # On several shards views are over all of them: `apply_views` makes those, in the other database.
                if stored == values or "CREATE OR REPLACE VIEW" not in statement:
                    client.command(statement, use_database=False)
            client.command(
                _RECORD.format(database=values["database"]),
                parameters={"number": migration.number, "name": migration.name, "checksum": migration.checksum},
                use_database=False,
            )
            log.info("migration applied", number=migration.number, name=migration.name)
            done.append(migration)
        if migrations is None:
            check_tables(client, settings)
            apply_retention(client, settings, stored)
            spread(client, settings, values, {table.name: table.key for table in TABLES.values()})
            apply_views(client, settings, values)
    return done


def check_tables(client: Client, settings: Settings) -> None:
    """Compare the tables of the database with the registry.

    Raises:
        FatalError: a table has no record, so that nobody knows how long it is kept, or a record has no table.
    """
    rows = client.query(
        "SELECT name FROM system.tables WHERE database = {database:String} AND engine LIKE '%MergeTree'",
        parameters={"database": settings.clickhouse.stored_database},
    ).result_rows
    existing = {name for (name,) in rows} - OWN_TABLES
    for names, sentence in (
        (existing - TABLES.keys(), "have no record in sinks/clickhouse/tables.py"),
        (TABLES.keys() - existing, "are in sinks/clickhouse/tables.py but no migration creates them"),
    ):
        if names:
            raise FatalError(f"The tables {', '.join(sorted(names))} {sentence}")


OWN_TABLES = frozenset({"migrations", "views"})
"""What `migrate` records its own work in; one row per file."""


_BOOTSTRAP = """
CREATE DATABASE IF NOT EXISTS {database} {on_cluster};
CREATE TABLE IF NOT EXISTS {database}.migrations {on_cluster}
(
    number UInt32 COMMENT 'Number of the file',
    name String COMMENT 'Name of the file',
    checksum String COMMENT 'SHA-256 of the file as written',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When it was applied'
)
ENGINE = {replicated}ReplacingMergeTree(applied_at)
ORDER BY number
COMMENT 'Which migrations have been applied';
CREATE TABLE IF NOT EXISTS {database}.views {on_cluster}
(
    name String COMMENT 'Name of the view',
    checksum String COMMENT 'SHA-256 of the statement that made it',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When it was applied'
)
ENGINE = {replicated}ReplacingMergeTree(applied_at)
ORDER BY name
COMMENT 'Which views have been made'
"""

_RECORD = (
    "INSERT INTO {database}.migrations (number, name, checksum) "
    "VALUES ({{number:UInt32}}, {{name:String}}, {{checksum:String}})"
)


def _applied(client: Client, settings: Settings) -> dict[int, tuple[str, str]]:
    with translated_errors(settings.clickhouse):
        rows = client.query(
            f"SELECT number, name, checksum FROM {settings.clickhouse.database}.migrations FINAL ORDER BY number"  # noqa: S608 - the name is checked by the settings
        ).result_rows
    return {number: (name, checksum) for number, name, checksum in rows}
