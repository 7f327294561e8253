"""Whether Kafka's client has ceased to deliver a partition: nothing comes of it, though the group has messages to read.

Faust may leave a partition out after a rebalance. The worker asks again, and where that does not help it ends with a
sentence, to be started again by what supervises it. Pure; the worker looks every half second.
"""

from collections.abc import Mapping

IDLE_SECONDS = 20.0
"""How long a worker may be given nothing at all while messages wait for it."""
QUIET_SECONDS = 120.0
"""The same of one partition while others keep the worker busy: in a backlog each waits for its turn."""


class Standstill:
    """Remembers when a message of each partition was last handled."""

    def __init__(self) -> None:
        self._handled: dict[int, int] = {}
        self._since: dict[int, float] = {}

    def look(self, now: float, handled: Mapping[int, int], standing: Mapping[int, float] | None) -> int | None:
        """Return a partition of which nothing is delivered any more, None while there is none.

        Args:
            now: monotonic time, s.
            handled: how many messages were handled so far, of each partition that is this worker's.
            standing: for how many seconds nothing was committed of a partition that has messages to read; None while
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
        for number in sorted(standing.keys() & self._since.keys()):
            quiet = min(standing[number], now - self._since[number])
            if min(quiet, idle) > IDLE_SECONDS or quiet > QUIET_SECONDS:
                return number
        return None
