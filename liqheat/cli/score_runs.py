"""Markets to score over processes: progress on standard error, and an end at once when interrupted."""

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Run = TypeVar("Run")
Result = TypeVar("Result")

_WAKE_SECONDS = 0.2


def run_all(runs: Sequence[Run], processes: int, work: Callable[[Run], Result]) -> list[Result]:
    """Return `work` of every run in the order of `runs`, at most `processes` at once.

    An interrupt, or a failure of one of them, ends all workers at once: what they do writes nothing.
    """
    # Spawned, not forked: polars' threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    results: dict[int, Result] = {}
    with ProcessPoolExecutor(min(processes, len(runs)), mp_context=context) as pool, _progress(len(runs)) as advance:
        try:
            with _no_interrupts():
                futures = {pool.submit(work, run): number for number, run in enumerate(runs)}
            waiting = set(futures)
            while waiting:
                # Not without a limit: a signal that another thread took is handled once this one wakes up.
                done, waiting = wait(waiting, _WAKE_SECONDS, FIRST_COMPLETED)
                for future in done:
                    results[futures[future]] = future.result()
                    advance(len(results))
        except BaseException:
            # A market takes minutes, and of those begun or handed over none can be cancelled.
            for worker in multiprocessing.active_children():
                worker.kill()
            raise
    return [results[number] for number in sorted(results)]


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back: processes begun within never see it, so that only this one says something."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Give a callback for the number done: a line that moves, or one more line each where no terminal is."""
    console = Console(file=sys.stderr)
    begun = time.monotonic()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Scoring markets", total=total)

        def advance(done: int) -> None:
            bar.update(task, completed=done)
            if not console.is_terminal:
                print(f"{done} of {total} markets scored, {time.monotonic() - begun:.0f} s", file=sys.stderr)

        yield advance
