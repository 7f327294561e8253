"""`liqheat export`: the map of one symbol as CSV, Parquet or CoinGlass-shaped JSON."""

import sys
from enum import StrEnum
from pathlib import Path

import typer

from liqheat.domain.market import Venue


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
    start: str = typer.Option(
        None, "--from", help="ISO 8601, UTC, or s or ms since 1970.", show_default="24 h before --to"
    ),
    end: str = typer.Option(
        None, "--to", help="ISO 8601, UTC, or s or ms since 1970.", show_default="the newest minute stored"
    ),
    venue: list[Venue] = typer.Option(
        [], help="Only this venue; may be given again.", show_default="all", case_sensitive=False
    ),
    step: StepChoice = typer.Option(StepChoice.AUTO, help="Width of a column."),
    data_dir: Path = typer.Option(None, help="Data directory of a finished demo, instead of the server."),
    file: Path = typer.Option(None, "--output", help="File to write.", show_default="standard output"),
) -> None:
    """Write the map of one symbol for other tools."""
    from liqheat.cli.output_files import check_output
    from liqheat.cli.stored_data import interruptible, stored_data
    from liqheat.cli.times import read_time, time_text
    from liqheat.domain.instruments import symbol_asked
    from liqheat.domain.windows import DAY_MS
    from liqheat.platform.clock import SystemClock
    from sinks.clickhouse import export as exporting

    check_output(file)
    since, until = read_time(start, "--from"), read_time(end, "--to")
    symbol = symbol_asked(symbol)
    with stored_data(data_dir) as client:
        oldest, newest = exporting.stored_span(client, symbol, SystemClock().now_ms())
        until = newest if until is None else until
        since = until - DAY_MS if since is None else since
        width = exporting.step_for(since, until) if step is StepChoice.AUTO else exporting.Step(step.value)
        selection = exporting.Selection(symbol, since, until, tuple(name.value for name in venue))
        if not exporting.has_rows(client, selection, width):
            print(
                f"No rows of {symbol}{' on ' * bool(venue)}{', '.join(selection.venues)} from {time_text(since)} to "
                f"{time_text(until)}; its minutes are stored from {time_text(oldest)} to {time_text(newest)}",
                file=sys.stderr,
            )
        if output is ExportFormat.COINGLASS:
            answer = interruptible(lambda: exporting.coinglass(client, selection, width))
        else:
            name = "Parquet" if output is ExportFormat.PARQUET else "CSVWithNames"
            answer = interruptible(lambda: exporting.rows_as(client, selection, width, name))
    if file is None:
        sys.stdout.buffer.write(answer)
        sys.stdout.flush()
    else:
        file.write_bytes(answer)
