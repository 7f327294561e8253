"""A bounded memory of what was seen, for mappers whose venue gives no consecutive numbers."""

from collections.abc import Hashable


class Recent:
    """Remembers the latest `capacity` keys; the oldest is forgotten when a new one needs the room."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._keys: dict[Hashable, None] = {}

    def add(self, key: Hashable) -> bool:
        """Remember `key`; return whether it was new."""
        if key in self._keys:
            return False
        if len(self._keys) >= self._capacity:
            del self._keys[next(iter(self._keys))]
        self._keys[key] = None
        return True

    def __len__(self) -> int:
        return len(self._keys)
