"""What ClickHouse answered lately, kept for all viewers within a bound of bytes; the least recently used goes first.

Between `stored`, which says how long each answer counts, and the threads that read. Knows no clock.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

_ENTRY_BYTES = 500
"""What an entry takes beside its value: key, object, place in the order."""


class Kept:
    """Values by key, each with its bytes and the time (ms) until which it counts; any thread may call."""

    def __init__(self, limit: int) -> None:
        """Keep at most `limit` bytes."""
        self._limit = limit
        self._bytes = 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, tuple[Any, int, int]] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return self._bytes

    def get(self, key: Hashable, now: int) -> Any:
        """Return what is kept under `key` and still counts at `now` (ms), else None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry[2] <= now:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: Hashable, value: Any, nbytes: int, until: int) -> None:
        """Keep `value`, of `nbytes` bytes, until `until` (ms), or until others need its place."""
        size = nbytes + _ENTRY_BYTES
        with self._lock:
            before = self._entries.pop(key, None)
            if before is not None:
                self._bytes -= before[1]
            self._entries[key] = (value, size, until)
            self._bytes += size
            while self._bytes > self._limit:
                self._bytes -= self._entries.popitem(last=False)[1][1]
