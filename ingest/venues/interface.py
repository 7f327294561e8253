"""What a venue must offer: a pure mapper from raw frames to events, and a description of its feed.

The mapper is driven by the feed runner, `liqheat replay` and `liqheat normalise` alike, so live traffic and
playback take the same way. The feed says which sockets to open, what to poll and how to close holes; all
waiting, retrying, reconnecting and publishing is done once, in `ingest.connection`, `ingest.rest`, `ingest.poller`,
`ingest.backfill` and `ingest.service`.
"""

from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from ingest.venues.wire import Refusal, Report
from liqheat.domain.events import Contract, Event
from liqheat.domain.instruments import Instrument
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import Venue
from liqheat.domain.venues import RateLimit as RateLimit
from liqheat.platform.clock import Clock
from liqheat.platform.errors import SequenceGap


class Mapper(Protocol):
    """Turns one venue's raw frames, WebSocket or REST alike, into normalised events.

    A mapper is pure: no clock, no I/O, no logging. It may keep what the frames themselves said (a ticker
    snapshot, contract values, the last trade id). One mapper serves one `Connection` for as long as the
    service runs, over reconnects too, so that frames seen on both sides of a reconnect are dropped once and
    holes are noticed.
    """

    venue: Venue
    duplicates: int
    """Events dropped so far because they had been seen before; the runner turns it into a metric."""
    report: Report
    """Rows of the latest frame that were left out, and notices counted by type."""

    def want(self, instruments: Sequence[Instrument]) -> None:
        """Map exactly these instruments from now on; one of a known name replaces it, with its contract value."""
        ...

    def map(self, frame: bytes, received_at: int) -> Iterator[Event]:
        """Yield the events in `frame`, oldest first; nothing for acknowledgements, pongs and ignored instruments.

        Args:
            frame: one WebSocket text frame, a bare REST body, or a REST body that the client wrapped as
                `{"stream": "<instrument>@<name>", "data": <body>}` (see `Request.stream`).
            received_at: when it was received, ms.

        Raises:
            PoisonMessage: the frame is no JSON, or not of a shape the venue documents; or no row of it can be read.
            SequenceGap: events before those of this frame are missing; the frame's own events have been
                yielded. `stream` is `<instrument>@<name>`, so that the runner knows whose hole it is.
        """
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One REST request; `url` is complete but for its query.

    `stream`, where given, wraps the body as `{"stream": stream, "data": body}` before it goes to the mapper,
    for bodies that do not say whose they are; it is also the origin named in logs and dead letters.
    """

    url: str
    limit: RateLimit
    parameters: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    stream: str = ""
    body: bytes | None = None
    """A JSON body makes it a POST."""
    headers: Mapping[str, str] = field(default_factory=dict)
    reaches_back: bool = False
    """Whether its answer may lie wholly before the history that is asked for, where the venue takes no start."""


class Rest(Protocol):
    """The venue's REST client as feeds see it; `ingest.rest.RestClient` is the real one."""

    async def fetch(self, request: Request, attempts: int = 5) -> bytes:
        """Return the body, waiting for the budget and trying `attempts` times.

        Raises:
            TransientError: the venue is unreachable, limits us, or failed every attempt.
            PoisonMessage: the venue refuses the request itself (HTTP 4xx).
        """
        ...


@dataclass(frozen=True, slots=True)
class Ping:
    """What to say to the venue every `interval` seconds to stay connected.

    WebSocket-level pings of the venue are answered anyway.
    """

    message: str
    interval: float


@dataclass(frozen=True, slots=True)
class Connection:
    """One WebSocket: where it is, which instruments it carries, what to say first and to stay connected.

    `name` labels metrics, logs, gaps and dead letters (`market`, `public-1`). `subscriptions` are sent in
    order, `subscription_pause` seconds apart, after every connect. `silence_limit` overrides the setting
    where a venue is known to be quieter or livelier.
    """

    name: str
    url: str
    instruments: tuple[Instrument, ...]
    subscriptions: tuple[str, ...] = ()
    subscription_pause: float = 0.0
    ping: Ping | None = None
    silence_limit: float | None = None


