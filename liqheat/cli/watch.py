"""`liqheat watch VIRTUAL`: price, nearest clusters, funding, conviction and alerts of a symbol in the terminal."""

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(watch)


def watch(
    symbol: str = typer.Argument(help="Canonical symbol, for example VIRTUAL."),
    viewer: str = typer.Option(None, help="Address of a running page.", show_default="that of the settings"),
    server: bool = typer.Option(False, "--server", help="Read the ClickHouse server of the settings."),
    data_dir: Path = typer.Option(None, help="Data directory of a finished demo."),
    once: bool = typer.Option(False, "--once", help="Print one picture and end."),
    interval: float = typer.Option(2.0, min=0.2, help="Seconds between two pictures."),
) -> None:
    """Watch one symbol live; Ctrl-C ends it."""
    import time

    from rich.console import Console
    from rich.live import Live

    from liqheat.cli.signal_source import signal_source
    from liqheat.cli.watch_screen import screen
    from liqheat.domain.instruments import symbol_asked
    from liqheat.platform.errors import TransientError

    console, name = Console(), symbol_asked(symbol)
    with signal_source(viewer, server, data_dir) as read:
        picture = screen(read(name), time.time_ns() // 1_000_000, console.width)
        if once:
            console.print(picture)
            return
        with Live(picture, console=console, screen=console.is_terminal, auto_refresh=False) as live:
            while True:
                time.sleep(interval)
                try:
                    live.update(screen(read(name), time.time_ns() // 1_000_000, console.width), refresh=True)
                except TransientError:
                    # A page that restarts is back in a moment; the picture says how old it is.
                    continue
