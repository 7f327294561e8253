"""What a venue must offer: a pure mapper from raw frames to events.

The feed runner, `liqheat replay` and `liqheat normalise` all drive mappers through this protocol, so live
traffic and playback take the same way.
"""

from collections.abc import Iterator
from typing import Protocol

from liqheat.domain.events import Event
from liqheat.domain.market import Venue


class Mapper(Protocol):
    """Turns one venue's raw frames, WebSocket or REST alike, into normalised events.

    A mapper is pure: no clock, no I/O, no logging. It may keep what the frames themselves said (a ticker
    snapshot, contract values, the last trade id); one mapper serves one connection.
    """

    venue: Venue

    def map(self, frame: bytes, received_at: int) -> Iterator[Event]:
        """Yield the events in `frame`, oldest first; nothing for acknowledgements, pongs and ignored instruments.

        Args:
            frame: one WebSocket text frame or REST body, as received.
            received_at: when it was received, ms.

        Raises:
            PoisonMessage: the frame is no JSON, or not of a shape the venue documents.
            SequenceGap: events before those of this frame are missing; the frame's own events have been yielded.
        """
        ...
