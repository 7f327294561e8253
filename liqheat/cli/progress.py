"""A progress bar on standard error for commands that read history; silent where nobody watches."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS

if TYPE_CHECKING:
    from liqheat.domain.instruments import Instrument


@contextmanager
def history_progress(venue: Venue) -> Iterator["Callable[[Instrument, int, int, int], None]"]:
    """Give a callback `(instrument, start, done, end)` (ms) that moves one bar for the whole venue."""
    spans: dict[str, tuple[int, int]] = {}
    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f} instrument minutes"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{venue.value} history", total=1)

        def advance(instrument: "Instrument", start: int, done: int, end: int) -> None:
            spans[instrument.name] = ((done - start) // MINUTE_MS, (end - start) // MINUTE_MS)
            completed = sum(minutes for minutes, _ in spans.values())
            bar.update(task, completed=completed, total=sum(minutes for _, minutes in spans.values()))

        yield advance
    if not console.is_terminal:
        total = sum(minutes for minutes, _ in spans.values())
        console.print(f"{venue.value}: published {total} minutes of {len(spans)} instruments", highlight=False)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a callback for the number done that moves a bar of `total`; nothing stays of it."""
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
