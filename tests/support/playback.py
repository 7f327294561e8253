"""Recorded payloads through a mapper, and the comparison of full events."""

from collections.abc import Iterable, Sequence

from ingest.venues.interface import Mapper
from liqheat.domain.events import Event


def played(mapper: Mapper, frames: Iterable[bytes | str], received_at: int) -> list[Event]:
    """Return the events of frames in order, all received at `received_at` (ms)."""
    raw = (frame.encode() if isinstance(frame, str) else frame for frame in frames)
    return [event for frame in raw for event in mapper.map(frame, received_at)]


def same(events: Sequence[Event], expected: Sequence[Event]) -> None:
    """Compare by text, since NaN (no such value) equals nothing."""
    assert [repr(event) for event in events] == [repr(event) for event in expected]
