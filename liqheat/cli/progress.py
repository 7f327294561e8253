"""Progress on standard error for commands that take minutes: a bar that moves where a terminal is."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS

if TYPE_CHECKING:
    from liqheat.domain.instruments import Instrument


@contextmanager
def history_progress(venue: Venue) -> Iterator["Callable[[Instrument, int, int, int], None]"]:
    """Give a callback `(instrument, start, done, end)` (ms) that moves one bar for the whole venue."""
    spans: dict[str, tuple[int, int]] = {}
    minutes = TextColumn("{task.completed:.0f} of {task.total:.0f} instrument minutes")
    with _bar(f"{venue.value} history", 1, TaskProgressColumn(), minutes, TimeRemainingColumn(), stays=True) as move:

        def advance(instrument: "Instrument", start: int, done: int, end: int) -> None:
            spans[instrument.name] = ((done - start) // MINUTE_MS, (end - start) // MINUTE_MS)
            completed = sum(minutes for minutes, _ in spans.values())
            move(completed=completed, total=sum(minutes for _, minutes in spans.values()))

        yield advance
    if not _is_watched():
        total = sum(minutes for minutes, _ in spans.values())
        print(f"{venue.value}: published {total} minutes of {len(spans)} instruments", file=sys.stderr)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a callback for the number done that moves a bar of `total`; nothing stays of it."""
    with _bar(what, total, TaskProgressColumn(), TimeRemainingColumn()) as move:
        yield lambda done: move(completed=done)


@contextmanager
def counted_progress(what: str, total: int, unit: str = "") -> Iterator[Callable[[int, str], None]]:
    """Give a callback for the number done, of a few that take long each, and for what is done now ("" as before).

    Where no terminal is, each is one line that names the `unit`; none without a unit.
    """
    begun = time.monotonic()
    with _bar(what, total, MofNCompleteColumn(), TimeElapsedColumn()) as move:

        def advance(done: int, now: str = "") -> None:
            move(completed=done, description=escape(now) if now else None)
            if unit and not _is_watched():
                print(f"{done} of {total} {unit}, {time.monotonic() - begun:.0f} s", file=sys.stderr)

        yield advance


@contextmanager
def _bar(what: str, total: int, *columns: ProgressColumn, stays: bool = False) -> Iterator[Callable[..., None]]:
    """Give a callback with the fields of a rich task; nothing is drawn where no terminal is."""
    console = Console(file=sys.stderr)
    shown = (TextColumn("{task.description}"), BarColumn(), *columns)
    with Progress(*shown, console=console, transient=not stays, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda **fields: bar.update(task, **fields)


def _is_watched() -> bool:
    return Console(file=sys.stderr).is_terminal
