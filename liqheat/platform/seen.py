"""A bounded memory of what was seen: trades of a venue without consecutive numbers, alerts that were sent."""

from collections import deque
from collections.abc import Hashable

TRADES_REMEMBERED = 100_000
"""About a minute of a crash, in all markets of a socket: what is read again after a reconnect is among them."""


class Recent:
    """Remembers the latest `capacity` keys; the oldest is forgotten when a new one needs the room."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._keys: set[Hashable] = set()
        # A dict alone would do, but finding its oldest key slows down with every key that was deleted.
        self._order: deque[Hashable] = deque()

    def add(self, key: Hashable) -> bool:
        """Remember `key`; return whether it was new."""
        if key in self._keys:
            return False
        if len(self._order) >= self._capacity:
            self._keys.discard(self._order.popleft())
        self._keys.add(key)
        self._order.append(key)
        return True

    def __len__(self) -> int:
        return len(self._keys)
