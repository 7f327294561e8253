"""What the load's server asks of a venue: frames for sockets, ready to send, and bodies for requests."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from liqheat.domain.market import Venue
from tests.bench.market.activity import Market
from tests.bench.market.tape import Step

Query = Mapping[str, Any]


class Framed(NamedTuple):
    """A WebSocket frame, complete with its header, for all who subscribed to `topic`."""

    topic: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """What a client's message asks for: topics to add, and payloads to answer with."""

    topics: Sequence[str] = ()
    answers: Sequence[str] = ()


class VenueWire(Protocol):
    """One venue's formats; `own` are the numbers of its markets on the tape."""

    venue: Venue
    socket_path: str
    budget: str
    """The documented budget that polls and reads are held to by the ingest services."""

    def frames(self, step: Step) -> Iterator[Framed]:
        """Yield what one step of the tape puts on the sockets."""
        ...

    def hear(self, text: str, now: int) -> Heard:
        """Read a client's message."""
        ...

    def answer(self, path: str, query: Query, now: int) -> bytes | None:
        """Return the body for a request (for POST, `query` holds its JSON), None for a path that is unknown."""
        ...


class Listing:
    """A venue's own markets on the tape."""

    def __init__(self, venue: Venue, markets: Sequence[Market]) -> None:
        self.own = [(number, market) for number, market in enumerate(markets) if market.venue is venue]
        self.by_name = {market.name: number for number, market in self.own}
        self.first = self.own[0][0]
        self.last = self.own[-1][0]
        self.numbers = frozenset(number for number, _ in self.own)


def framed(payload: str) -> bytes:
    """Return an unmasked text frame, as servers send it (RFC 6455, section 5.2)."""
    data = payload.encode()
    length = len(data)
    if length < 126:
        return bytes((0x81, length)) + data
    if length < 65_536:
        return struct.pack("!BBH", 0x81, 126, length) + data
    return struct.pack("!BBQ", 0x81, 127, length) + data


def price_text(market: Market, price: float) -> str:
    """Return a price as the venue writes it."""
    return f"{price:.{market.price_decimals}f}"


def size_text(market: Market, size: float) -> str:
    """Return a size as the venue writes it; never zero."""
    return f"{max(size, 10.0**-market.size_decimals):.{market.size_decimals}f}"
