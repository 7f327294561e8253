"""Periodic REST polling for what no stream carries, spread evenly over its interval.

Each request has its own slot in the interval; one that is late skips slots rather than pile up. Slots that failed
or were skipped (a ban is waited for, a full queue too) are recorded as one hole once the poll succeeds again, or
when the service ends before.
"""

import asyncio
from collections.abc import Sequence

import structlog

from ingest.intake import FrameHandler
from ingest.venues.interface import Poll, Request, Rest, wrap
from liqheat.platform.clock import Clock
from liqheat.platform.errors import PoisonMessage, TransientError

log = structlog.get_logger(__name__)


class Poller:
    """Runs the polls of one group of instruments; `run` ends only by cancellation."""

    def __init__(self, polls: Sequence[Poll], rest: Rest, handler: FrameHandler, clock: Clock) -> None:
        self._polls = polls
        self._rest = rest
        self._handler = handler
        self._clock = clock
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as group:
            for poll in self._polls:
                for number, request in enumerate(poll.requests):
                    offset = poll.interval * number / len(poll.requests)
                    task = group.create_task(self._repeat(poll, request, offset), name=f"poll {request.stream}")
                    self._tasks.setdefault(request.stream.partition("@")[0], []).append(task)

    def drop(self, instrument: str) -> None:
        """Stop the polls of an instrument that is no longer listed."""
        for task in self._tasks.pop(instrument, []):
            task.cancel()

    async def _repeat(self, poll: Poll, request: Request, offset: float) -> None:
        stream = request.stream or poll.name
        due = self._clock.monotonic() + offset
        succeeded_at = self._clock.now_ms()
        failures: list[str] = []
        try:
            while True:
                if (wait := due - self._clock.monotonic()) > 0:
                    await self._clock.sleep(wait)
                try:
                    body = await self._rest.fetch(request, attempts=1)
                except (TransientError, PoisonMessage) as error:
                    failures.append(str(error))
                    log.warning("A poll failed", poll=poll.name, stream=request.stream, error=str(error))
                else:
                    now = self._clock.now_ms()
                    skipped = round((now - succeeded_at) / 1_000 / poll.interval) - 1
                    if failures or skipped > 0:
                        reason = failures[0] if failures else "the answer came late"
                        self._handler.missed(stream, succeeded_at, now, max(skipped, len(failures)), reason)
                        failures.clear()
                    succeeded_at = now
                    frame = wrap(request.stream, body) if request.stream else body
                    await self._handler.handle(frame, poll.name)
                due += poll.interval
                late = self._clock.monotonic() - due
                if late > 0:
                    due += poll.interval * (late // poll.interval + 1)
        finally:
            if failures:
                self._handler.missed(stream, succeeded_at, self._clock.now_ms(), len(failures), failures[0])
