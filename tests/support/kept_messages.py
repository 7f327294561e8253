"""A producer in memory, in place of kafka-python's: for tests of what the publisher sends."""

from typing import Any

from kafka.errors import KafkaTimeoutError

from liqheat.domain.events import Batch, Kind
from liqheat.platform import codec


class Answer:
    """What `send` gives back; `get` raises `error`, where there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def get(self, timeout: float | None = None) -> None:
        """Return, or raise the error."""
        if self._error is not None:
            raise self._error


class KeptMessages:
    """A producer that keeps what it is sent; while `is_down` it takes nothing, as a cluster without leaders."""

    def __init__(self) -> None:
        self.is_down = False
        self.refused = 0
        self.messages: list[tuple[str, dict[str, Any]]] = []
        """Topic and message, in order."""
        self._batches: list[Batch] = []

    def send(self, topic: str, **message: Any) -> Answer:
        """Keep a message."""
        if self.is_down:
            self.refused += 1
            return Answer(KafkaTimeoutError("no leader"))
        self.messages.append((topic, message))
        return Answer()

    def flush(self, timeout: float | None = None) -> None:
        """Nothing waits."""

    def close(self, timeout: float | None = None) -> None:
        """Nothing is open."""

    @property
    def letters(self) -> int:
        """How many dead letters there are."""
        return sum(topic == "dead-letters" for topic, _ in self.messages)

    def batches(self) -> list[Batch]:
        """Return everything published so far but dead letters, in order."""
        readable = [message for topic, message in self.messages if topic != "dead-letters"]
        self._batches += [codec.decode(item["headers"], item["value"]) for item in readable[len(self._batches) :]]
        return self._batches

    def rows(self, kind: Kind) -> list[dict[str, Any]]:
        """Return the rows of a kind with their symbol."""
        return [row for batch in self.batches() if batch.kind is kind for row in batch.frame.iter_rows(named=True)]
