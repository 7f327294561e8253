"""`liqheat clusters`: the clusters of liquidations around the price, for people or as JSON."""

import json
from pathlib import Path

import typer

WIDE, ROOMY = 130, 90
"""Columns of a terminal from which the table has room for the clusters' ids, and for their state."""

LEFT = ("symbol", "side", "range", "state", "id")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(clusters)


def clusters(
    symbol: list[str] = typer.Argument(None, help="Canonical symbols.", show_default="the watch list of the settings"),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a cluster and line: USD, %, ms."),
    viewer: str = typer.Option(None, help="Address of a running page.", show_default="that of the settings"),
    server: bool = typer.Option(False, "--server", help="Read the ClickHouse server of the settings."),
    data_dir: Path = typer.Option(None, help="Data directory of a finished demo."),
) -> None:
    """List the clusters of the latest minute, nearest first."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from liqheat.cli.signal_source import signal_source
    from liqheat.cli.watch_screen import duration, percent, price_range, usd
    from liqheat.domain.instruments import symbol_asked
    from liqheat.platform.settings import load

    # A file or a pipe has no width; what a narrow terminal has no room for, `--json` shows too.
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    titles = ["symbol", "side", "range", "notional", "% of ADV", "distance", "age"]
    titles += ["state"] * (console.width >= ROOMY) + ["id"] * (console.width >= WIDE)
    for title in titles:
        table.add_column(title, no_wrap=True, justify="left" if title in LEFT else "right")
    wanted = [symbol_asked(name) for name in symbol or load().ingest.symbols]
    unknown: list[str] = []
    with signal_source(viewer, server, data_dir) as read:
        for name in wanted:
            answer = read(name)
            if answer["reading"] is None:
                unknown.append(name)
            for row in answer["clusters"]:
                if as_json:
                    typer.echo(json.dumps(row))
                    continue
                cells = [
                    row["symbol"],
                    row["side"],
                    price_range(row["price_low"], row["price_high"]),
                    usd(row["at_risk_usd"]),
                    percent(row["percent_of_adv"], signed=False),
                    percent(row["distance"], signed=False),
                    duration(60 * row["age_minutes"]),
                    row["state"],
                    row["cluster_id"],
                ]
                table.add_row(*(Text(cell) for cell in cells[: len(titles)]))
        # Of the watch list's own symbols some may not be listed anywhere; those that somebody named are wrong.
        error = read.nothing_of(unknown) if unknown and (symbol or len(unknown) == len(wanted)) else None
    if not as_json and len(unknown) < len(wanted):
        console.print(table)
    if error is not None:
        raise error
