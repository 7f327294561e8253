"""`liqheat`: gathers the commands and turns liqheat's errors into one line and an exit status.

A command module offers `register(app)` and imports its heavy parts inside the command, so that `--help`
stays quick. Exit status: 0 done, 1 failed, 2 wrong settings or usage, 130 interrupted, 141 nobody reads the output.
"""

import os
import sys
from functools import cache
from importlib import import_module
from typing import NoReturn

import typer

from liqheat import __version__
from liqheat.platform.errors import ConfigurationError, LiqheatError

COMMAND_MODULES: tuple[str, ...] = (
    "demo",
    "simulate",
    "view",
    "watch",
    "clusters",
    "what_if",
    "catalyst",
    "liquidation_price",
    "map",
    "score",
    "backtest",
    "study",
    "health",
    "ingest",
    "check_venues",
    "playback",
    "process",
    "topics",
    "grafana",
    "sink",
    "migrate",
    "sql",
    "export",
    "dictionary",
    "alerts_webhook",
    "settings_table",
    "venue_page",
)
"""Modules of `liqheat.cli` in the order in which `--help` lists their commands."""

app = typer.Typer(
    name="liqheat",
    help="A live, multi-venue liquidation heatmap for perpetual futures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        print(__version__)
        raise typer.Exit


@cache
def load_commands() -> None:
    """Register every command on `app`, once."""
    for name in COMMAND_MODULES:
        import_module(f"liqheat.cli.{name}").register(app)


def main() -> None:
    """Run the command line."""
    try:
        load_commands()
        try:
            app()
        finally:
            # What is still in the buffer would fail after this, at the interpreter's end.
            if sys.stdout is not None:
                sys.stdout.flush()
    except LiqheatError as error:
        print(f"liqheat: {error}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, ConfigurationError) else 1) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        _end_unread()
    except OSError as error:
        place = f"Cannot read or write {error.filename}: " if error.filename else ""
        print(f"liqheat: {place}{error.strerror or error}", file=sys.stderr)
        raise SystemExit(1) from error
    except SystemExit as end:
        # typer turns a broken pipe into the status 1, which would look like a failure of the command.
        if isinstance(end.__context__, BrokenPipeError):
            _end_unread()
        raise


def _end_unread() -> NoReturn:
    """End as a program does that the signal for a closed pipe ends: quietly, with the status 128 + 13."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    raise SystemExit(141) from None
