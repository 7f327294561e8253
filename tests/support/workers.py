"""Workers as real processes, the log they read and what they make of it: for tests that kill them."""

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from liqheat.domain.events import Batch, Kind
from liqheat.local.child import ChildProcess
from liqheat.platform.codec import decode, encode, rows_of
from liqheat.platform.codec_blocks import blocks_of
from liqheat.platform.kafka import consumer, producer
from liqheat.platform.partitions import partition_of
from liqheat.platform.settings import Kafka, Settings
from liqheat.platform.topics import Topic
from processors.pipeline import Pipeline
from processors.worker.engine import OUTPUT_TOPICS
from tests.support.memory_log import comparable, merge_rows

GROUP = "liqheat-processors"
LOG_TOPICS = (Topic.POSITION_EVENTS, Topic.GAPS)
"""What the ingests write; all else in ClickHouse is made of it."""

Rows = dict[tuple[Any, ...], tuple[Any, ...]]

# These carry a revision and are replaced by later ones; rows of the other kinds are final when sent.
_REVISED = (Kind.HEATMAP_LEVELS, Kind.MARKET_MINUTES)


def start_worker(kafka: Kafka, directory: Path, name: str, **engine: object) -> ChildProcess:
    """Start `liqheat process` on `kafka`, its output in `directory`."""
    environment = {
        "LIQHEAT_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "LIQHEAT_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
        "LIQHEAT_KAFKA__PARTITIONS": str(kafka.partitions),
        "LIQHEAT_KAFKA__SESSION_SECONDS": "2",
        "LIQHEAT_ENGINE__CHECKPOINT_SECONDS": "0.2",
        "LIQHEAT_ENGINE__SNAPSHOT_SECONDS": "0.3",
        "LIQHEAT_SERVICE__LOG_STYLE": "console",
        # One thread each: several workers share the machine with the broker.
        "POLARS_MAX_THREADS": "1",
        "PATH": os.environ["PATH"],
    }
    environment |= {f"LIQHEAT_ENGINE__{key.upper()}": str(value) for key, value in engine.items()}
    return ChildProcess(name, [sys.executable, "-m", "liqheat", "process"], directory / f"{name}.log", environment)


def wait_until_assigned(worker: ChildProcess, timeout: float = 45.0) -> None:
    """Return once `worker` has partitions, so that what is done to it next meets it at work."""
    deadline = time.monotonic() + timeout
    while "assigned" not in worker.log.read_text():
        assert worker.exit_status is None, worker.last_words(40)
        assert time.monotonic() < deadline, worker.last_words(40)
        time.sleep(0.05)


def write_log(kafka: Kafka, batches: Iterable[Batch], seconds: float = 0.0) -> None:
    """Write `batches` to the log, spread over `seconds`."""
    batches = list(batches)
    with_pause = seconds / max(len(batches), 1)
    sender = producer(kafka)
    for batch in batches:
        headers, value = encode(batch)
        partition = partition_of(batch.symbols[0], kafka.partitions)
        sender.send(kafka.topic(Topic.POSITION_EVENTS), value=value, headers=headers, partition=partition)
        time.sleep(with_pause)
    sender.flush()
    sender.close()


def copy_log(source: Kafka, target: Kafka) -> None:
    """Write the log of `LOG_TOPICS` again, each message to the partition and with the time that it has."""
    sender = producer(target)
    for topic in LOG_TOPICS:
        for message in read_topic(source, topic):
            sender.send(
                target.topic(topic),
                key=message.key,
                value=message.value,
                headers=message.headers,
                partition=message.partition,
                timestamp_ms=message.timestamp,
            )
    sender.flush()
    sender.close()


def wait_until_done(
    kafka: Kafka,
    workers: list[ChildProcess],
    timeout: float = 45.0,
    group: str = GROUP,
    topics: Iterable[Topic] = (Topic.POSITION_EVENTS,),
) -> None:
    """Return once the group has committed the end of every partition of what it reads."""
    partitions = [
        TopicPartition(kafka.topic(topic), number)
        for topic in topics
        for number in range(topic.partitions(kafka.partitions))
    ]
    observer = consumer(kafka, group=kafka.topic_prefix + group)
    try:
        deadline = time.monotonic() + timeout
        while True:
            ends = observer.end_offsets(partitions)
            committed = {partition: observer.committed(partition) or 0 for partition in partitions}
            if committed == ends:
                return
            for worker in workers:
                assert worker.exit_status is None, worker.last_words(40)
            assert time.monotonic() < deadline, f"{committed} of {ends}\n{workers[-1].last_words(40)}"
            time.sleep(0.2)
    finally:
        observer.close()


def rewind(kafka: Kafka) -> None:
    """Set the group, which must have no members, back to the beginning of the log."""
    partitions = [TopicPartition(kafka.topic(Topic.POSITION_EVENTS), number) for number in range(kafka.partitions)]
    committer = consumer(kafka, group=kafka.topic_prefix + GROUP)
    committer.assign(partitions)
    committer.commit({partition: OffsetAndMetadata(0, "", -1) for partition in partitions})
    committer.close()


def read_topic(kafka: Kafka, topic: Topic) -> list[Any]:
    """Return every message of `topic`, as kafka-python gives it."""
    reader = consumer(kafka, group=None)
    name = kafka.topic(topic)
    partitions = [TopicPartition(name, number) for number in range(topic.partitions(kafka.partitions))]
    reader.assign(partitions)
    ends = reader.end_offsets(partitions)
    messages: list[Any] = []
    while any(reader.position(partition) < ends[partition] for partition in partitions):
        for batch in reader.poll(timeout_ms=500).values():
            messages += batch
    reader.close()
    return messages


def published(kafka: Kafka, symbol: str | None = None) -> Rows:
    """Return what the output topics amount to for a reader who keeps the latest revision of each row.

    `symbol` leaves the others' rows out.
    """
    batches = [
        decode(message.headers, message.value)
        for topic in dict.fromkeys(OUTPUT_TOPICS.values())
        for message in read_topic(kafka, topic)
    ]
    return _of(symbol, _merged(batches))


def expected(batches: Iterable[Batch], symbol: str | None = None) -> Rows:
    """Return the same for a run of the bare engine over the log, without Kafka and without interruption."""
    settings = Settings()
    engine = Pipeline(settings.signals)
    state = engine.new_state(settings.engine)
    outputs: list[Batch] = []
    for batch in batches:
        outputs += engine.apply(state, blocks_of([rows_of(batch)]))
    outputs += engine.snapshot(state, list(state.positions.symbol_numbers))
    return _of(symbol, _merged(outputs))


def _of(symbol: str | None, rows: Rows) -> Rows:
    return rows if symbol is None else {key: values for key, values in rows.items() if values[0] == symbol}


def difference(left: Rows, right: Rows) -> str:
    """Say how two results differ, briefly; empty where they do not."""
    wrong = [key for key in left.keys() | right.keys() if left.get(key) != right.get(key)]
    lines = [f"{key}:\n  {left.get(key)}\n  {right.get(key)}" for key in sorted(wrong, key=str)[:3]]
    return f"{len(wrong)} of {len(right)} rows differ\n" + "\n".join(lines) if wrong else ""


def _merged(batches: Iterable[Batch]) -> Rows:
    rows: Rows = {}
    for batch in batches:
        if batch.kind in _REVISED:
            merge_rows(rows, batch)
            continue
        for row in batch.frame.iter_rows():
            values = tuple(comparable(value) for value in row)
            rows[(batch.kind, batch.venue, *values)] = values
    return rows
