"""What is not readable or not credible becomes a dead letter; too many in a row stop the processor.

`read_batch` is the one gate through which messages of the log reach the engine. Dead letters carry the
original bytes, the reason and the origin, so that nothing is lost and everything can be explained.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from liqheat.domain.events import Batch
from liqheat.domain.market import Venue
from liqheat.platform.codec import decode
from liqheat.platform.errors import DeadLetterLimitExceeded, Origin, PoisonMessage
from liqheat.platform.kafka import dead_letter_headers
from processors.worker.engine import INPUT_KINDS

STAGE = "processors"
"""What the header `stage` of a dead letter from here says."""

_VENUES = frozenset(Venue)


class LogMessage(Protocol):
    """One message of the log, as Faust's consumer hands it over; `timestamp` is in seconds."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]] | None
    key: bytes | None
    value: bytes | None


def origin_of(message: LogMessage) -> Origin:
    """Return where `message` stands in the log."""
    return Origin(message.topic, message.partition, message.offset)


def read_batch(message: LogMessage, maximum_lead_ms: int) -> Batch:
    """Return the batch in `message`.

    Raises:
        PoisonMessage: it cannot be decoded, is no position event, is not of the symbol in its key or of a
            known venue, or its events are further ahead of its own timestamp than `maximum_lead_ms`.
    """
    batch = decode(message.headers or (), message.value)
    if batch.kind not in INPUT_KINDS:
        raise PoisonMessage(f"Expected a kind of position event, was {batch.kind.value!r}")
    if batch.venue not in _VENUES:
        raise PoisonMessage(f"Expected a known venue, was {batch.venue!r}")
    if message.key is None or message.key != batch.symbol.encode():
        raise PoisonMessage(f"Expected the key {batch.symbol!r} of its header, was {message.key!r}")
    # One event from the far future would move the watermark there and make everything after it late.
    latest = batch.frame.get_column("event_time").max()
    written_at = round(message.timestamp * 1_000)
    if isinstance(latest, int) and latest > written_at + maximum_lead_ms:
        raise PoisonMessage(
            f"An event is {latest - written_at:,} ms ahead of its message, more than {maximum_lead_ms:,}"
        )
    return batch


def letter_headers(message: LogMessage, reason: str) -> list[tuple[str, bytes]]:
    """Return the headers of the dead letter for `message`."""
    headers = message.headers or ()
    original = dict(headers.items() if isinstance(headers, Mapping) else headers)
    # A header without a value is legal in Kafka; in a dead letter it is an empty one.
    return dead_letter_headers(
        reason, origin_of(message), STAGE, {name: value or b"" for name, value in original.items()}
    )


class PoisonLimit:
    """Counts poison messages in a row on one partition, and says when that is too many."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_a_row = 0

    def good(self) -> None:
        """Note a message that could be read."""
        self._in_a_row = 0

    def poison(self, error: PoisonMessage, origin: Origin) -> None:
        """Note a message that could not be read.

        Raises:
            DeadLetterLimitExceeded: it is the last that is borne.
        """
        self._in_a_row += 1
        if self._in_a_row >= self._limit:
            raise DeadLetterLimitExceeded(
                f"{self._in_a_row} messages in a row were poison, the last at {origin}: {error.reason}; "
                "repair what writes them, or raise LIQHEAT_ENGINE__DEAD_LETTER_LIMIT to pass over them"
            )
