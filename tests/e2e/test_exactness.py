"""Real workers on a real broker, killed at random moments: their rows are those of a run without any of it."""

import random
import threading
import time
from pathlib import Path

import pytest

from liqheat.local.broker import Broker
from liqheat.local.child import ChildProcess
from liqheat.platform.codec import encode
from liqheat.platform.kafka import producer
from liqheat.platform.partitions import partition_of
from liqheat.platform.settings import Kafka
from liqheat.platform.topics import Topic
from tests.support.log_maker import make_log
from tests.support.workers import (
    difference,
    expected,
    published,
    read_topic,
    rewind,
    start_worker,
    wait_until_assigned,
    wait_until_done,
    write_log,
)

pytestmark = pytest.mark.kafka

SEED = 7
WRITING_SECONDS = 12.0


@pytest.fixture(autouse=True)
def apache_kafka(broker: Broker) -> None:
    """Skip on the embedded broker: after a batch of several messages it says that the log ends at the first."""
    if "Tansu" in broker.name:
        pytest.skip("Needs Apache Kafka (Java and Maven): Tansu misreports the end of a log")


def write_meanwhile(kafka: Kafka, seed: int) -> threading.Thread:
    log = make_log(symbols=8, minutes=24, trades_a_minute=1_000, seed=seed)
    thread = threading.Thread(target=write_log, args=(kafka, log, WRITING_SECONDS), daemon=True)
    thread.start()
    return thread


def test_kill_9_at_random_moments_and_a_second_reading_change_nothing(kafka: Kafka, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    writing = write_meanwhile(kafka, SEED)
    for life in range(4):
        worker = start_worker(kafka, tmp_path, f"life-{life}")
        wait_until_assigned(worker)
        time.sleep(chance.uniform(0.0, 2.0))
        worker.kill()
    writing.join()
    with start_worker(kafka, tmp_path, "survivor") as worker:
        wait_until_assigned(worker)
        wait_until_done(kafka, [worker])
        assert worker.stop() == 0, worker.last_words(40)
    wanted = expected(make_log(symbols=8, minutes=24, trades_a_minute=1_000, seed=SEED))
    assert difference(published(kafka), wanted) == ""

    rewind(kafka)
    with start_worker(kafka, tmp_path, "second-reading") as worker:
        wait_until_assigned(worker)
        wait_until_done(kafka, [worker])
        assert worker.stop() == 0, worker.last_words(40)
    assert difference(published(kafka), wanted) == ""


def test_two_workers_that_come_and_go_change_nothing(kafka: Kafka, tmp_path: Path) -> None:
    chance = random.Random(SEED + 1)
    writing = write_meanwhile(kafka, SEED + 1)
    first, second = (start_worker(kafka, tmp_path, name) for name in ("first", "second"))
    for worker in (first, second):
        wait_until_assigned(worker)
    time.sleep(chance.uniform(0.5, 1.5))
    asked = time.monotonic()
    assert first.stop() == 0, first.last_words(40)
    assert time.monotonic() - asked < 10
    third = start_worker(kafka, tmp_path, "third")
    wait_until_assigned(third)
    time.sleep(chance.uniform(0.0, 1.0))
    second.kill()
    time.sleep(chance.uniform(0.5, 2.0))
    fourth = start_worker(kafka, tmp_path, "fourth")
    writing.join()
    wait_until_assigned(fourth)
    wait_until_done(kafka, [third, fourth])
    for worker in (third, fourth):
        assert worker.stop() == 0, worker.last_words(40)
        assert "Traceback" not in worker.log.read_text()
    wanted = expected(make_log(symbols=8, minutes=24, trades_a_minute=1_000, seed=SEED + 1))
    assert difference(published(kafka), wanted) == ""


def test_poison_is_buried_and_too_much_of_it_in_a_row_ends_the_process(kafka: Kafka, tmp_path: Path) -> None:
    log = list(make_log(symbols=1, minutes=3, trades_a_minute=60))
    sender = producer(kafka)
    topic = kafka.topic(Topic.POSITION_EVENTS)

    def rubbish(count: int) -> None:
        headers, value = encode(log[1])
        for number in range(count):
            partition = partition_of(log[1].symbols[0], kafka.partitions)
            broken = value[: 40 * number] or None
            sender.send(topic, key=b"rubbish", value=broken, headers=headers, partition=partition)
        sender.flush()

    write_log(kafka, log[:6])
    rubbish(4)
    write_log(kafka, log[6:])
    worker = start_worker(kafka, tmp_path, "patient", dead_letter_limit=5)
    wait_until_done(kafka, [worker])
    rubbish(5)
    assert _exit_status(worker) == 1
    assert "liqheat: 5 messages in a row were poison" in worker.last_words(2)
    assert "Traceback" not in worker.log.read_text()
    letters = [dict(message.headers) for message in read_topic(kafka, Topic.DEAD_LETTERS)]
    assert {letter["origin_topic"] for letter in letters} == {topic.encode()}
    assert [int(letter["origin_offset"]) for letter in letters] == [6, 7, 8, 9, *range(len(log) + 4, len(log) + 9)]
    assert letters[0]["reason"] == b"The message is empty"
    assert all(letter["reason"].startswith(b"Not an Arrow IPC stream") for letter in letters[1:4])

    with start_worker(kafka, tmp_path, "configured-to-skip", dead_letter_limit=100) as successor:
        wait_until_assigned(successor)
        wait_until_done(kafka, [successor])
        assert successor.stop() == 0, successor.last_words(40)
    assert difference(published(kafka), expected(log)) == ""


def _exit_status(worker: ChildProcess) -> int:
    try:
        return worker.wait(30)
    finally:
        worker.stop()
