"""Whether ClickHouse holds what an uninterrupted run over the same log leaves, row for row."""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from liqheat.local.child import ChildProcess
from liqheat.local.stack import LIQHEAT
from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.kafka import create_topics
from liqheat.platform.settings import ClickHouse, Kafka, Sink
from sinks.clickhouse.tables import TOPICS
from tests.chaos.pipeline import SINK_SETTINGS
from tests.support.clickhouse_contents import Contents, contents_of
from tests.support.services import kafka_environment
from tests.support.workers import LOG_TOPICS, copy_log, wait_until_assigned, wait_until_done

_APART = ("dead_letters",)
"""Dead letters name the topic they came from, which the copy has under another name."""


def uninterrupted(kafka: Kafka, directory: Path) -> Path:
    """Run one worker and one sink over a copy of the log; return the folder of what they left in ClickHouse."""
    copy = kafka.model_copy(update={"topic_prefix": f"{kafka.topic_prefix}whole-"})
    _create_log(copy)
    create_topics(copy)
    copy_log(kafka, copy)
    environment = kafka_environment(copy)
    data = directory / "whole"
    storage = {"LIQHEAT_CLICKHOUSE__INTERFACE": "chdb", "LIQHEAT_CLICKHOUSE__DATA_DIRECTORY": str(data)}
    with (
        ChildProcess("worker", [*LIQHEAT, "process"], directory / "whole-worker.log", environment) as worker,
        ChildProcess(
            "sink", [*LIQHEAT, "sink", "--migrate"], directory / "whole-sink.log", environment | storage | SINK_SETTINGS
        ) as sink,
    ):
        wait_until_assigned(worker)
        drain(copy, [worker], [sink])
    return data


def drain(kafka: Kafka, workers: list[ChildProcess], sinks: list[ChildProcess], patience: float = 300.0) -> None:
    """Wait until all of the log is processed and stored, and stop the processes cleanly in that order."""
    wait_until_done(kafka, workers, patience)
    for worker in workers:
        assert worker.stop(30.0) == 0, worker.last_words(40)
    wait_until_done(kafka, sinks, patience, group=Sink().group, topics=TOPICS)
    for sink in sinks:
        assert sink.stop(30.0) == 0, sink.last_words(40)


def differences(left: Path, right: Path) -> list[str]:
    """Return a line for each view in which two ClickHouse folders differ; empty where they are equal."""
    found, reference = _compared(left, right)
    assert found.keys() == reference.keys()
    lines = []
    for view, rows in reference.items():
        missing, invented = rows - found[view], found[view] - rows
        if missing or invented:
            examples = [*list(missing.elements())[:2], *list(invented.elements())[:2]]
            lines.append(f"{view}: {missing.total()} missing, {invented.total()} invented: {examples}")
    return lines


def sizes(directory: Path) -> Mapping[str, int]:
    """Return the rows of each view."""
    (contents,) = _compared(directory)
    return {view: rows.total() for view, rows in contents.items()}


def where_they_differ(left: Path, right: Path) -> list[str]:
    """Return a line for each table's partition that has not as many rows in both folders, and for each part set aside.

    Rows are counted as they are read, those that replace each other once.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as readers:
        (found, aside), (reference, _) = readers.map(_partitions, (left, right))
    lines = [
        f"{table}, partition {partition}: {found.get((table, partition), 0):,} rows instead of {rows:,}"
        for (table, partition), rows in sorted((dict.fromkeys(found, 0) | reference).items())
        if found.get((table, partition), 0) != rows
    ]
    return lines + [f"set aside: {part}" for part in aside]


def _partitions(directory: Path) -> tuple[dict[tuple[str, str], int], list[str]]:
    client = open_clickhouse(ClickHouse(interface="chdb", data_directory=directory), readonly=True)
    of_liqheat = "WHERE database = 'liqheat'"
    tables = client.query(f"SELECT name FROM system.tables {of_liqheat} AND engine LIKE '%MergeTree'").result_rows
    rows = {
        (table, partition): count
        for (table,) in tables
        for partition, count in client.query(
            f"SELECT _partition_id, count() FROM {table} FINAL GROUP BY _partition_id"
        ).result_rows
    }
    aside = client.query(f"SELECT table, name, reason, bytes_on_disk FROM system.detached_parts {of_liqheat}")
    client.close()
    return rows, [" ".join(map(str, row)) for row in aside.result_rows]


def _compared(*directories: Path) -> list[Contents]:
    """Return the contents without the views that are not compared."""
    return [
        {view: rows for view, rows in contents.items() if view not in _APART} for contents in contents_of(directories)
    ]


def _create_log(kafka: Kafka) -> None:
    """Create the log's topics so that they keep the times that their messages are given."""
    times = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": str(1 << 60)}
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.create_topics(
        [
            NewTopic(
                kafka.topic(topic), topic.partitions(kafka.partitions), 1, topic_configs=topic.configuration() | times
            )
            for topic in LOG_TOPICS
        ]
    )
    admin.close()
