"""A last resort for the end of a process: once it was asked to stop, it stops within a limit, whatever it waits for.

A service ends by itself in seconds. A broker that has gone silent can hold its clients for minutes, and an
orchestrator would kill it without a word; here it says so and leaves.
"""

import os
import signal
import sys
import threading
from types import FrameType

STOP_SECONDS = 25.0
"""Less than the 30 s that compose grants."""


def limit_the_end(seconds: float = STOP_SECONDS) -> None:
    """End the process `seconds` after SIGTERM or SIGINT, should it still run then.

    Call it from the main thread, after the handlers are set (an event loop's included): each still gets its signal.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _Handler(number, seconds))


def leave_within(seconds: float, reason: str) -> None:
    """End the process after `seconds` with status 1 and `reason` in one line, should it still run then."""
    timer = threading.Timer(seconds, _leave, [reason])
    timer.daemon = True
    timer.start()


class _Handler:
    def __init__(self, number: int, seconds: float) -> None:
        self._before = signal.getsignal(number)
        self._seconds = seconds
        self._started = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._started:
            self._started = True
            reason = (
                f"not done {self._seconds:g} s after it was asked to stop (the broker or the database does not "
                "answer); what was not delivered is read again from where it was last committed"
            )
            leave_within(self._seconds, reason)
        if callable(self._before):
            self._before(number, frame)


def _leave(reason: str) -> None:
    sys.stderr.write(f"liqheat: {reason}\n")
    sys.stderr.flush()
    os._exit(1)
