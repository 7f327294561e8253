"""`liqheat sql`: ask ClickHouse, or the data that a finished demo left, in SQL."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from clickhouse_connect.driver.query import QueryResult

    from liqheat.platform.settings import ClickHouse

DATA_SUBFOLDER = "clickhouse"
"""Where below its data directory `liqheat demo` keeps ClickHouse's files."""


class OutputFormat(StrEnum):
    """How the answer is printed: `json` is one object a line."""

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
    from liqheat.platform.clickhouse import open_clickhouse, translated_errors
    from liqheat.platform.settings import load

    clickhouse = stored_in(load().clickhouse, data_dir)
    client = open_clickhouse(clickhouse, readonly=True)
    try:
        with translated_errors(clickhouse):
            if output is OutputFormat.TABLE:
                _print_table(client.query(query))
            else:
                sys.stdout.buffer.write(client.raw_query(query, fmt=_CLICKHOUSE_FORMATS[output]))
                sys.stdout.flush()
    finally:
        client.close()


def stored_in(clickhouse: "ClickHouse", data_dir: Path | None) -> "ClickHouse":
    """Return the settings for the data of `data_dir`, or as they are where it is None.

    Raises:
        ConfigurationError: no demo has left data there.
    """
    from liqheat.platform.errors import ConfigurationError

    if data_dir is None:
        return clickhouse
    directory = data_dir / DATA_SUBFOLDER
    if not directory.is_dir():
        raise ConfigurationError(f"No ClickHouse data in {directory}; name the --data-dir that a demo was given")
    return clickhouse.model_copy(update={"interface": "chdb", "data_directory": directory})


def _print_table(result: "QueryResult") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for name, column_type in zip(result.column_names, result.column_types, strict=True):
        numeric = any(word in column_type.name for word in ("Int", "Float", "Decimal"))
        table.add_column(name, justify="right" if numeric else "left")
    for row in result.result_rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    console = Console()
    # A pipe has no width of its own: nothing may be cut there.
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)
    rows = len(result.result_rows)
    console.print(f"{rows} row{'' if rows == 1 else 's'}")
