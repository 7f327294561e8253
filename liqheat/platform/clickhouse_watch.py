"""Asks a ClickHouse server every second or two whether it answers, on a thread of its own.

The sink's client only notices at the next insert, and then waits for its own limits. `/ping` needs no password, so
wrong credentials are the client's to report.
"""

import ssl
import threading
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from liqheat.platform.clickhouse import address_of
from liqheat.platform.settings import ClickHouse

ANSWER_SECONDS = 3.0
_PAUSE_SECONDS = 1.5
_LATE_SECONDS = 8.0


class ClickHouseWatch:
    """Says whether the server answers; a context manager around its thread."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._problem: str | None = None
        self._failing_since: float | None = None
        self._round_ended = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clickhouse watch", daemon=True)

    def problem(self) -> str | None:
        """Return what is wrong with the server, None while it answers."""
        problem, since, now = self._problem, self._failing_since, time.monotonic()
        if problem is not None and since is not None:
            return f"{problem} (for {now - since:.0f} s)"
        if now - self._round_ended > _LATE_SECONDS:
            return f"ClickHouse at {address_of(self._clickhouse)} has not answered for {now - self._round_ended:.0f} s"
        return None

    def __enter__(self) -> "ClickHouseWatch":
        self._round_ended = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            problem = ping(self._clickhouse)
            if problem is None:
                self._problem = self._failing_since = None
            else:
                self._failing_since = self._failing_since or time.monotonic()
                self._problem = problem
            self._round_ended = time.monotonic()
            self._ended.wait(_PAUSE_SECONDS)


def ping(clickhouse: ClickHouse) -> str | None:
    """Ask once; return None for a good answer, else what was wrong."""
    where = address_of(clickhouse)
    try:
        connection = _connection(clickhouse)
        try:
            connection.request("GET", "/ping")
            answer = connection.getresponse()
            answer.read(100)
        finally:
            connection.close()
    except ssl.SSLError as error:
        return f"The certificate of ClickHouse at {where} is not trusted ({error.reason or error})"
    except TimeoutError:
        return f"ClickHouse at {where} does not answer"
    except (OSError, HTTPException) as error:
        return f"Cannot reach ClickHouse at {where} ({error})"
    return None if answer.status == 200 else f"ClickHouse at {where} answers /ping with {answer.status}"


def _connection(clickhouse: ClickHouse) -> HTTPConnection:
    if not clickhouse.secure:
        return HTTPConnection(clickhouse.host, clickhouse.port, timeout=ANSWER_SECONDS)
    context = ssl.create_default_context(cafile=str(clickhouse.ca_file) if clickhouse.ca_file else None)
    return HTTPSConnection(clickhouse.host, clickhouse.port, timeout=ANSWER_SECONDS, context=context)
