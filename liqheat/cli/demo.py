"""`liqheat demo` and `liqheat live`: the whole pipeline on this machine, with a page, until Ctrl-C.

A broker's log belongs to one run, so each start begins with a fresh database; the one before it in the same folder
is removed first, and what a run leaves can be read with `liqheat sql --data-dir` and `liqheat view --data-dir`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import threading

    from rich.console import Console

    from liqheat.local.stack import LocalStack, Plan

_DURATION = typer.Option(None, min=1, help="Seconds after which it ends by itself; the data stay.")
_HOURS = typer.Option(4, min=1, max=48, help="Hours of history to read before going live.")
_SYMBOLS = typer.Option(None, help="Canonical symbols separated by commas.", show_default="the AI-token watch-list")
_PORT = typer.Option(None, min=1, max=65_535, help="Port of the page.", show_default="LIQHEAT_VIEWER__PORT, 8080")
_VENUES = typer.Option(None, help="Venues separated by commas.", show_default="all")

_FIRST_PICTURE_SECONDS = 60.0
_STATUS_SECONDS = 2.0
_LINE_SECONDS = 10.0
"""How often the status is printed where no terminal keeps a line for it."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(demo)
    app.command()(live)


def demo(
    duration: float = _DURATION,
    data_dir: Path = typer.Option(Path("data/demo"), help="Where data and logs go; emptied at each start."),
    hours: int = _HOURS,
    symbols: str = _SYMBOLS,
    seed: int = typer.Option(1, min=0, help="Seed of the simulated market."),
    port: int = _PORT,
    venues: str = _VENUES,
) -> None:
    """Run everything on a simulated exchange: no Docker, no network, no accounts."""
    _run(_plan(data_dir, hours, symbols, port, venues, seed), duration)


def live(
    duration: float = _DURATION,
    data_dir: Path = typer.Option(Path("data/live"), help="Where data and logs go; emptied at each start."),
    hours: int = _HOURS,
    symbols: str = _SYMBOLS,
    port: int = _PORT,
    venues: str = _VENUES,
) -> None:
    """Run everything on the real public feeds of the exchanges."""
    _run(_plan(data_dir, hours, symbols, port, venues, None), duration)


def _plan(
    data_dir: Path, hours: int, symbols: str | None, port: int | None, venues: str | None, seed: int | None
) -> "Plan":
    from liqheat.domain.instruments import as_asked
    from liqheat.domain.market import Venue
    from liqheat.local.stack import Plan
    from liqheat.platform import settings
    from liqheat.platform.environment import words_of
    from liqheat.platform.errors import ConfigurationError

    loaded = settings.load()
    try:
        chosen = tuple(Venue(name.lower()) for name in words_of(venues, "--venues")) if venues else tuple(Venue)
    except ValueError as error:
        raise ConfigurationError(f"Expected --venues out of {', '.join(Venue)}; {error}") from error
    wanted = tuple(as_asked(name) for name in words_of(symbols, "--symbols")) if symbols else ()
    return Plan(
        venues=chosen,
        symbols=wanted or loaded.ingest.symbols,
        data_directory=data_dir.expanduser().resolve(),
        hours=hours,
        port=port or loaded.viewer.port or 8080,
        seed=seed,
        local=loaded.local,
    )


def _run(plan: "Plan", duration: float | None) -> None:
    import signal
    import threading
    import time

    from rich.console import Console
    from rich.markup import escape

    from liqheat.local.data_directory import LOGS_SUBFOLDER, fresh_data_directory
    from liqheat.local.stack import LocalStack
    from liqheat.local.supervisor import Supervisor, require_free_port

    started = time.monotonic()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    console = Console(highlight=False)
    require_free_port(plan.port, "choose another with --port")
    with fresh_data_directory(plan.data_directory), Supervisor(plan.data_directory / LOGS_SUBFOLDER) as supervisor:
        stack = LocalStack(plan, supervisor, lambda line: console.print(f"[green]✓[/] {escape(line)}"))
        try:
            with console.status("starting"):
                ready = stack.start(stop.is_set) and _first_picture(stack, stop)
            if ready:
                console.print(f"\n[bold]Heatmap: {stack.address}[/]   (Ctrl-C ends)\n", soft_wrap=True)
                until = None if duration is None else max(started + duration, time.monotonic() + _STATUS_SECONDS)
                _watch(console, stack, stop, until)
        finally:
            with console.status("stopping"):
                stack.stop()
    console.print(f"Stopped. Data and logs are in {plan.data_directory}", soft_wrap=True, markup=False)
    console.print(
        f'Query them: liqheat sql --data-dir {plan.data_directory} "SHOW TABLES"', soft_wrap=True, markup=False
    )


def _first_picture(stack: "LocalStack", stop: "threading.Event") -> bool:
    """Wait until the page has something to show; False if stopped first.

    Raises:
        FatalError: a service ended, or no exchange can be reached.
    """
    import time

    begun = time.monotonic()
    while not stop.wait(0.3):
        stack.check()
        # Past the limit the page itself says what it waits for.
        if stack.symbols_shown() or time.monotonic() - begun > _FIRST_PICTURE_SECONDS:
            return True
    return False


def _watch(console: "Console", stack: "LocalStack", stop: "threading.Event", until: float | None) -> None:
    """Keep a status line until stopped or until the monotonic time `until`; raise when a service ends."""
    import time

    from rich.markup import escape

    seen, at, printed = stack.rows_published(), time.monotonic(), 0.0
    with console.status("") as line:
        while not stop.is_set():
            if until is not None and time.monotonic() >= until:
                return
            left = _STATUS_SECONDS if until is None else max(0.0, until - time.monotonic())
            stop.wait(min(_STATUS_SECONDS, left))
            stack.check()
            published, now = stack.rows_published(), time.monotonic()
            behind = max(0, published - stack.rows_processed())
            rate = (published - seen) / max(now - at, 0.1)
            seen, at = published, now
            problems = "".join(
                f"  [yellow]{escape(problem or name + ' does not answer')}[/]"
                for name, problem in stack.problems().items()
            )
            status = (
                f"{stack.address}  {rate:,.0f} rows/s in, {behind:,.0f} rows behind, "
                f"{stack.rows_stored():,.0f} rows stored{problems}"
            )
            line.update(status)
            if not console.is_terminal and now - printed >= _LINE_SECONDS:
                printed = now
                console.print(status, soft_wrap=True)
