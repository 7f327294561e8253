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
from liqheat.platform.errors import FatalError
from liqheat.platform.settings import Settings
from sinks.clickhouse.retention import apply_retention

log = structlog.get_logger()

MIGRATIONS_FOLDER = Path(__file__).parent / "migrations"

_FILE_NAME = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# Quoted text, quoted names and comments are passed over whole, so that only a semicolon between statements splits.
_TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.)*" | `(?:[^`\\]|\\.)*` | --[^\n]* | /\*.*?\*/ | ;""",
    re.VERBOSE | re.DOTALL,
)


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


def fill(text: str, values: dict[str, str], origin: str) -> str:
    """Replace every `{name}` of `text`; `origin` names the text in the error.

    Raises:
        FatalError: a name that is not in `values`.
    """

    def value_of(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise FatalError(f"{origin} has the unknown placeholder {match[0]}; known are {', '.join(values)}")
        return values[match[1]]

    return _PLACEHOLDER.sub(value_of, text)


def split_statements(text: str) -> list[str]:
    """Cut SQL text at the semicolons outside of quotes and comments; drop pieces that are only comments."""
    pieces, start = [], 0
    for token in _TOKEN.finditer(text):
        if token[0] == ";":
            pieces.append(text[start : token.start()])
            start = token.end()
    pieces.append(text[start:])
    return [piece.strip() for piece in pieces if _without_comments(piece).strip()]


def _without_comments(sql: str) -> str:
    return _TOKEN.sub(lambda token: "" if token[0].startswith(("--", "/*")) else token[0], sql)


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
    """Return what stands for each placeholder: `{database}`, `{on_cluster}` and `{replicated}`."""
    cluster = settings.clickhouse.cluster
    return {
        "database": settings.clickhouse.database,
        "on_cluster": f"ON CLUSTER '{cluster}'" if cluster else "",
        "replicated": "Replicated" if cluster else "",
    }


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

    Raises:
        FatalError: as `pending_migrations`, or ClickHouse refuses a statement.
        TransientError: ClickHouse cannot be reached.
    """
    values = placeholders(settings)
    done = []
    with translated_errors(settings.clickhouse):
        # The database may not exist yet, so nothing here may rely on the client's own.
        for statement in split_statements(fill(_BOOTSTRAP, values, "The bootstrap")):
            client.command(statement, use_database=False)
        for migration in pending_migrations(client, settings, migrations):
            for statement in migration.statements(values):
                client.command(statement, use_database=False)
            client.command(
                _RECORD.format(database=values["database"]),
                parameters={"number": migration.number, "name": migration.name, "checksum": migration.checksum},
                use_database=False,
            )
            log.info("migration applied", number=migration.number, name=migration.name)
            done.append(migration)
        apply_retention(client, settings, values)
    return done


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
COMMENT 'Which migrations have been applied'
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
