"""Views as files: `views/<name>.sql`, one SELECT each, created again by `liqheat migrate` whenever they changed.

A file begins with the view's description as a comment. Every column of the outer SELECT is one line that ends in a
comment: its meaning. Types come from the database itself, so that a new column is one line here. `{price_low}` and
the like are replaced by the SQL of `snippets`. What was applied is recorded with a checksum of the whole statement.
A file `<name>_PERIOD.sql` is one view for each of `PERIODS`.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import structlog
from clickhouse_connect.driver.client import Client

from liqheat.domain.signals import AlertKind
from liqheat.domain.steps import FLOW_RATIO, LEVEL_RATIO
from liqheat.platform.errors import FatalError
from liqheat.platform.settings import Settings
from liqheat.platform.sql_text import fill
from sinks.clickhouse.price_sql import bucket_sql, lower_edge_sql
from sinks.clickhouse.steps import usd_of_steps

log = structlog.get_logger()

VIEWS_FOLDER = Path(__file__).parent / "views"

PERIODS = {
    "1h": {"unit": "hour", "Unit": "Hour", "ranges": "days and weeks"},
    "1d": {"unit": "day", "Unit": "Day", "ranges": "months"},
}
"""Rolled up periods, by the name that their views end in, with what a file says of them in braces."""
WORDS = {"alert_kinds": f"{', '.join(list(AlertKind)[:-1])} or {list(AlertKind)[-1]}"}
"""What every file may say in braces, also in comments."""

_COLUMN = re.compile(r"^ {4}\S.*? -- (?P<meaning>\S.*)$")
_REFERENCE = re.compile(r"\{database\}\.(\w+)")
_COMMENT = re.compile(r" -- .*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class View:
    """One file: name, description, meaning of each column in order, and the query with placeholders."""

    name: str
    description: str
    meanings: tuple[str, ...]
    query: str

    @property
    def reads(self) -> frozenset[str]:
        """Names of the tables and views that it reads."""
        return frozenset(_REFERENCE.findall(self.query))


def read_view(path: Path, period: str = "") -> View:
    """Read one file, for `period` of `PERIODS` where its name says PERIOD.

    Raises:
        FatalError: it does not begin with a comment, or a line of its outer SELECT has none.
    """
    text = path.read_text(encoding="utf-8")
    for word, value in (WORDS | ({"period": period} | PERIODS[period] if period else {})).items():
        text = text.replace(f"{{{word}}}", value)
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if not line.startswith("--")), 0)
    end = next((number for number, line in enumerate(lines) if line.startswith("FROM")), len(lines))
    if not start or lines[start] != "SELECT" or end == len(lines):
        raise FatalError(f"Expected {path.name} to hold a comment, a line SELECT, columns, and a line that begins FROM")
    meanings = []
    for line in lines[start + 1 : end]:
        column = _COLUMN.match(line)
        if column is None:
            raise FatalError(f"Expected a column and its meaning after ' -- ' in {path.name}, was {line.strip()!r}")
        meanings.append(column["meaning"])
    description = " ".join(line.removeprefix("--").strip() for line in lines[:start])
    return View(
        path.stem.replace("PERIOD", period), description, tuple(meanings), _COMMENT.sub("", "\n".join(lines[start:]))
    )


def read_views(folder: Path = VIEWS_FOLDER) -> list[View]:
    """Read the views of `folder`, each after those that it reads.

    Raises:
        FatalError: a file is not a view, or views read each other in a circle.
    """
    views = [
        read_view(path, period)
        for path in folder.glob("*.sql")
        for period in (PERIODS if "PERIOD" in path.stem else ("",))
    ]
    waiting = {view.name: view for view in sorted(views, key=lambda view: view.name)}
    ordered: list[View] = []
    while waiting:
        ready = [view for view in waiting.values() if not view.reads & waiting.keys()]
        if not ready:
            raise FatalError(f"The views {', '.join(waiting)} read each other in a circle")
        ordered += ready
        waiting = {name: view for name, view in waiting.items() if view not in ready}
    return ordered


def snippets() -> dict[str, str]:
    """Return the SQL of each placeholder of the views beside those of `migrate.placeholders`."""
    return {
        "price_low": lower_edge_sql("bucket_number * grid_factor"),
        "price_high": lower_edge_sql("(bucket_number + 1) * grid_factor"),
        "bucket": bucket_sql("(price_low * (1 + 1e-9))"),
        "at_risk_usd": usd_of_steps("at_risk", LEVEL_RATIO),
        "at_risk_peak_usd": usd_of_steps("at_risk_peak", LEVEL_RATIO),
        "expected_usd": usd_of_steps("expected", LEVEL_RATIO),
        "opened_usd": usd_of_steps("opened", FLOW_RATIO),
        "closed_usd": usd_of_steps("closed", FLOW_RATIO),
    }


def apply_views(
    client: Client, settings: Settings, values: dict[str, str], views: list[View] | None = None
) -> list[str]:
    """Create the views that are new or changed, drop those whose file is gone; return the names of both.

    Args:
        client: of an administrator.
        settings: for the name of the database.
        values: the value of each placeholder (`migrate.placeholders`).
        views: in order; those of the folder unless given.

    Raises:
        FatalError: a file's columns are not those of its query.
    """
    database = settings.clickhouse.database
    wanted = read_views() if views is None else views
    known = client.query(f"SELECT name, checksum FROM {database}.views FINAL").result_rows  # noqa: S608 - checked name
    recorded: dict[str, str] = {str(name): str(checksum) for name, checksum in known}
    existing = {
        name
        for (name,) in client.query(
            "SELECT name FROM system.tables WHERE database = {database:String} AND engine = 'View'",
            parameters={"database": database},
        ).result_rows
    }
    changed = []
    for view in wanted:
        statement = _statement(client, view, values)
        checksum = hashlib.sha256(statement.encode()).hexdigest()
        if recorded.get(view.name) == checksum and view.name in existing:
            continue
        client.command(statement, use_database=False)
        _record(client, database, view.name, checksum)
        log.info("view applied", name=view.name)
        changed.append(view.name)
    for name in sorted((recorded.keys() & existing) - {view.name for view in wanted}):
        client.command(f"DROP VIEW IF EXISTS {database}.{name} {values['on_cluster']}", use_database=False)
        log.info("view dropped", name=name)
        changed.append(name)
    return changed


def _statement(client: Client, view: View, values: dict[str, str]) -> str:
    query = fill(view.query, values | snippets(), f"The view {view.name}")
    types = client.query(f"DESCRIBE TABLE ({query})").result_rows
    if len(types) != len(view.meanings):
        raise FatalError(f"The view {view.name} has {len(types)} columns but {len(view.meanings)} lines with a meaning")
    columns = ",\n".join(
        f"    {name} {column_type} COMMENT {_quoted(meaning)}"
        for (name, column_type, *_), meaning in zip(types, view.meanings, strict=True)
    )
    return (
        f"CREATE OR REPLACE VIEW {values['database']}.{view.name} {values['on_cluster']}\n(\n{columns}\n)\n"
        f"AS {query}\nCOMMENT {_quoted(view.description)}"
    )


def _record(client: Client, database: str, name: str, checksum: str) -> None:
    client.command(
        f"INSERT INTO {database}.views (name, checksum) VALUES ({{name:String}}, {{checksum:String}})",  # noqa: S608
        parameters={"name": name, "checksum": checksum},
        use_database=False,
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
