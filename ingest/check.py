"""A venue looked at for a minute: what it lists, what it sends, what of it cannot be read; for `liqheat check-venues`.

Sockets, polls, mapper and REST client are those of the live service; nothing is published. The report is for an issue:
addresses and accounts are taken out of every text.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from statistics import median
from typing import Any

import aiohttp
import msgspec

from ingest.connection import ConnectionPolicy, ConnectionRunner
from ingest.poller import Poller
from ingest.rest import BannedError, RestClient
from ingest.sanity import read_frame
from ingest.universe import choose
from ingest.venues.answers import pause_of
from ingest.venues.interface import Connection, Listings, Mapper, Request, Rest, VenueFeed
from ingest.venues.registry import feed_for
from ingest.watch import Stream
from liqheat.domain.events import KIND_OF
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.platform.clock import Clock
from liqheat.platform.errors import LiqheatError
from liqheat.platform.settings import Settings

_PROBE_SECONDS = 10.0
_SAMPLE_CHARACTERS = 400
_MOST_LAGS = 10_000
_MOST_FIELDS = 200
_ADDRESSES = (
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"), "[address]"),
    (re.compile(r"\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{0,4}(?:::[0-9a-fA-F]{1,4})?"), "[address]"),
    (re.compile(r"0x[0-9a-fA-F]{40}\b"), "[account]"),
    (re.compile(r"\b[a-z]{2,10}1[02-9ac-hj-np-z]{38}\b"), "[account]"),
    (re.compile(r"(?i)((?:signature|api.?key|listenkey)\W{1,3})[\w-]{8,}"), r"\1[secret]"),
)


class Unread(msgspec.Struct):
    """Frames or rows that could not be read for one reason: how often, and the first of them."""

    count: int = 0
    sample: str = ""


class VenueReport(msgspec.Struct):
    """What was found of one venue; times are ms, `clock_ahead_ms` how far its clock is at least ahead of ours."""

    venue: str
    reachable: bool = False
    banned_seconds: float = 0.0
    problems: list[str] = []
    instruments: list[str] = []
    missing: dict[str, str] = {}
    listed: int = 0
    left_out: dict[str, int] = {}
    listing_refused: dict[str, str] = {}
    margin_tiers: int = 0
    frames: dict[str, int] = {}
    events: dict[str, int] = {}
    duplicates: int = 0
    refused: dict[str, Unread] = {}
    notices: dict[str, int] = {}
    new_fields: list[str] = []
    clock_ahead_ms: int = 0
    lag_ms: int | None = None

    @property
    def is_well(self) -> bool:
        """Whether everything could be read."""
        return self.reachable and not self.problems and not self.refused and not self.listing_refused


class NewFields:
    """Gathers names of fields that a venue is not known to send."""

    def __init__(self, report: VenueReport) -> None:
        self._known = known_fields(Venue(report.venue))
        self._report = report
        self._seen: set[str] = set()

    def take(self, frame: bytes) -> None:
        """Look through a frame or body."""
        for field in fields_of(frame):
            # A venue may keep its markets by name.
            if field in self._known or field in self._seen or "-USD" in field or len(self._seen) >= _MOST_FIELDS:
                continue
            self._seen.add(field)
            self._report.new_fields.append(scrubbed(field))


class _ObservedRest:
    """The REST client with an eye on the bodies it returns; a check tries less often than the service."""

    def __init__(self, rest: Rest, fields: NewFields) -> None:
        self._rest = rest
        self._fields = fields

    async def fetch(self, request: Request, attempts: int = 2) -> bytes:
        body = await self._rest.fetch(request, min(attempts, 2))
        self._fields.take(body)
        return body


class CheckingHandler:
    """A `FrameHandler` that reads frames as the service does, and tallies instead of publishing."""

    def __init__(self, mapper: Mapper, report: VenueReport, clock: Clock, fields: "NewFields") -> None:
        self._mapper = mapper
        self._report = report
        self._clock = clock
        self._fields = fields
        self.lags: list[int] = []

    async def handle(self, frame: bytes, stream: str) -> Collection[Stream] | None:
        """Read one frame."""
        now = self._clock.now_ms()
        report = self._report
        report.frames[stream] = report.frames.get(stream, 0) + 1
        reading = read_frame(self._mapper, frame, now)
        for event in reading.events:
            kind = KIND_OF[type(event)].value
            report.events[kind] = report.events.get(kind, 0) + 1
            if len(self.lags) < _MOST_LAGS and stream != "rest" and event.event_time != now:
                self.lags.append(now - event.event_time)
        for refusal in reading.refused:
            _count(report.refused, f"{refusal.instrument}: {refusal.reason}", refusal.row)
        if reading.poison:
            _count(report.refused, reading.poison, frame)
        self._fields.take(frame)
        streams = {Stream(event.instrument, KIND_OF[type(event)]) for event in reading.events}
        return streams or None

    async def recover(
        self,
        connection: Connection,
        start: int,  # noqa: ARG002 - nothing is read again
        end: int,  # noqa: ARG002
        reason: str,
        lost: Collection[Stream] = (),  # noqa: ARG002
    ) -> None:
        """Note that a connection was lost; nothing is read again."""
        self._report.problems.append(scrubbed(f"{connection.name}: {reason}"))

    def missed(self, stream: str, start: int, end: int, count: int, reason: str) -> None:  # noqa: ARG002 - a note is all
        """Note polls that failed."""
        self._report.problems.append(scrubbed(f"{count} polls of {stream} failed: {reason}"))


async def check_venue(settings: Settings, venue: Venue, seconds: float, clock: Clock) -> VenueReport:
    """Look at `venue` for `seconds` and return what was found; a venue that cannot be reached is a finding too."""
    report = VenueReport(venue.value)
    try:
        feed = feed_for(venue, settings)
        async with RestClient(venue, clock, patience=0.0) as rest, aiohttp.ClientSession() as session:
            fields = NewFields(report)
            observed = _ObservedRest(rest, fields)
            await _check(_Check(feed, settings, venue, observed, session, clock, report, fields), seconds)
    except BannedError as ban:
        report.banned_seconds = round(ban.retry_after, 1)
        report.problems.append(scrubbed(str(ban)))
    except LiqheatError as error:
        report.problems.append(scrubbed(str(error)))
    return report


@dataclass(frozen=True, slots=True)
class _Check:
    """What a check works with."""

    feed: VenueFeed
    settings: Settings
    venue: Venue
    rest: Rest
    session: aiohttp.ClientSession
    clock: Clock
    report: VenueReport
    fields: NewFields


async def _check(check: _Check, seconds: float) -> None:
    instruments = await _check_reference(check)
    if not instruments:
        return
    connections = check.feed.connections(instruments)
    if not await _probe(check, connections[0].url):
        return
    policy = ConnectionPolicy.of(check.settings.ingest)
    mappers = [check.feed.mapper(connection.instruments) for connection in connections]
    handlers = [CheckingHandler(mapper, check.report, check.clock, check.fields) for mapper in mappers]
    polled = check.feed.mapper(instruments)
    poller = Poller(
        check.feed.polls(instruments),
        check.rest,
        CheckingHandler(polled, check.report, check.clock, check.fields),
        check.clock,
    )
    tasks = [asyncio.create_task(poller.run())]
    for connection, handler in zip(connections, handlers, strict=True):
        runner = ConnectionRunner(check.venue, connection, handler, policy, check.clock, check.session)
        tasks.append(asyncio.create_task(runner.run()))
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    # A poller without polls ends at once and well.
    errors = [task.exception() for task in done if not task.cancelled()]
    check.report.problems += [scrubbed(str(error)) for error in errors if error is not None]
    _sum_up(check.report, [*mappers, polled], [lag for handler in handlers for lag in handler.lags])


async def _check_reference(check: _Check) -> tuple[Instrument, ...]:
    """Read listing and margin tiers, and note what is wrong with them."""
    report = check.report
    listings: Listings = await check.feed.listings(check.rest, check.clock.now_ms())
    universe = choose(check.venue, listings, check.settings.ingest.symbols)
    report.reachable = True
    report.listed = len(listings.contracts)
    report.left_out = dict(listings.ignored)
    report.missing = dict(universe.reasons)
    report.listing_refused = {refusal.instrument: scrubbed(refusal.reason) for refusal in listings.refused}
    report.instruments = [instrument.name for instrument in universe.instruments]
    if universe.instruments:
        try:
            report.margin_tiers = len(await check.feed.margin_tiers(universe.instruments, check.rest))
        except LiqheatError as error:
            report.problems.append(scrubbed(f"margin tiers: {error}"))
    return universe.instruments


async def _probe(check: _Check, url: str) -> bool:
    """Open and close a socket, for its runner would try again without a word."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            socket = await check.session.ws_connect(url)
            await socket.close()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        report = check.report
        report.reachable = False
        report.problems.append(scrubbed(f"socket: {error or type(error).__name__}"))
        if isinstance(error, aiohttp.WSServerHandshakeError) and error.status in (403, 418, 429):
            pause = pause_of(check.venue, error.status, error.headers or {}, b"", check.clock.now_ms())
            report.banned_seconds = round(pause, 1)
        return False
    return True


