"""`liqheat export`: the map of one symbol as CSV, Parquet or CoinGlass-shaped JSON."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import typer


class ExportFormat(StrEnum):
    """What is written."""

    COINGLASS = "coinglass"
    CSV = "csv"
    PARQUET = "parquet"


class StepChoice(StrEnum):
    """Width of a column; `auto` takes the narrowest that a chart can show."""

    AUTO = "auto"
    MINUTE = "1m"
    HOUR = "1h"
    DAY = "1d"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(export)


def export(
    symbol: str = typer.Option(..., help="Canonical symbol, for example VIRTUAL."),
    output: ExportFormat = typer.Option(ExportFormat.COINGLASS, "--format", help="Shape of the output."),
    start: str = typer.Option(None, "--from", help="ISO 8601 time, UTC.", show_default="24 h before --to"),
    end: str = typer.Option(None, "--to", help="ISO 8601 time, UTC.", show_default="the newest minute stored"),
    venue: list[str] = typer.Option([], help="Only this venue; may be given again.", show_default="all"),
    step: StepChoice = typer.Option(StepChoice.AUTO, help="Width of a column."),
    data_dir: Path = typer.Option(None, help="Data directory of a finished demo, instead of the server."),
    file: Path = typer.Option(None, "--output", help="File to write.", show_default="standard output"),
) -> None:
    """Write the map of one symbol for other tools."""
    from liqheat.cli.output_files import check_output
    from liqheat.domain.windows import DAY_MS
    from liqheat.local.data_directory import stored_in
    from liqheat.platform.clickhouse import open_clickhouse, translated_errors
    from liqheat.platform.settings import load
    from sinks.clickhouse import export as exporting

    check_output(file)
    clickhouse = stored_in(load().clickhouse, data_dir)
    client = open_clickhouse(clickhouse, readonly=True)
    try:
        with translated_errors(clickhouse):
            until = _milliseconds(end, "--to") if end else exporting.newest(client, symbol)
            since = _milliseconds(start, "--from") if start else until - DAY_MS
            width = exporting.step_for(since, until) if step is StepChoice.AUTO else exporting.Step(step.value)
            selection = exporting.Selection(symbol, since, until, tuple(venue))
            if output is ExportFormat.COINGLASS:
                answer = exporting.coinglass(client, selection, width)
            else:
                name = "Parquet" if output is ExportFormat.PARQUET else "CSVWithNames"
                answer = exporting.rows_as(client, selection, width, name)
    finally:
        client.close()
    if file is None:
        sys.stdout.buffer.write(answer)
        sys.stdout.flush()
    else:
        file.write_bytes(answer)


def _milliseconds(text: str, option: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"Expected an ISO 8601 time like 2026-01-31T12:00, was {text!r}", param_hint=option
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000)
