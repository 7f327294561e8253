"""Polls that do not spin, and consumers that get back into their group."""

import time
from types import SimpleNamespace

import pytest

from liqheat.platform.polling import CalmPoll, finish_joining


class Spinning:
    """A consumer that computes for as long as it may wait, as kafka-python does once a heartbeat is overdue."""

    def __init__(self) -> None:
        self.is_out = True

    def poll(self, timeout_ms: int, max_records: int | None = None) -> dict[str, list[str]]:
        if not self.is_out:
            return {"partition": ["message"]}
        until = time.monotonic() + timeout_ms / 1_000
        while time.monotonic() < until:
            pass
        return {}


def test_a_poll_that_spins_sleeps_instead() -> None:
    consumer = Spinning()
    poll = CalmPoll(consumer)
    began, computed = time.monotonic(), time.thread_time()
    while time.monotonic() - began < 4.0:
        assert poll(0.3) == {}
    share = (time.thread_time() - computed) / (time.monotonic() - began)
    assert share < 0.15
    consumer.is_out = False
    assert poll(0.3) == {"partition": ["message"]}


class Joining:
    """A consumer that computes for one poll and waits from then on, as one does that joins its group again."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def poll(self, timeout_ms: int, max_records: int | None = None) -> dict[str, list[str]]:
        self.waits.append(timeout_ms / 1_000)
        if len(self.waits) > 1:
            time.sleep(timeout_ms / 1_000)
            return {}
        until = time.monotonic() + timeout_ms / 1_000
        while time.monotonic() < until:
            pass
        return {}


def test_a_poll_that_spun_once_waits_again_where_no_message_comes() -> None:
    """Of short polls alone a consumer would never get back into its group: it begins to join anew in each."""
    consumer = Joining()
    poll = CalmPoll(consumer)
    for _ in range(12):
        poll(0.1)
    assert consumer.waits[:3] == [0.1, 0.002, 0.002]
    assert consumer.waits[-2:] == [0.1, 0.1]


def test_a_poll_too_short_to_be_judged_is_not_taken_for_spinning() -> None:
    consumer = Spinning()
    poll = CalmPoll(consumer)
    for _ in range(5):
        poll(0.004)
    waits = Joining()
    poll._consumer = waits
    poll(0.1)
    assert waits.waits == [0.1]


@pytest.mark.parametrize(
    ("rejoining", "need_rejoin", "asked"),
    [(True, False, 1), (True, True, 0), (False, False, 0), (False, True, 0)],
)
def test_a_join_that_was_forgotten_on_its_way_is_asked_for_again(
    rejoining: bool, need_rejoin: bool, asked: int
) -> None:
    requests: list[None] = []
    coordinator = SimpleNamespace(
        rejoining=rejoining, need_rejoin=lambda: need_rejoin, request_rejoin=lambda: requests.append(None)
    )
    finish_joining(SimpleNamespace(_coordinator=coordinator))
    assert len(requests) == asked


def test_a_consumer_without_a_group_has_nothing_to_join() -> None:
    finish_joining(SimpleNamespace(_coordinator=None))
