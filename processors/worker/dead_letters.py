"""What is not readable or not credible becomes a dead letter.

Dead letters carry the original bytes (of a message refused in part, its refused rows), the reason and the origin, so
that nothing is lost and everything can be explained.
"""

from collections.abc import Mapping

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
