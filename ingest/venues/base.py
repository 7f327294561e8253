"""What the feeds of all venues share: addresses, sockets, recovery, depth polls, and defaults for the rest.

A venue's feed extends `BaseFeed` and says only what is its own. `docs/add-a-venue.md` is the recipe.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar

import structlog

from ingest.venues.bars import whole_minutes
from ingest.venues.depth import DEPTH
from ingest.venues.interface import (
    NOTHING_RECOVERED,
    Connection,
    Context,
    Listings,
    Mapper,
    Ping,
    Poll,
    Recovery,
    Request,
    Rest,
    wrap,
)
from ingest.venues.wire import UNKNOWN_NAME
from liqheat.domain.instruments import DEFAULT_WATCH_LIST, Instrument
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS, RateLimit
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import PoisonMessage, SequenceGap
from liqheat.platform.settings import Settings

log = structlog.get_logger(__name__)


class BaseFeed(ABC):
    """See `ingest.venues.interface.VenueFeed`; the methods that a venue must write are abstract."""

    venue: Venue
    mapper_of: Callable[..., Mapper]
    """The venue's mapper class."""
    history_window: int = 960 * MINUTE_MS
    recovery_minutes: int | None = None
    """Most minutes of mark bars on one page; None as many as `history_window`."""
    ping: ClassVar[Ping | None] = None
    subscription_pause: ClassVar[float] = 0.0
    depth_share: ClassVar[float] = 0.3
    """Share of a budget that polling order books may use; the rest is for everything else on that budget."""

    def __init__(self, settings: Settings) -> None:
        """Read addresses and intervals from `settings`."""
        self.facts = VENUE_FACTS[self.venue]
        addresses = settings.addresses_of(self.venue)
        self.websocket_url, self.rest_url = addresses.websocket_url, addresses.rest_url
        self.ingest = settings.ingest

    # -- what each venue says ------------------------------------------------------------------------------

    @abstractmethod
    async def listings(self, rest: Rest, event_time: int) -> Listings:
        """Return what the venue lists now; see `VenueFeed.listings`."""

    @abstractmethod
    async def margin_tiers(self, instruments: Sequence[Instrument], rest: Rest) -> Mapping[str, MarginTiers]:
        """Return tier tables by instrument name; see `VenueFeed.margin_tiers`."""

    @abstractmethod
    def socket(self, number: int, instruments: tuple[Instrument, ...]) -> tuple[str, str, tuple[str, ...]]:
        """Return name, address and subscriptions of one socket; `number` counts from 1."""

    @abstractmethod
    def history(self, instrument: Instrument, start: int, end: int) -> Sequence[Request]:
        """Return requests for history; see `VenueFeed.history`."""

    @abstractmethod
    async def missed_trades(self, instrument: Instrument, start: int, end: int, rest: Rest) -> Recovery:
        """Read the trades of a hole from `start` to `end` (ms), as far back as the venue keeps them."""

    # -- defaults ------------------------------------------------------------------------------------------

    def sockets(self, instruments: Sequence[Instrument]) -> int:
        """Return over how many sockets `instruments` may be spread: as many as the settings allow."""
        return self.ingest.connections

    def mark_bars(self, instrument: Instrument, start: int, end: int) -> Request | None:
        """Return the request for mark bars of `[start, end)`; None where the venue keeps none."""
        return None

    def depth_requests(self, instrument: Instrument) -> Sequence[Request]:
        """Return the requests that read an order book, the finest reading last; none where books are not read."""
        return ()

    def own_polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Return what has to be polled beside order books."""
        return ()

    async def fill(self, gap: SequenceGap, instrument: Instrument, rest: Rest) -> Recovery:
        """Return nothing: most venues number their trades in no way that shows a hole."""
        return NOTHING_RECOVERED

    def tasks(self, context: Context) -> Sequence[Awaitable[None]]:
        """Return nothing: most venues need no work of their own."""
        return ()

    # -- what is the same everywhere -----------------------------------------------------------------------

    @staticmethod
    def not_empty(listings: Listings) -> Listings:
        """Return `listings`.

        Raises:
            PoisonMessage: they name no instrument, so the answer was no listing, whatever its shape.
        """
        if listings.contracts or listings.left_out or any(row.instrument != UNKNOWN_NAME for row in listings.refused):
            return listings
        reason = f": {listings.refused[0].reason}" if listings.refused else ""
        raise PoisonMessage(f"Expected a listing, was an answer that names no instrument{reason}")

    def mapper(self, instruments: Sequence[Instrument]) -> Mapper:
        """Return a new mapper of these instruments."""
        # By the class, else Python would bind it as a method.
        return type(self).mapper_of(instruments)

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Spread the instruments evenly over the venue's sockets."""
        connections = []
        count = min(self.sockets(instruments), len(instruments))
        for number in range(1, count + 1):
            own = tuple(instruments[number - 1 :: count])
            name, url, subscriptions = self.socket(number, own)
            pause = self.subscription_pause if subscriptions else 0.0
            connections.append(Connection(name, url, own, subscriptions, pause, self.ping))
        return connections

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Return the venue's own polls, and those of order books."""
        return (*self.own_polls(instruments), *self._depth_polls(instruments))

    def _depth_polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        if not self.ingest.depth:
            return ()
        watched = sorted(instruments, key=lambda item: item.symbol not in DEFAULT_WATCH_LIST)
        requests = [request for item in watched[: self.ingest.depth_markets] for request in self.depth_requests(item)]
        if not requests:
            return ()
        return (Poll(DEPTH, self.slowed(self.ingest.depth_interval, requests, self.depth_share), tuple(requests)),)

    @staticmethod
    def slowed(interval: float, requests: Sequence[Request], share: float) -> float:
        """Return the interval (s) at which repeating `requests` stays within `share` of their budget."""
        limit: RateLimit = requests[0].limit
        weight = sum(request.weight for request in requests)
        return max(interval, weight * limit.seconds / (limit.weight * share))

    async def recover(self, instrument: Instrument, start: int, end: int, rest: Rest) -> Recovery:
        """Read the missed trades, and mark bars of the whole minutes that are missing."""
        trades = await self.missed_trades(instrument, start, end, rest)
        window = self.history_window if self.recovery_minutes is None else self.recovery_minutes * MINUTE_MS
        minutes = whole_minutes(start, end, window)
        request = self.mark_bars(instrument, *minutes) if minutes else None
        if request is None:
            return trades
        frame = wrap(request.stream, await rest.fetch(request))
        return Recovery((*trades.frames, frame), trades.complete)

    def request(
        self, path: str, budget: RateLimit, parameters: Mapping[str, str], weight: float = 1.0, stream: str = ""
    ) -> Request:
        """Return a GET of `path` below the venue's REST address."""
        return Request(f"{self.rest_url}{path}", budget, parameters, weight, stream)

    @staticmethod
    def checked(tables: Mapping[str, MarginTiers], refused: Mapping[str, str]) -> Mapping[str, MarginTiers]:
        """Return `tables`; say of each refused one why it was refused."""
        for name, reason in refused.items():
            log.warning("Margin tiers contradict themselves", instrument=name, reason=reason)
        return tables
