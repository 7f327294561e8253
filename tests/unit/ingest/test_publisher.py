"""The publisher: batches by rows and age, order, retries, bounded waiting, and nothing left behind."""

import asyncio
import threading
from typing import Any

import msgspec
import pytest
from kafka.errors import KafkaTimeoutError

from ingest.batching import BatchPolicy
from ingest.publisher import Publisher
from liqheat.domain.events import Batch, Gap, Mark, Trade, from_batch
from liqheat.domain.market import Venue
from liqheat.platform import codec
from liqheat.platform.errors import FatalError, Origin
from liqheat.platform.partitions import partition_of
from liqheat.platform.settings import Kafka
from tests.support.kept_messages import Answer
from tests.support.waiting import until

TAO = (Venue.BINANCE, "TAO", "TAOUSDT")
LETTERS = "dead-letters"
SOON = BatchPolicy(rows=100, age=0.02, quiet_age=0.02, queue_rows=1_000)


class FakeProducer:
    """Keeps what it is sent; refuses the first `failures` messages; holds `flush` while `gate` is shut."""

    def __init__(self, failures: int = 0) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.failures = failures
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False

    def send(self, topic: str, **message: Any) -> Answer:
        if self.failures:
            self.failures -= 1
            return Answer(KafkaTimeoutError("too slow"))
        self.sent.append((topic, message))
        return Answer()

    def flush(self, timeout: float | None = None) -> None:
        self.gate.wait(10)

    def close(self, timeout: float | None = None) -> None:
        self.closed = True

    def batches(self) -> list[Batch]:
        return [codec.decode(message["headers"], message["value"]) for _, message in self.sent]


def trade(number: int, place: tuple[Venue, str, str] = TAO) -> Trade:
    return Trade(*place, number, 300.0, 1.0, 1, number)


WLD = (Venue.BINANCE, "WLD", "WLDUSDT")


async def test_rows_of_one_kind_venue_and_partition_share_a_message_each_market_in_its_order() -> None:
    producer = FakeProducer()
    others = [name for name in ("A", "B", "C", "D", "E") if partition_of(name, 2) == partition_of("TAO", 2)]
    near = (Venue.BINANCE, others[0], f"{others[0]}USDT")
    assert partition_of("WLD", 2) != partition_of("TAO", 2)
    async with Publisher(producer, SOON, kafka=Kafka(partitions=2)) as publisher:
        for number in range(3):
            publisher.add(trade(number))
            publisher.add(trade(10 + number, near))
        publisher.add(Mark(*TAO, 5, 300.0))
        publisher.add(trade(9, WLD))
        publisher.add(trade(7, (Venue.BYBIT, "TAO", "TAOUSDT")))
        await until(lambda: publisher.waiting == 0)
    home = partition_of("TAO", 2)
    assert [(batch.venue, batch.kind.value) for batch in producer.batches()] == [
        ("binance", "trades"),
        ("binance", "marks"),
        ("binance", "trades"),
        ("bybit", "trades"),
    ]
    assert [message["partition"] for _, message in producer.sent] == [home, home, 1 - home, home]
    assert {topic for topic, _ in producer.sent} == {"position-events"}
    near_first = [trade(10 + number, near) for number in range(3)] + [trade(number) for number in range(3)]
    assert from_batch(producer.batches()[0]) == near_first
    assert producer.closed


async def test_few_rows_wait_longer_than_many_and_no_kind_of_a_partition_falls_behind_another() -> None:
    producer = FakeProducer()
    policy = BatchPolicy(rows=100, age=0.01, worth_rows=5, quiet_age=30.0)
    async with Publisher(producer, policy) as publisher:
        publisher.add(Mark(*TAO, 5, 300.0))
        publisher.add(trade(1, WLD))
        await asyncio.sleep(0.1)
        assert not producer.sent
        for number in range(4):
            publisher.add(trade(number))
        await until(lambda: len(producer.sent) == 2)
        assert [batch.kind.value for batch in producer.batches()] == ["marks", "trades"]
    assert len(producer.sent) == 3, "the rest is flushed at the end"


async def test_topics_are_named_as_on_the_cluster() -> None:
    producer = FakeProducer()
    async with Publisher(producer, SOON, kafka=Kafka(topic_prefix="ours-")) as publisher:
        publisher.add(trade(1))
    assert [topic for topic, _ in producer.sent] == ["ours-position-events"]


async def test_a_full_batch_does_not_wait_for_its_age() -> None:
    producer = FakeProducer()
    async with Publisher(producer, BatchPolicy(rows=10, age=60.0)) as publisher:
        for number in range(25):
            publisher.add(trade(number))
        await until(lambda: len(producer.sent) == 2)
        assert [batch.frame.height for batch in producer.batches()] == [10, 10]
    assert [batch.frame.height for batch in producer.batches()] == [10, 10, 5], "the rest is flushed at the end"


async def test_what_belongs_together_is_published_at_once_after_what_came_before() -> None:
    producer = FakeProducer()
    async with Publisher(producer, BatchPolicy(rows=2, age=60.0)) as publisher:
        publisher.add(trade(1))
        await publisher.publish([Mark(*TAO, 2, 300.0), trade(3), trade(4), trade(5), Mark(*TAO, 6, 300.0)])
        await until(lambda: publisher.waiting == 0)
    assert [(batch.kind.value, batch.frame["event_time"].to_list()) for batch in producer.batches()] == [
        ("marks", [2, 6]),
        ("trades", [1]),
        ("trades", [3, 4, 5]),
    ]


