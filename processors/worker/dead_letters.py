"""What is not readable or not credible becomes a dead letter; too many in a row stop the processor.

Dead letters carry the original bytes (of a message refused in part, its refused rows), the reason and the origin, so
that nothing is lost and everything can be explained.
"""

from collections.abc import Mapping

from liqheat.platform.errors import DeadLetterLimitExceeded, Origin, PoisonMessage
from liqheat.platform.kafka import dead_letter_headers
from processors.worker.reading import LogMessage, origin_of

STAGE = "processors"
"""What the header `stage` of a dead letter from here says."""


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
            DeadLetterLimitExceeded: it is one too many.
        """
        self._in_a_row += 1
        if self._in_a_row >= self._limit:
            raise DeadLetterLimitExceeded(
                f"{self._in_a_row} messages in a row were poison, the last at {origin}: {error.reason}; "
                "repair what writes them, or raise LIQHEAT_ENGINE__DEAD_LETTER_LIMIT to pass over them"
            )
