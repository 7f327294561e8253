"""History by REST before going live, oldest first, so that the engine sees it as it would have seen it live.

Each instrument is read window by window; the bodies of a window are mapped, merged by event time and published
in slices of one minute, for the engine closes a minute when any later row arrives. What was published is
noted, so that an interrupted backfill goes on where it stopped.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog

from ingest.publisher import Publisher
from ingest.sanity import sane_events
from ingest.venues.interface import Request, Rest, VenueFeed, wrap
from liqheat.domain.events import Event, Gap
from liqheat.domain.instruments import Instrument
from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS, window_start
from liqheat.platform.clock import Clock
from liqheat.platform.errors import ConfigurationError, Origin, PoisonMessage, SequenceGap, TransientError

log = structlog.get_logger(__name__)

_INSTRUMENTS_AT_ONCE = 4
# History this fresh is left to the recovery between history and live.
_CLOSE_ENOUGH_MS = 2 * MINUTE_MS

_UNITS_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}

Progress = Callable[[Instrument, int, int, int], None]
"""Called as `(instrument, start, done, end)` (ms) after each window."""


def duration_ms(text: str) -> int:
    """Read a span such as `90m`, `6h` or `2d` as ms.

    Raises:
        ConfigurationError: `text` is none.
    """
    count, unit = text[:-1], text[-1:]
    if not count.isdecimal() or unit not in _UNITS_MS:
        raise ConfigurationError(f"Expected a span such as 90m, 6h or 2d, was {text!r}")
    return int(count) * _UNITS_MS[unit]


class Progressed:
    """How far each instrument's history has been published, kept in a small JSON file (or only in memory)."""

    def __init__(self, path: Path | None = None) -> None:
        """Read `path` if it is there.

        Raises:
            ConfigurationError: the file is not one of ours.
        """
        self._path = path
        self._spans: dict[str, tuple[int, int]] = {}
        if path is not None and path.exists():
            try:
                self._spans = msgspec.json.decode(path.read_bytes(), type=dict[str, tuple[int, int]])
            except msgspec.DecodeError as error:
                raise ConfigurationError(f"{path} is no backfill state ({error}); remove it to start anew") from error

    def position(self, instrument: Instrument, start: int) -> int:
        """Return where to go on: behind the published span where it holds `start`, else at `start`."""
        first, last = self._spans.get(_key(instrument), (start, start))
        return last if first <= start <= last else start

    def note(self, instrument: Instrument, start: int, end: int) -> None:
        """Remember that `[start, end)` (ms) was published."""
        first, last = self._spans.get(_key(instrument), (start, start))
        self._spans[_key(instrument)] = (first if first <= start <= last else start, end)
        if self._path is not None:
            part = self._path.with_suffix(".part")
            part.write_bytes(msgspec.json.encode(self._spans))
            part.replace(self._path)


def _key(instrument: Instrument) -> str:
    return f"{instrument.venue.value}:{instrument.name}"


class Backfill:
    """Reads and publishes the history of one venue's instruments."""

    def __init__(
        self,
        feed: VenueFeed,
        rest: Rest,
        publisher: Publisher,
        clock: Clock,
        progressed: Progressed | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._feed = feed
        self._rest = rest
        self._publisher = publisher
        self._clock = clock
        self._progressed = progressed or Progressed()
        self._progress = progress

    async def run(self, instruments: Sequence[Instrument], start: int) -> int:
        """Publish everything from `start` (ms) to about now; return where the live feed takes over (ms).

        Several rounds, since time goes on meanwhile: the last one leaves less than two minutes.
        """
        start = window_start(start)
        while True:
            end = window_start(self._clock.now_ms())
            slots = asyncio.Semaphore(_INSTRUMENTS_AT_ONCE)

            async def one(instrument: Instrument, until: int, slots: asyncio.Semaphore = slots) -> None:
                async with slots:
                    await self._read(instrument, start, until)

            async with asyncio.TaskGroup() as group:
                for instrument in instruments:
                    group.create_task(one(instrument, end), name=f"history {instrument.name}")
            if self._clock.now_ms() - end < _CLOSE_ENOUGH_MS:
                return end

    async def _read(self, instrument: Instrument, start: int, end: int) -> None:
        position = self._progressed.position(instrument, start)
        while position < end:
            until = min(position + self._feed.history_window, end)
            requests = self._feed.history(instrument, position, until)
            if not requests:
                return
            try:
                bodies = await asyncio.gather(*(self._rest.fetch(request) for request in requests))
            except (TransientError, PoisonMessage) as error:
                self._record_hole(instrument, position, until, str(error))
            else:
                await self._publish(instrument, requests, bodies, position, until)
            # Only what Kafka has taken counts as done.
            await self._publisher.flush()
            self._progressed.note(instrument, position, until)
            position = until
            if self._progress is not None:
                self._progress(instrument, start, position, end)

    async def _publish(
        self, instrument: Instrument, requests: Sequence[Request], bodies: Sequence[bytes], start: int, end: int
    ) -> None:
        mapper = self._feed.mapper([instrument])
        received_at = self._clock.now_ms()
        events: list[Event] = []
        for request, body in zip(requests, bodies, strict=True):
            frame = wrap(request.stream, body) if request.stream else body
            try:
                events.extend(sane_events(mapper, frame, received_at))
            except PoisonMessage as poison:
                origin = Origin(f"{self._feed.venue.value}:{request.stream or request.url}")
                self._publisher.dead_letter(frame, poison.reason, origin)
            except SequenceGap as gap:
                log.warning("The history has a hole of its own", stream=gap.stream, missing=gap.missing)
        minutes: defaultdict[int, list[Event]] = defaultdict(list)
        for event in sorted(events, key=lambda event: event.event_time):
            if start <= event.event_time < end:
                minutes[window_start(event.event_time)].append(event)
        for minute in minutes.values():
            await self._publisher.publish(minute)

    def _record_hole(self, instrument: Instrument, start: int, end: int, reason: str) -> None:
        log.warning("History could not be read", instrument=instrument.name, start=start, end=end, reason=reason)
        self._publisher.add(
            Gap(self._feed.venue, instrument.symbol, instrument.name, start, end, "history", 0, reason, filled=False)
        )
