"""Markets to score over processes: progress on standard error, and an end at once when interrupted."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from liqheat.cli.progress import counted_progress

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
    with (
        ProcessPoolExecutor(min(processes, len(runs)), mp_context=context) as pool,
        counted_progress("Scoring markets", len(runs), "markets scored") as advance,
    ):
        try:
            with _no_interrupts():
                futures = {pool.submit(work, run): number for number, run in enumerate(runs)}
            waiting = set(futures)
            while waiting:
                # Not without a limit: a signal that another thread took is handled once this one wakes up.
                done, waiting = wait(waiting, _WAKE_SECONDS, FIRST_COMPLETED)
                for future in done:
                    results[futures[future]] = future.result()
                    advance(len(results), "")
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