@dataclass(frozen=True, slots=True)
class Poll:
    """Requests repeated every `interval` seconds, spread evenly over it; their frames go through a mapper."""

    name: str
    interval: float
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Listings:
    """What a venue lists: the linear USDT and USDC perpetuals, and how many others were left out, by reason.

    Contracts that do not trade (any more) are there too, `Contract.status` other than `trading`. The service
    makes its instruments from them: `contract_value` is coins per contract, so OKX's sizes can be scaled.
    `left_out` says by the venue's name why an instrument that it lists is not among the contracts, and `refused` holds
    rows that could not be read.
    """

    contracts: tuple[Contract, ...]
    ignored: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Recovery:
    """Frames read by REST to close a hole; `complete` says whether they close it whole."""

    frames: tuple[bytes, ...] = ()
    complete: bool = False


NOTHING_RECOVERED = Recovery()


class Context(Protocol):
    """What the service lends to a venue's own tasks (see `VenueFeed.tasks`)."""

    @property
    def rest(self) -> Rest:
        """The venue's REST client."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock of the service."""
        ...

    @property
    def mapper(self) -> Mapper:
        """The mapper of the tasks (sockets and polls have theirs); it follows the instruments in use."""
        ...

    @property
    def instruments(self) -> Sequence[Instrument]:
        """The instruments in use now; changes with listings and delistings."""
        ...

    async def handle(self, frame: bytes, stream: str) -> None:
        """Map a raw frame and publish its events; poison becomes a dead letter."""
        ...

    async def publish(self, events: Sequence[Event]) -> None:
        """Publish events as they are, waiting while the queue is full."""
        ...

    def refuse(self, refusals: Iterable[Refusal], stream: str) -> None:
        """Count rows of `stream` that a task left out; the first of its kind is logged and becomes a dead letter."""
        ...


class VenueFeed(Protocol):
    """How one venue is read. Implementations hold settings and constants, no connections and no tasks.

    A factory in `ingest.venues.registry` builds it from the settings.
    """

    venue: Venue
    history_window: int
    """How much history, ms, `history` may be asked for at once: as much as one page of every request holds."""

    def mapper(self, instruments: Sequence[Instrument]) -> Mapper:
        """Return a new mapper for these instruments; frames of any other instrument yield nothing."""
        ...

    async def listings(self, rest: Rest, event_time: int) -> Listings:
        """Return what the venue lists now, stamped `event_time`."""
        ...

    async def margin_tiers(self, instruments: Sequence[Instrument], rest: Rest) -> Mapping[str, MarginTiers]:
        """Return tier tables by instrument name, as many as can be had.

        A table that contradicts itself is logged as a warning sentence and left out.
        """
        ...

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Return the sockets that carry these instruments."""
        ...

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Return what has to be polled for these instruments because no stream carries it."""
        ...

    async def fill(self, gap: SequenceGap, instrument: Instrument, rest: Rest) -> Recovery:
        """Read exactly the events that `gap` misses; a fresh mapper maps the frames."""
        ...

    async def recover(self, instrument: Instrument, start: int, end: int, rest: Rest) -> Recovery:
        """Read what a lost connection missed from `start` to `end` (ms).

        The connection's own mapper maps the frames, before the first frame of the new connection, and drops
        what it has seen (`start` is a few seconds early, for the venue's clock is not ours). Also called for
        the time between the end of the history, then the exact `start`, and the first live frame.
        """
        ...

    def history(self, instrument: Instrument, start: int, end: int) -> Sequence[Request]:
        """Return requests for the history of `[start, end)` (whole minutes, at most `history_window` long).

        Their bodies, mapped by a fresh mapper, are merged by event time; events outside are left out. Empty
        where the venue keeps none.
        """
        ...

    def tasks(self, context: Context) -> Sequence[Awaitable[None]]:
        """Return the venue's own work that runs as long as the service (Hyperliquid's wallets); usually none."""
        ...


def wrap(stream: str, body: bytes) -> bytes:
    """Return the frame `{"stream": stream, "data": body}` for a body that does not say whose it is."""
    return b'{"stream":%b,"data":%b}' % (msgspec.json.encode(stream), body)
