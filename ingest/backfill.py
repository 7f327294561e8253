"""History by REST before going live, oldest first, so that the engine sees it as it would have seen it live.

Each instrument is read window by window; the bodies of a window are mapped, merged by event time and published in
slices of one minute, for the engine closes a minute when any later row arrives. What was published is noted, so that
an interrupted backfill goes on where it stopped. A window of which something cannot be read becomes a gap row, and is
not noted.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

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

_INSTRUMENTS_AT_ONCE = 4
# History this fresh is left to the recovery between history and live.
_CLOSE_ENOUGH_MS = 2 * MINUTE_MS

# Points of open interest are five minutes apart, and some venues give the one beside the window.
_BESIDE_MS = 5 * MINUTE_MS

_UNITS_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}

Progress = Callable[[Instrument, int, int, int], None]
"""Called as `(instrument, start, done, end)` (ms) after each window."""


def duration_ms(text: str) -> int:
    """Read a span such as `90m`, `6h` or `2d` as ms.

    Raises:
        ConfigurationError: `text` is none.
    """
    count, unit = text[:-1], text[-1:].lower()
    if not count.isdecimal() or unit not in _UNITS_MS:
        raise ConfigurationError(f"Expected a span such as 90m, 6h or 2d, was {text!r}")
    return int(count) * _UNITS_MS[unit]


Span = tuple[int, int]


class Progressed:
    """Which spans of each instrument's history were published, kept in a small JSON file (or only in memory).

    A window is among them when all its streams were published; of another those that were are kept by themselves, so
    that the next run asks for the rest only, and no trade is published twice.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read `path` if it is there.

        Raises:
            ConfigurationError: the file is not one of ours.
        """
        self._path = path
        self._spans: dict[str, list[Span]] = {}
        if path is not None and path.exists():
            try:
                kept = msgspec.json.decode(path.read_bytes(), type=dict[str, list[int | list[int]]])
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"{path} is no backfill state ({error}); remove it to begin again") from error
            # Until version 0.2 there was one span per instrument.
            self._spans = {key: _spans_of(spans) for key, spans in kept.items()}

    def missing(self, instrument: Instrument, start: int, end: int) -> list[Span]:
        """Return the parts of `[start, end)` (ms) that were not published, oldest first."""
        parts: list[Span] = []
        for first, last in self._spans.get(_key(instrument), []):
            if first > start:
                parts.append((start, min(first, end)))
            start = max(start, last)
            if start >= end:
                break
        if start < end:
            parts.append((start, end))
        return [(first, last) for first, last in parts if first < last]

    def has(self, instrument: Instrument, stream: str, start: int, end: int) -> bool:
        """Whether `[start, end)` (ms) of one stream was published."""
        return any(first <= start and end <= last for first, last in self._spans.get(_key(instrument, stream), []))

    def note(self, instrument: Instrument, start: int, end: int, stream: str = "") -> None:
        """Remember that `[start, end)` (ms) was published, of all streams or of one."""
        key = _key(instrument, stream)
        joined: list[Span] = []
        for first, last in sorted([*self._spans.get(key, []), (start, end)]):
            if joined and first <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], last))
            else:
                joined.append((first, last))
        self._spans[key] = joined
        if self._path is not None:
            part = self._path.with_suffix(".part")
            part.write_bytes(msgspec.json.encode(self._spans))
            part.replace(self._path)


def _spans_of(kept: Sequence[int | list[int]]) -> list[Span]:
    pairs = [kept] if kept and isinstance(kept[0], int) else kept
    return [(pair[0], pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2]


def _key(instrument: Instrument, stream: str = "") -> str:
    """Return the name of a span in the file; streams bring the instrument's name along, or the address they are at."""
    return f"{instrument.venue.value}:{instrument.name}" + (f":{stream}" if stream else "")


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
            slots = asyncio.Semaphore(_INSTRUMENTS_AT_ONCE)

            async def one(instrument: Instrument, since: int, until: int, slots: asyncio.Semaphore = slots) -> None:
                async with slots:
                    for first, last in self._progressed.missing(instrument, since, until):
                        await self._read(instrument, first, last, since, until)

            async with asyncio.TaskGroup() as group:
                for instrument in instruments:
                    group.create_task(one(instrument, start, end), name=f"history {instrument.name}")
            # What could not be read has its gap row; within this run it is not asked for again.
            start = end
            if self._clock.now_ms() - end < _CLOSE_ENOUGH_MS:
                return end

    async def _read(self, instrument: Instrument, position: int, end: int, start: int, until: int) -> None:
        """Read `[position, end)` window by window; `start` and `until` are of the whole history, for the progress."""
        while position < end:
            window_end = min(position + self._feed.history_window, end)
            requests = self._feed.history(instrument, position, window_end)
            if not requests:
                return
            failed, reasons = await self._read_window(instrument, requests, position, window_end)
            # Only what Kafka has taken counts as done.
            await self._publisher.flush()
            if reasons:
                self._record_hole(instrument, position, window_end, reasons[0])
            if not failed:
                self._progressed.note(instrument, position, window_end)
            else:
                for request in requests:
                    if request not in failed:
                        self._progressed.note(instrument, position, window_end, _stream(request))
            position = window_end
            if self._progress is not None:
                self._progress(instrument, start, position, until)

    async def _read_window(
        self, instrument: Instrument, requests: Sequence[Request], start: int, end: int
    ) -> tuple[list[Request], list[str]]:
        """Publish what can be read of `[start, end)`.

        Returns:
            The requests that have to be asked again, and a sentence for everything that could not be read.
        """
        wanted = [item for item in requests if not self._progressed.has(instrument, _stream(item), start, end)]
        answers = await asyncio.gather(*(self._rest.fetch(request) for request in wanted), return_exceptions=True)
        failed: list[Request] = []
        reasons: list[str] = []
        events: list[Event] = []
        mapper = self._feed.mapper([instrument])
        for request, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, TransientError | PoisonMessage):
                failed.append(request)
                reasons.append(str(answer))
                continue
            if isinstance(answer, BaseException):
                raise answer
            noticed = mapper.report.notices.copy()
            reading = self._map(mapper, instrument, request, answer)
            is_empty = not reading.events and _is_empty(answer)
            notices = Counter[str]() if is_empty else mapper.report.notices - noticed
            is_read = is_empty or mapper.report.rows_read > 0
            if reason := _why_useless(request, reading, notices, is_read, start, end):
                failed.append(request)
                reasons.append(reason)
                continue
            # Rows that cannot be read stay so; asked again, their neighbours would be published twice.
            events += reading.events
            reasons += self._rows_of_another_time(request, instrument, reading.events, start, end)
            reasons += [*reading.problems(), *(f"a row was {kind}" for kind in notices)]
            if reading.poison and not reading.events:
                failed.append(request)
        await self._publish(events, start, end)
        return failed, reasons

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

    async def _publish(self, events: Sequence[Event], start: int, end: int) -> None:
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
