"""Polls that do not spin, and consumers that get back into their group."""

from types import SimpleNamespace

import pytest
from kafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from liqheat.platform.polling import CalmPoll, finish_joining


class Clock:
    """In place of the module `time`: moved by hand, so that a busy machine changes nothing."""

    def __init__(self) -> None:
        self.now = 0.0
        self.computed = 0.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.computed

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Spinning:
    """A consumer that computes for as long as it may wait, as kafka-python does once a heartbeat is overdue."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.is_out = True

    def poll(self, timeout_ms: int, max_records: int | None = None) -> dict[str, list[str]]:
        if not self.is_out:
            return {"partition": ["message"]}
        self.clock.now += timeout_ms / 1_000
        self.clock.computed += timeout_ms / 1_000
        return {}


def test_a_poll_that_spins_sleeps_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("liqheat.platform.polling.time", clock)
    consumer = Spinning(clock)
    poll = CalmPoll(consumer)
    while clock.now < 30.0:
        assert poll(1.0) == {}
    assert clock.computed / clock.now < 0.1
    consumer.is_out = False
    assert poll(1.0) == {"partition": ["message"]}


def test_a_broker_that_goes_away_is_waited_for_and_a_refusal_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("liqheat.platform.polling.time", clock)
    errors: list[Exception] = [KafkaConnectionError("111 ECONNREFUSED"), TopicAuthorizationFailedError("no")]

    def poll(**_: object) -> dict[str, list[str]]:
        raise errors.pop(0)

    calm = CalmPoll(SimpleNamespace(poll=poll))
    assert calm(1.0) == {}
    assert clock.now == 0.5, "it does not ask without pause"
    with pytest.raises(TopicAuthorizationFailedError):
        calm(1.0)


class Joining:
    """A consumer that computes for one poll and waits from then on, as one does that joins its group again."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.waits: list[float] = []

    def poll(self, timeout_ms: int, max_records: int | None = None) -> dict[str, list[str]]:
        wait = timeout_ms / 1_000
        self.clock.now += wait
        if not self.waits:
            self.clock.computed += wait
        self.waits.append(wait)
        return {}


def test_a_poll_that_spun_once_waits_again_where_no_message_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Joining a group takes longer than a short poll."""
    clock = Clock()
    monkeypatch.setattr("liqheat.platform.polling.time", clock)
    consumer = Joining(clock)
    poll = CalmPoll(consumer)
    for _ in range(12):
        poll(0.1)
    assert consumer.waits == [0.1, *[0.002] * 7, *[0.1] * 4]


def test_a_poll_too_short_to_be_judged_is_not_taken_for_spinning(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("liqheat.platform.polling.time", clock)
    consumer = Joining(clock)
    poll = CalmPoll(consumer)
    poll(0.004)
    poll(0.1)
    assert consumer.waits == [0.004, 0.1]


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
