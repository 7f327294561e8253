"""History by REST before going live, oldest first, so that the engine sees it as it would have seen it live.

Instruments are read together, window by window; the bodies are mapped, merged by event time and published in slices of
one minute, for the engine closes a minute when any later row arrives, and closes many markets for little more than one.
What was published is noted, so that an interrupted backfill goes on where it stopped. A window of which something
cannot be read becomes a gap row, and is not noted.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from ingest.backfill_state import Progressed
from ingest.publisher import Publisher
from ingest.refusals import RefusalLog
from ingest.sanity import Reading, read_frame
from ingest.venues.interface import Mapper, Request, Rest, VenueFeed, wrap
from ingest.venues.wire import refusal_of
from liqheat.domain.events import Event, Gap
from liqheat.domain.instruments import Instrument
from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS, window_start
from liqheat.platform.clock import Clock
from liqheat.platform.errors import ConfigurationError, Origin, PoisonMessage, TransientError

log = structlog.get_logger(__name__)

# How many instruments' answers are waited for at a time.
_INSTRUMENTS_AT_ONCE = 4
# About how many rows of history are held at a time, which says how many instruments are read together; bars make about
# eight rows of a minute.
_ROWS_TOGETHER = 150_000
_ROWS_PER_MINUTE = 8
# History this fresh is left to the recovery between history and live.
_CLOSE_ENOUGH_MS = 2 * MINUTE_MS

# Points of open interest are five minutes apart, and some venues give the one beside the window.
_BESIDE_MS = 5 * MINUTE_MS

_MOST_DIGITS = 9
_UNITS_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}

Progress = Callable[[Instrument, int, int, int], None]
"""Called as `(instrument, start, done, end)` (ms) after each window."""


def duration_ms(text: str) -> int:
    """Read a span such as `90m`, `6h` or `2d` as ms.

    Raises:
        ConfigurationError: `text` is none.
    """
    count, unit = text[:-1], text[-1:].lower()
    if not count.isdecimal() or len(count) > _MOST_DIGITS or unit not in _UNITS_MS:
        raise ConfigurationError(f"Expected a span such as 90m, 6h or 2d, was {text!r}")
    return int(count) * _UNITS_MS[unit]


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
        self._refusals = RefusalLog(feed.venue)

    async def run(self, instruments: Sequence[Instrument], start: int) -> int:
        """Publish everything from `start` (ms) to about now; return where the live feed takes over (ms).

        Several rounds, since time goes on meanwhile: the last one leaves less than two minutes.
        """
        start = window_start(start)
        while True:
            end = window_start(self._clock.now_ms())
            for together in _groups(instruments, self._at_a_time(end - start)):
                await self._read_together(together, start, end)
            # What could not be read has its gap row; within this run it is not asked for again.
            start = end
            if self._clock.now_ms() - end < _CLOSE_ENOUGH_MS:
                return end

    def _at_a_time(self, span_ms: int) -> int:
        """Return how many instruments are read together, so that their rows of one window fit into memory."""
        minutes = max(1, min(span_ms, self._feed.history_window) // MINUTE_MS)
        return max(_INSTRUMENTS_AT_ONCE, _ROWS_TOGETHER // (_ROWS_PER_MINUTE * minutes))

    async def _read_together(self, instruments: Sequence[Instrument], start: int, end: int) -> None:
        """Read `[start, end)` of several instruments: of each the next window, published together, and so on."""
        rest = [self._windows(instrument, start, end) for instrument in instruments]
        slots = asyncio.Semaphore(_INSTRUMENTS_AT_ONCE)

        async def one(window: _Window) -> None:
            async with slots:
                await self._read(window)

        while windows := [window for of_instrument in rest if (window := next(of_instrument, None))]:
            async with asyncio.TaskGroup() as group:
                for window in windows:
                    group.create_task(one(window), name=f"history {window.instrument.name}")
            await self._publish(windows)
            # Only what Kafka has taken counts as done.
            await self._publisher.flush()
            for window in windows:
                self._note(window)
                if self._progress is not None:
                    self._progress(window.instrument, start, window.end, end)

    def _windows(self, instrument: Instrument, start: int, end: int) -> Iterator["_Window"]:
        for position, last in self._progressed.missing(instrument, start, end):
            while position < last:
                window_end = min(position + self._feed.history_window, last)
                requests = self._feed.history(instrument, position, window_end)
                if not requests:
                    break
                yield _Window(instrument, position, window_end, requests)
                position = window_end

    def _note(self, window: "_Window") -> None:
        """Note what was published of a window, and record what was not."""
        instrument, start, end = window.instrument, window.start, window.end
        if window.reasons:
            self._record_hole(instrument, start, end, window.reasons[0])
        if not window.failed:
            self._progressed.note(instrument, start, end)
            return
        for request in window.requests:
            if request not in window.failed:
                self._progressed.note(instrument, start, end, _stream(request))

    async def _read(self, window: "_Window") -> None:
        """Read what can be read of a window."""
        instrument, start, end = window.instrument, window.start, window.end
        wanted = [item for item in window.requests if not self._progressed.has(instrument, _stream(item), start, end)]
        answers = await asyncio.gather(*(self._rest.fetch(request) for request in wanted), return_exceptions=True)
        mapper = self._feed.mapper([instrument])
        for request, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, TransientError | PoisonMessage):
                window.fail(request, str(answer))
                continue
            if isinstance(answer, BaseException):
                raise answer
            noticed = mapper.report.notices.copy()
            reading = self._map(mapper, instrument, request, answer)
            is_empty = not reading.events and _is_empty(answer)
            notices = Counter[str]() if is_empty else mapper.report.notices - noticed
            is_read = is_empty or mapper.report.rows_read > 0
            if reason := _why_useless(request, reading, notices, is_read, start, end):
                window.fail(request, reason)
                continue
            # Rows that cannot be read stay so; asked again, their neighbours would be published twice.
            window.events += reading.events
            window.reasons += self._rows_of_another_time(request, instrument, reading.events, start, end)
            window.reasons += [*reading.problems(), *(f"a row was {kind}" for kind in notices)]
            if reading.poison and not reading.events:
                window.failed.append(request)

    def _rows_of_another_time(
        self, request: Request, instrument: Instrument, events: Sequence[Event], start: int, end: int
    ) -> list[str]:
        """Refuse what an answer holds beside its history of `[start, end)`, each minute of it once; say what it was.

        Such a row may be one of the window at an odd time, which is then missing.
        """
        beside = {
            window_start(event.event_time): event for event in events if not _is_asked_for(request, event, start, end)
        }
        refused = [
            refusal_of(instrument.name, f"A row of another time than was asked for, {event.event_time}", event)
            for event in beside.values()
        ]
        self._refusals.take(refused, (instrument.name,), _stream(request), self._publisher)
        return [f"{refusal.instrument}: {refusal.reason}" for refusal in refused]

    def _map(self, mapper: Mapper, instrument: Instrument, request: Request, body: bytes) -> Reading:
        frame = wrap(request.stream, body) if request.stream else body
        reading = read_frame(mapper, frame, self._clock.now_ms())
        self._refusals.take(reading.refused, (instrument.name,), _stream(request), self._publisher)
        if reading.poison:
            origin = Origin(f"{self._feed.venue.value}:{_stream(request)}")
            self._publisher.dead_letter(frame, reading.poison, origin)
        for gap in reading.gaps:
            log.warning("The history has a hole of its own", stream=gap.stream, missing=gap.missing)
        return reading

    async def _publish(self, windows: Sequence["_Window"]) -> None:
        minutes: defaultdict[int, list[Event]] = defaultdict(list)
        for window in windows:
            for event in window.events:
                if window.start <= event.event_time < window.end:
                    minutes[window_start(event.event_time)].append(event)
            window.events.clear()
        for minute in sorted(minutes):
            await self._publisher.publish(sorted(minutes.pop(minute), key=lambda event: event.event_time))

    def _record_hole(self, instrument: Instrument, start: int, end: int, reason: str) -> None:
        log.warning("History could not be read", instrument=instrument.name, start=start, end=end, reason=reason)
        self._publisher.add(
            Gap(self._feed.venue, instrument.symbol, instrument.name, start, end, "history", 0, reason, filled=False)
        )


@dataclass(slots=True, eq=False)
class _Window:
    """A window `[start, end)` (ms) of an instrument's history, and what was read of it.

    `failed` requests have to be made again, `reasons` says of everything that could not be read why.
    """

    instrument: Instrument
    start: int
    end: int
    requests: Sequence[Request]
    events: list[Event] = field(default_factory=list)
    failed: list[Request] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def fail(self, request: Request, reason: str) -> None:
        """Note that nothing came of a request."""
        self.failed.append(request)
        self.reasons.append(reason)


def _groups(instruments: Sequence[Instrument], size: int) -> Iterator[Sequence[Instrument]]:
    for first in range(0, len(instruments), size):
        yield instruments[first : first + size]


def _why_useless(
    request: Request, reading: Reading, notices: Collection[str], is_read: bool, start: int, end: int
) -> str:
    """Say why nothing of an answer is history of `[start, end)`; "" where something is, or the venue has none.

    `is_read` says whether a row was read, be it without events, or there was none. What is refused says so itself.
    """
    if reading.events:
        if any(_is_asked_for(request, event, start, end) for event in reading.events):
            return ""
        times = [event.event_time for event in reading.events]
        return f"{_stream(request)} answered with rows of another time, from {min(times)} to {max(times)}"
    if reading.refused or reading.poison:
        return ""
    if notices:
        return f"{_stream(request)} was answered with {', '.join(sorted(notices))}"
    return "" if is_read else f"{_stream(request)} was answered with rows of which none can be read"


def _is_asked_for(request: Request, event: Event, start: int, end: int) -> bool:
    """Whether an event is of the history of `[start, end)`, or beside it as the venue may answer."""
    return (request.reaches_back or start - _BESIDE_MS <= event.event_time) and event.event_time < end + _BESIDE_MS


def _is_empty(body: bytes) -> bool:
    """Whether an answer is an empty list or holds one, as where a venue has no history; without any it is no such."""
    try:
        lists = list(_lists_in(msgspec.json.decode(body)))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return bool(lists) and not any(lists)


def _lists_in(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, list):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _lists_in(inner)


def _stream(request: Request) -> str:
    """Return what distinguishes the streams of a window."""
    return request.stream or request.url
