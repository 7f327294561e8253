"""Whether Kafka's client has ceased to deliver a partition: nothing comes of it, though the group has messages to read.

Faust and kafka-python may leave a partition out after a rebalance. The worker asks again; where that does not help, and
in the sink, the service ends with a sentence, to be started again by what supervises it. Pure.
"""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Partition = TypeVar("Partition", bound=Hashable)

IDLE_SECONDS = 20.0
"""How long a service may be given nothing at all while messages wait for it."""
QUIET_SECONDS = 120.0
"""The same of one partition while others keep the service busy: in a backlog each waits for its turn."""


class Standstill(Generic[Partition]):
    """Remembers when a message of each partition was last handled."""

    def __init__(self) -> None:
        self._handled: dict[Partition, int] = {}
        self._since: dict[Partition, float] = {}

    def look(
        self, now: float, handled: Mapping[Partition, int], standing: Mapping[Partition, float] | None
    ) -> Partition | None:
        """Return a partition of which nothing is delivered any more, None while there is none.

        Args:
            now: seconds of a clock that goes on only while the client may deliver.
            handled: how many messages came so far, of each partition that is this service's.
            standing: for how many seconds nothing was done of a partition that has messages to read; None while
                the broker does not answer, after which the client has all its time again.
        """
        if standing is None:
            self._handled.clear()
            self._since.clear()
            return None
        for number in self._since.keys() - handled.keys():
            del self._since[number], self._handled[number]
        for number, count in handled.items():
            if self._handled.get(number) != count:
                self._handled[number], self._since[number] = count, now
        idle = now - max(self._since.values(), default=now)
        for number in sorted(standing.keys() & self._since.keys(), key=str):
            quiet = min(standing[number], now - self._since[number])
            if min(quiet, idle) > IDLE_SECONDS or quiet > QUIET_SECONDS:
                return number
        return None
