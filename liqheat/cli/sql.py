"""`liqheat sql`: ask ClickHouse, or the data that a finished demo left, in SQL."""

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from clickhouse_connect.driver.query import QueryResult


class OutputFormat(StrEnum):
    """How the answer is printed: `json` is one object per line."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


_CLICKHOUSE_FORMATS = {
    OutputFormat.JSON: "JSONEachRow",
    OutputFormat.CSV: "CSVWithNames",
    OutputFormat.PARQUET: "Parquet",
}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(sql)


def sql(
    query: str = typer.Argument(help='For example "SELECT * FROM heatmap LIMIT 5"; the views are in sinks/README.md.'),
    data_dir: Path = typer.Option(None, help="Data directory of a finished demo, instead of the server."),
    output: OutputFormat = typer.Option(OutputFormat.TABLE, "--format", help="How to print the answer."),
) -> None:
    """Run one query, read-only, and print the answer."""
    from liqheat.cli.stored_data import interruptible, stored_data
    from liqheat.platform.read_only_sql import check_reads_only

    _check_plain(query)
    with stored_data(data_dir) as client:
        functions = client.query("SELECT name FROM system.table_functions").result_rows
        check_reads_only(query, [name for (name,) in functions])
        if output is OutputFormat.TABLE:
            _print_table(interruptible(lambda: client.query(query)))
        else:
            answer = interruptible(lambda: client.raw_query(query, fmt=_CLICKHOUSE_FORMATS[output]))
            sys.stdout.buffer.write(answer)
            sys.stdout.flush()


def _check_plain(query: str) -> None:
    """Refuse what would fail with words of ClickHouse that help nobody here.

    Raises:
        ConfigurationError: there is no statement, or it names a format of its own.
    """
    from liqheat.platform.errors import ConfigurationError
    from liqheat.platform.sql_text import TOKEN, split_statements

    statements = split_statements(query)
    if not statements:
        raise ConfigurationError('Expected a query, such as "SELECT * FROM heatmap LIMIT 5", was none')
    # Quotes and comments away: they may say FORMAT too.
    bare = TOKEN.sub(" ", statements[-1])
    if named := re.search(r"\bFORMAT\s+(\w+)\s*$", bare, re.IGNORECASE):
        raise ConfigurationError(
            f"Expected a query without FORMAT {named[1]}: choose --format {', '.join(OutputFormat)} instead"
        )


def _print_table(result: "QueryResult") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for name, column_type in zip(result.column_names, result.column_types, strict=True):
        numeric = any(word in column_type.name for word in ("Int", "Float", "Decimal"))
        table.add_column(Text(name), justify="right" if numeric else "left")
    for row in result.result_rows:
        # As text: brackets in data are no markup.
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    console = Console()
    # A pipe has no width of its own: nothing may be cut there.
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)
    rows = len(result.result_rows)
    console.print(f"{rows} row{'' if rows == 1 else 's'}")
