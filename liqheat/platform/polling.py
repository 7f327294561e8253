"""Polls a kafka-python consumer without spinning: its own wait turns into a busy loop once a heartbeat is overdue.

The sink and the webhook poll through this. A poll that computes while it should wait is noticed by its processor time;
until that has passed, polls are short and the rest of the time is slept.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

_BUSY_SHARE = 0.2
_SHORT_SECONDS = 0.002
_SLEEP_SECONDS = 0.5


class CalmPoll:
    """Polls one consumer, from one thread."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._is_spinning = False

    def __call__(self, timeout: float, limit: int | None = None) -> Mapping[Any, Sequence[Any]]:
        """Return the new messages by partition, after at most about `timeout` seconds, at most `limit` of them."""
        began, computed = time.monotonic(), time.thread_time()
        wait = min(timeout, _SHORT_SECONDS) if self._is_spinning else timeout
        polled: Mapping[Any, Sequence[Any]] = self._consumer.poll(timeout_ms=int(wait * 1_000), max_records=limit)
        took, busy = time.monotonic() - began, time.thread_time() - computed
        self._is_spinning = not polled and took >= wait > 0 and busy > _BUSY_SHARE * took
        if self._is_spinning and (left := min(timeout - took, _SLEEP_SECONDS)) > 0:
            time.sleep(left)
        return polled
