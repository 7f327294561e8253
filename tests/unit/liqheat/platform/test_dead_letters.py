"""Dead letters on their way to the topic: cut to what Kafka takes, kept until the broker has them."""

from typing import Any

import pytest

from liqheat.platform.dead_letters import KafkaDeadLetters
from liqheat.platform.errors import Origin, TransientError
from liqheat.platform.kafka import MAXIMUM_MESSAGE_BYTES
from liqheat.platform.settings import Kafka


class Producer:
    """Keeps what it is given; as a delivery, it says whether the broker took it."""

    exception = "the broker is away"

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.is_taking = True

    def send(self, topic: str, **message: Any) -> "Producer":
        assert topic == "dead-letters"
        self.sent.append(message)
        return self

    def flush(self, timeout: float) -> None:
        assert timeout > 0

    def succeeded(self) -> bool:
        return self.is_taking


def test_the_largest_message_fits_with_its_reason_and_headers() -> None:
    producer = Producer()
    letters = KafkaDeadLetters(Kafka(), "sinks", producer)
    letters.add("r" * 1_000, Origin("alerts", 1, 2), {"kind": b"k" * 1_000}, b"x" * MAXIMUM_MESSAGE_BYTES)
    letters.flush()
    (message,) = producer.sent
    size = len(message["value"]) + sum(len(name) + len(value) for name, value in message["headers"])
    assert MAXIMUM_MESSAGE_BYTES // 2 < size < MAXIMUM_MESSAGE_BYTES - 1_000
    assert set(message["value"]) == set(b"x")


def test_what_the_broker_does_not_take_waits_and_is_sent_once_more() -> None:
    producer = Producer()
    letters = KafkaDeadLetters(Kafka(), "sinks", producer)
    letters.add("reason", Origin("alerts", 1, 2), {}, b"first")
    producer.is_taking = False
    with pytest.raises(TransientError, match="1 dead letters were not taken by dead-letters: the broker is away"):
        letters.flush()
    producer.is_taking = True
    letters.add("reason", Origin("alerts", 1, 3), {}, b"second")
    letters.flush()
    letters.flush()
    assert [message["value"] for message in producer.sent] == [b"first", b"first", b"second"]
