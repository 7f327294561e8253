"""A frame read for a test: its events, or the error that the reader of a live feed would have had to handle."""

from collections.abc import Iterator

from ingest.sanity import UNEXPECTED, read_frame
from ingest.venues.interface import Mapper
from liqheat.domain.events import Event
from liqheat.platform.errors import PoisonMessage


def sane_events(mapper: Mapper, frame: bytes, received_at: int) -> Iterator[Event]:
    """Yield the events of `frame`, then raise what was wrong with it.

    Raises:
        PoisonMessage: the frame, or a row of it, could not be read.
        SequenceGap: events before some of it are missing.
    """
    reading = read_frame(mapper, frame, received_at)
    assert not reading.poison.startswith(UNEXPECTED), (frame, reading.poison)
    yield from reading.events
    if problems := list(reading.problems()):
        raise PoisonMessage("; ".join(problems))
    for gap in reading.gaps:
        raise gap