def _sum_up(report: VenueReport, mappers: Sequence[Mapper], lags: Sequence[int]) -> None:
    notices: Counter[str] = Counter()
    for mapper in mappers:
        notices += mapper.report.notices
        report.duplicates += mapper.duplicates
    report.notices = dict(notices)
    if lags:
        report.lag_ms = round(median(lags))
        report.clock_ahead_ms = max(0, -min(lags))
    if not report.events:
        report.problems.append("no event came")


def _count(unread: dict[str, Unread], reason: str, frame: bytes) -> None:
    """Count a reason, numbers in it aside; the first frame of it is kept, shortened."""
    key = re.sub(r"\d+", "#", scrubbed(reason))
    if key not in unread and len(unread) >= 100:
        key = "other reasons"
    # Cut after it was scrubbed, for half an address is none to a pattern.
    sample = scrubbed(frame[: 2 * _SAMPLE_CHARACTERS].decode(errors="replace"))[:_SAMPLE_CHARACTERS]
    found = unread.setdefault(key, Unread(sample=sample))
    found.count += 1


def scrubbed(text: str) -> str:
    """Return `text` without addresses of computers, accounts and secrets."""
    for pattern, instead in _ADDRESSES:
        text = pattern.sub(instead, text)
    return text


def fields_of(frame: bytes) -> Iterator[str]:
    """Yield every name of a field in a frame, at any depth; none of a frame that is no JSON."""
    try:
        tree: Any = msgspec.json.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    waiting = [tree]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield from found
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


@cache
def known_fields(venue: Venue) -> frozenset[str]:
    """Return the names of fields that `venue` is known to send, by its documentation and recorded frames."""
    text = resources.files("ingest.venues").joinpath("known_fields.json").read_bytes()
    known = msgspec.json.decode(text, type=dict[str, list[str]])
    return frozenset(known.get(venue.value, ()))
