"""Keeps the edges of the symbols that are looked at fresh, on a thread of its own, about twice a second.

Beside the routes of `server`: while nobody looks it asks ClickHouse nothing, and where ClickHouse is slow it takes a
third of the time at most.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError

from liqheat.platform.clock import Clock
from liqheat.platform.errors import LiqheatError
from liqheat.viewer.edge import Edges
from liqheat.viewer.queries import Client

_LOG = structlog.get_logger()

PAUSE_SECONDS = 0.5
_REST = 2
"""It rests at least this many times as long as reading took."""


class ReadAhead:
    """Refreshes `edges` between `start` and `stop`, both called on one event loop."""

    def __init__(self, edges: Edges, open_client: Callable[[], Client], clock: Clock) -> None:
        self._edges, self._open_client, self._clock = edges, open_client, clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="viewer-ahead")
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop, after the query that runs."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _run(self) -> None:
        while True:
            took = await asyncio.get_running_loop().run_in_executor(self._thread, self._refresh)
            await asyncio.sleep(max(PAUSE_SECONDS - took, _REST * took))

    def _refresh(self) -> float:
        """Return how long it took, in seconds; an error is logged, and a picture meets it by itself."""
        begun = time.monotonic()
        try:
            if self._edges.is_watched:
                self._client = self._client or self._open_client()
                self._edges.refresh(self._client, self._clock.now_ms())
        except (ClickHouseError, LiqheatError) as error:
            _LOG.warning("viewer_read_ahead_failed", error=str(error))
        except Exception:  # noqa: BLE001 - logged with its trace, and tried again
            # The page would show prices of up to `BEHIND_MS` before for as long as nobody reads ahead.
            _LOG.exception("viewer_read_ahead_failed")
        return time.monotonic() - begun