async def test_refused_messages_are_sent_again_until_the_broker_takes_them() -> None:
    producer = FakeProducer(failures=2)
    async with Publisher(producer, SOON) as publisher:
        publisher.add(trade(1))
        publisher.add(Mark(*TAO, 2, 300.0))
        await until(lambda: publisher.waiting == 0)
    assert sorted(batch.kind.value for batch in producer.batches()) == ["marks", "trades"]


async def test_a_full_queue_holds_the_caller_up_and_loses_nothing() -> None:
    producer = FakeProducer()
    producer.gate.clear()
    async with Publisher(producer, BatchPolicy(rows=10, age=0.01, quiet_age=0.01, queue_rows=100)) as publisher:

        async def feed() -> None:
            for number in range(500):
                publisher.add(trade(number))
                await publisher.room()

        feeding = asyncio.create_task(feed())
        await asyncio.sleep(0.1)
        assert not feeding.done()
        assert publisher.waiting == 100
        producer.gate.set()
        await feeding
    numbers = [row for batch in producer.batches() for row in batch.frame["trade_id"].to_list()]
    assert numbers == list(range(500))


async def test_kafka_out_of_reach_for_a_while_loses_nothing_and_keeps_the_order() -> None:
    """`send` itself fails where no broker answers; rows wait meanwhile, up to the queue's room."""
    producer = FakeProducer()
    is_down = True
    take = producer.send

    def send(topic: str, **message: Any) -> Answer:
        if is_down:
            raise KafkaTimeoutError("Failed to update metadata")
        return take(topic, **message)

    producer.send = send  # type: ignore[method-assign]
    async with Publisher(producer, BatchPolicy(rows=10, age=0.01, quiet_age=0.01, queue_rows=200)) as publisher:

        async def feed() -> None:
            for number in range(600):
                publisher.add(trade(number))
                if number == 150:
                    publisher.dead_letter(b"{broken", "Not JSON", Origin("binance:market"))
                await publisher.room()

        feeding = asyncio.create_task(feed())
        assert publisher.stalled == 0.0
        await until(lambda: publisher.waiting == 200)
        await asyncio.sleep(0.6)
        assert publisher.stalled > 0.5, "health says so, whatever the broker answers elsewhere"
        assert not feeding.done()
        assert producer.sent == []
        is_down = False
        await feeding
        await publisher.flush()
        assert (publisher.waiting, publisher.stalled) == (0, 0.0)
    rows = [codec.decode(message["headers"], message["value"]) for topic, message in producer.sent if topic != LETTERS]
    assert [row for batch in rows for row in batch.frame["trade_id"].to_list()] == list(range(600))
    assert [message["value"] for topic, message in producer.sent if topic == LETTERS] == [b"{broken"]


async def test_gaps_and_poison_have_their_own_topics() -> None:
    producer = FakeProducer()
    async with Publisher(producer, SOON) as publisher:
        publisher.add(Gap(*TAO, 1, 2, "aggTrade", 3, "ids jumped", True))
        publisher.dead_letter(b"{broken", "Not JSON", Origin("binance:market"))
    (gap_topic, gap), (letter_topic, letter) = sorted(producer.sent, reverse=True)
    assert (gap_topic, gap["partition"], letter_topic, letter["value"]) == ("gaps", 0, "dead-letters", b"{broken")
    headers = dict(letter["headers"])
    assert (headers["reason"], headers["origin_topic"], headers["stage"]) == (b"Not JSON", b"binance:market", b"ingest")


async def test_a_batch_past_kafkas_limit_is_cut() -> None:
    producer = FakeProducer()
    async with Publisher(producer, BatchPolicy(rows=100_000, age=60.0, queue_rows=200_000)) as publisher:
        for number in range(60_000):
            publisher.add(trade(number))
    assert len(producer.sent) > 1
    assert all(len(message["value"]) < 1_000_000 for _, message in producer.sent)
    assert [row for batch in producer.batches() for row in batch.frame["trade_id"]] == list(range(60_000))


async def test_rows_that_no_broker_takes_are_an_error_at_the_end() -> None:
    producer = FakeProducer(failures=10**9)
    with pytest.raises(FatalError, match="1 rows could not be delivered"):
        async with Publisher(producer, SOON, close_seconds=0.1) as publisher:
            publisher.add(trade(1))


async def test_a_dead_thread_is_an_error_where_rows_are_added() -> None:
    producer = FakeProducer()
    producer.flush = lambda timeout=None: 1 / 0  # type: ignore[assignment,method-assign]
    async with Publisher(producer, SOON) as publisher:
        publisher.add(trade(1))
        await until(lambda: publisher._failure is not None)
        with pytest.raises(FatalError, match="Publishing to Kafka failed"):
            await publisher.room()
        publisher._added = 0


@pytest.mark.parametrize(
    "odd", [trade(2, (Venue.BINANCE, "TAO", "\ud800")), msgspec.structs.replace(trade(2), trade_id=2**63)]
)
async def test_a_row_that_no_column_can_hold_is_buried_and_its_neighbours_are_sent(odd: Trade) -> None:
    producer = FakeProducer()
    async with Publisher(producer, SOON) as publisher:
        for row in (trade(1), odd, trade(3), trade(4)):
            publisher.add(row)
        publisher.add(Mark(*TAO, 5, 300.0))
        await publisher.flush()
        assert publisher.waiting == 0
    letters = [message for topic, message in producer.sent if topic == LETTERS]
    sent = [codec.decode(item["headers"], item["value"]) for topic, item in producer.sent if topic != LETTERS]
    assert sorted(row.event_time for batch in sent for row in from_batch(batch)) == [1, 3, 4, 5]
    (letter,) = letters
    headers = dict(letter["headers"])
    assert b"a row of Trade cannot be written" in headers["reason"]
    assert headers["origin_topic"] == b"binance:publisher"
    assert b"300.0" in letter["value"]
