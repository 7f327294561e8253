"""Polls a kafka-python consumer without spinning: its own wait turns into a busy loop once a heartbeat is overdue.

The sink and the webhook poll through this. A poll that computes while it should wait is noticed by its processor time;
until that has passed, polls are short and the rest of the time is slept. Every eighth poll is longer and checks
whether it has passed: joining a group takes longer than a short poll.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka.errors import KafkaError

_BUSY_SHARE = 0.2
_WHOLE_SHARE = 0.95
"""Share of its timeout after which a poll counts as having timed out; the client rounds down to milliseconds."""
_JUDGED_SECONDS = 0.05
"""Shorter polls say nothing: their own work is a large share of them."""
_SHORT_SECONDS = 0.002
_SLEEP_SECONDS = 0.5
_PROBE_SECONDS = 0.12
_PROBE_EVERY = 8


def finish_joining(consumer: Any) -> None:
    """Have `consumer`, a member of a group, go on with a join that it has forgotten; call after each poll.

    kafka-python 3.0.12 joins again when its view of the topics has changed. As the group's leader it takes that view
    for settled once it has handed out the partitions; if the poll ends before the broker has answered, no later poll
    asks for the answer. Such a member sends no heartbeat, reads nothing and may not commit, for ever.
    """
    coordinator = consumer._coordinator
    if coordinator is not None and coordinator.rejoining and not coordinator.need_rejoin():
        coordinator.request_rejoin()


class CalmPoll:
    """Polls one consumer, from one thread."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._is_spinning = False
        self._short_polls = 0

    def __call__(self, timeout: float, limit: int | None = None) -> Mapping[Any, Sequence[Any]]:
        """Return the new messages by partition, after at most about `timeout` seconds, at most `limit` of them.

        A broker that is away is no error: none come, and the watch of the broker says why.

        Raises:
            KafkaError: it will not help to try again.
        """
        began, computed = time.monotonic(), time.thread_time()
        wait = timeout
        if self._is_spinning:
            wait = min(timeout, _PROBE_SECONDS if self._short_polls >= _PROBE_EVERY else _SHORT_SECONDS)
        polled: Mapping[Any, Sequence[Any]] = {}
        try:
            polled = self._consumer.poll(timeout_ms=int(wait * 1_000), max_records=limit)
        except KafkaError as error:
            # Mostly the client tries again by itself; what it asks just after it was given partitions it raises.
            if not error.retriable:
                raise
            time.sleep(min(timeout, _SLEEP_SECONDS))
        took, busy = time.monotonic() - began, time.thread_time() - computed
        if polled:
            self._is_spinning = False
        elif wait >= _JUDGED_SECONDS:
            self._is_spinning = took >= _WHOLE_SHARE * wait and busy > _BUSY_SHARE * took
            self._short_polls = 0
        if self._is_spinning:
            self._short_polls += 1
            if (left := min(timeout - took, _SLEEP_SECONDS)) > 0:
                time.sleep(left)
        return polled
