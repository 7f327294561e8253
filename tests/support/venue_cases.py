"""What tests over all venues need to know of each: said by the venue's own playback test, in its `CASE`."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from liqheat.domain.market import Venue

Rows = list[dict[str, Any]]


def _no_frames(time: int, number: int) -> list[tuple[Rows, Callable[[Rows], Any]]]:
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueCase:
    """One venue as the tests over all venues see it.

    Attributes:
        trades_topic: what the simulated socket calls the trades of WLD.
        marks_topic: what it calls its marks; the beginning of it will do.
        marks_carry_open_interest: whether losing the marks loses open interest too.
        marks_are_shared: whether one subscription carries the marks of all markets.
        socket_path: part of the path of its sockets and of no request.
        rest_path: part of the path of its requests and of no socket.
        connection: how the names of its connections begin.
        has_trade_history: whether trades that a socket missed can be read by REST.
        sends_backlog: whether a new subscription begins with the latest trades.
        stamps_marks: whether marks have the venue's own time.
        frames: documented frames that are not among the recorded ones.
        good_frames: for fuzzing, of a time in ms and a number: lists of rows and how each is wrapped into a frame.
        odd_instrument: the instrument of spoilt rows.
        decisive_fields: what a spoilt row goes without where rows name no instrument, so that it is bad for certain.
    """

    trades_topic: str
    marks_topic: str
    marks_carry_open_interest: bool = False
    marks_are_shared: bool = False
    socket_path: str
    rest_path: str
    connection: str
    has_trade_history: bool = True
    sends_backlog: bool = False
    stamps_marks: bool = True
    frames: tuple[str, ...] = ()
    good_frames: Callable[[int, int], list[tuple[Rows, Callable[[Rows], Any]]]] = _no_frames
    odd_instrument: str = ""
    decisive_fields: tuple[str, ...] = ()


def case_of(venue: Venue) -> VenueCase:
    """Return the case of a venue: `CASE` of its playback test."""
    case: VenueCase = import_module(f"tests.playback.test_{venue.value}").CASE
    return case
