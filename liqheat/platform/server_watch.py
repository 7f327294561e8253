"""Asks a server every second or two whether it answers, on a thread of its own; of any kind of server.

`liqheat.platform.broker_watch` and `liqheat.platform.clickhouse_watch` say how to ask; services tell the answer at
their health endpoint.
"""

import threading
import time
from collections.abc import Callable
from typing import Self

ANSWER_SECONDS = 3.0
"""How long a server may take to answer a question that costs it nothing."""
_PAUSE_SECONDS = 1.5
_LATE_SECONDS = 8.0
"""A watch that has not finished a round for so long is itself stuck at the server."""


class ServerWatch:
    """Says whether a server answers; a context manager around its thread."""

    def __init__(self, server: str, ask: Callable[[], str | None], drop: Callable[[], None] | None = None) -> None:
        """Watch `server`, named as a sentence would.

        `ask` asks once and returns None for a good answer, else what was wrong; `drop` gives up the connection, after a
        round that failed and after the last one. Both run on the watch's thread.
        """
        self._server = server
        self._ask = ask
        self._drop = drop
        self._found: str | None = None
        self._failing_since: float | None = None
        self._round_ended = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {server}", daemon=True)

    @property
    def is_failing(self) -> bool:
        """Whether the last round found something wrong."""
        return self._found is not None

    def problem(self) -> str | None:
        """Return what is wrong with the server, None while it answers."""
        found, since, now = self._found, self._failing_since, time.monotonic()
        if found is not None and since is not None:
            return f"{found} (for {now - since:.0f} s)"
        if now - self._round_ended > _LATE_SECONDS:
            return f"{self._server} has not answered for {now - self._round_ended:.0f} s"
        return None

    def __enter__(self) -> Self:
        self._round_ended = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            found = self._ask()
            self._failing_since = None if found is None else self._failing_since or time.monotonic()
            # First, because to give up a connection to a frozen server takes its time.
            self._found = found
            if found is not None and self._drop is not None:
                self._drop()
            self._round_ended = time.monotonic()
            self._ended.wait(_PAUSE_SECONDS)
        if self._drop is not None:
            self._drop()
