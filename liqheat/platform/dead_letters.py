"""Dead letters: what cannot be read goes to a topic with its reason and origin, and too many in a row stop the stage.

What reads a log counts with `PoisonLimit`. Stages whose producer is kafka-python's, or that have none, send with
`KafkaDeadLetters`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kafka.errors import KafkaError

from liqheat.platform import kafka, metrics
from liqheat.platform.errors import DeadLetterLimitExceeded, Origin, TransientError
from liqheat.platform.settings import Kafka
from liqheat.platform.topics import Topic

_TIMEOUT = 5.0


class PoisonLimit:
    """Counts poison messages in a row, and says when that is too many."""

    def __init__(self, limit: int, setting: str) -> None:
        """Stop at `limit`; `setting` names the environment variable that raises it."""
        self._limit = limit
        self._setting = setting
        self.in_a_row = 0
        self._latest = ""

    @property
    def reached(self) -> bool:
        """Whether there were too many: the stage must store what it has and stop."""
        return self.in_a_row >= self._limit

    def good(self) -> None:
        """Note a message that could be read."""
        self.in_a_row = 0

    def count(self, reason: str, origin: Origin) -> None:
        """Note a message that could not be read."""
        self.in_a_row += 1
        self._latest = f"{origin}: {reason}"

    def error(self) -> DeadLetterLimitExceeded:
        """Return the error to stop with."""
        return DeadLetterLimitExceeded(
            f"{self.in_a_row} messages in a row were poison, the last at {self._latest}; repair what writes them "
            f"(the view dead_letters has them), or raise {self._setting} to pass over them"
        )


class KafkaDeadLetters:
    """The dead-letter topic for one stage; a producer of its own is opened with the first dead letter."""

    def __init__(self, settings: Kafka, stage: str, producer: Any = None) -> None:
        """Send with `producer`, which the caller closes, or else with one of its own."""
        self._kafka = settings
        self._stage = stage
        self._producer = producer
        self._is_own = producer is None
        self._waiting: list[tuple[list[tuple[str, bytes]], bytes]] = []

    def add(self, reason: str, origin: Origin, headers: Mapping[str, bytes], value: bytes) -> None:
        """Keep one dead letter for the next `flush`; `headers` and `value` are the original's, cut where too large."""
        letter_headers = kafka.dead_letter_headers(reason, origin, self._stage, headers)
        self._waiting.append((letter_headers, value[: kafka.MAXIMUM_VALUE_BYTES]))
        metrics.DEAD_LETTERS.labels(self._stage).inc()

    def flush(self) -> None:
        """Send what waits; what the broker does not confirm waits on.

        Raises:
            TransientError: something was not confirmed.
        """
        if not self._waiting:
            return
        if self._producer is None:
            self._producer = kafka.producer(self._kafka)
        topic = self._kafka.topic(Topic.DEAD_LETTERS)
        failed: list[tuple[list[tuple[str, bytes]], bytes]] = []
        reason = ""
        try:
            sent: Sequence[tuple[tuple[list[tuple[str, bytes]], bytes], object]] = [
                (message, self._producer.send(topic, value=message[1], headers=message[0])) for message in self._waiting
            ]
            self._producer.flush(timeout=_TIMEOUT)
        except KafkaError as error:
            raise kafka.unreachable(self._kafka, error) from error
        for message, future in sent:
            if not future.succeeded():  # type: ignore[attr-defined] # kafka-python ships no types
                failed.append(message)
                reason = str(future.exception)  # type: ignore[attr-defined]
        self._waiting = failed
        if failed:
            raise TransientError(f"{len(failed)} dead letters were not taken by {topic}: {reason}")

    def close(self) -> None:
        """Close the producer, if there is one that is its own."""
        if self._is_own and self._producer is not None:
            self._producer.close(timeout=_TIMEOUT)
