"""What a venue's wire format must offer to the server: frames for sockets, answers for requests.

A wire is pure: it turns what happened in a market into payloads and client messages into subscriptions; the
server owns sockets, pacing, rate limits and faults.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from liqheat.domain.market import Venue
from liqheat.simulator.history import VenueMarket
from liqheat.simulator.order_book import BookLevels

Payload = dict[str, Any] | list[Any]
Query = Mapping[str, Any]


class Frame(NamedTuple):
    """A payload for everybody who subscribed to `topic`."""

    topic: str
    payload: Payload


@dataclass(slots=True)
class Subscriber:
    """One client's socket as its wire sees it: what it asked for."""

    topics: set[str] = field(default_factory=set)
    is_combined: bool = False
    """Binance: whether frames come wrapped with their stream's name."""


@dataclass(frozen=True, slots=True)
class RequestRefused(Exception):
    """A request that the venue refuses, with its status and body."""

    status: int
    body: Payload


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `weight` within `seconds`; `is_by_path` counts each path on its own."""

    weight: int
    seconds: float
    is_by_path: bool = False


class Wire(Protocol):
    """One venue's formats."""

    venue: Venue
    notice: str
    """A frame that is no event, as the venue would write it: of maintenance, or of a channel that is new."""
    socket_paths: tuple[str, ...]
    rate_limit: RateLimit
    silence_limit: float | None
    """Seconds without traffic after which the venue cuts a socket; None where it does not."""

    def connect(self, path: str, query: Query) -> Subscriber:
        """Return the state of a new socket opened at `path`."""
        ...

    def publish(self, view: VenueMarket) -> Iterator[Frame]:
        """Yield what the latest step of a market puts on the sockets."""
        ...

    def receive(self, text: str, subscriber: Subscriber) -> Iterator[str]:
        """Yield the answers to a client's message; changes what it is subscribed to."""
        ...

    def encode(self, frame: Frame, subscriber: Subscriber) -> str:
        """Return the frame's text for this subscriber."""
        ...

    def answer(self, path: str, query: Query) -> Payload:
        """Return the body for a request; for POST, `query` holds the fields of the JSON body.

        Raises:
            RequestRefused: as the venue would.
        """
        ...

    def weight(self, path: str, query: Query) -> int:
        """Return what a request costs."""
        ...


class BaseWire:
    """What most venues do alike: sockets that start without topics, one form of frame for all, requests that cost 1."""

    silence_limit: float | None = None

    def connect(self, path: str, query: Query) -> Subscriber:
        """Return a socket without topics: they come by message."""
        return Subscriber()

    def encode(self, frame: Frame, subscriber: Subscriber) -> str:
        """Return the frame as JSON."""
        return dumps(frame.payload)

    def weight(self, path: str, query: Query) -> int:
        """Return 1."""
        return 1


def rows_of(levels: BookLevels, size_per_coin: float = 1.0) -> Iterator[tuple[str, str, int]]:
    """Yield price, size and number of orders of each level, sizes as coins times `size_per_coin`."""
    for price, quantity, orders in zip(*(column.tolist() for column in levels), strict=True):
        yield number(price), number(quantity * size_per_coin), orders


def dumps(payload: Payload) -> str:
    """Return compact JSON, as venues send it."""
    return json.dumps(payload, separators=(",", ":"))


def number(value: float, decimals: int = 8) -> str:
    """Return a plain decimal number without trailing zeros, as text."""
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def window(
    rows: Iterable[tuple[Any, ...]], start: int | None, end: int | None, limit: int, *, key: int = 0
) -> list[Any]:
    """Return rows with `start <= row[key] <= end`: the first `limit` where a start is given, else the last."""
    chosen = [row for row in rows if (start is None or row[key] >= start) and (end is None or row[key] <= end)]
    return chosen[:limit] if start is not None else chosen[-limit:]


def optional_int(query: Query, name: str) -> int | None:
    """Return a whole number of the query, None where it is absent or empty."""
    text = str(query.get(name) or "")
    return int(text) if text else None
