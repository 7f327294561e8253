"""One error tree, four fates.

    LiqheatError
    +-- TransientError(retry_after)      retry: a venue, broker or database that will be back
    +-- PoisonMessage(reason, origin)    dead letter: this message will never be readable
    +-- SequenceGap(stream, missing)     resynchronise: events were lost, fill and record the hole
    +-- FatalError                       stop: going on would be wrong
        +-- ConfigurationError           ... because a setting is wrong; the sentence says which
        +-- DeadLetterLimitExceeded      ... because too many messages in a row were poison

Drivers turn library exceptions into these at the edge; nothing else travels between modules.
"""

from dataclasses import dataclass


class LiqheatError(Exception):
    """Base of every error that liqheat raises on purpose."""


class TransientError(LiqheatError):
    """Something outside failed and is worth another try after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message came from: topic, partition and offset, or for a raw frame the stream's name and -1."""

    topic: str
    partition: int = -1
    offset: int = -1

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


class PoisonMessage(LiqheatError):
    """A message that cannot be read, now or later; `reason` is one sentence."""

    def __init__(self, reason: str, origin: Origin | None = None) -> None:
        super().__init__(f"{reason} ({origin})" if origin else reason)
        self.reason = reason
        self.origin = origin


class SequenceGap(LiqheatError):
    """Events of `stream` are missing between two sequence numbers, both exclusive.

    `further` holds the other holes that the same frame showed.
    """

    def __init__(self, stream: str, after: int, before: int, further: "tuple[SequenceGap, ...]" = ()) -> None:
        super().__init__(f"{before - after - 1} events of {stream} are missing after {after}")
        self.stream = stream
        self.after = after
        self.before = before
        self.further = further

    @property
    def missing(self) -> int:
        """How many events are missing."""
        return self.before - self.after - 1


class FatalError(LiqheatError):
    """Going on would be wrong; the process stops with this sentence and a non-zero exit status."""


class ConfigurationError(FatalError):
    """A setting is missing or wrong; the sentence names it and says what to do."""


class DeadLetterLimitExceeded(FatalError):
    """Too many messages in a row were poison, so something upstream is broken."""
