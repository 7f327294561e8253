"""A worker whose Kafka client delivers nothing of a partition that has messages, as Faust was seen to do."""

import os
import sys
from pathlib import Path

import pytest

from liqheat.local.child import ChildProcess
from liqheat.platform.settings import Kafka
from tests.support.log_maker import make_log
from tests.support.waiting import eventually
from tests.support.workers import rewind, start_worker, wait_until_done, write_log

pytestmark = pytest.mark.kafka

_DEAF = """
from liqheat.platform import standstill
from processors.worker.rewinding_consumer import RewindingConsumer
standstill.IDLE_SECONDS = 3.0
RewindingConsumer.bundle = lambda self, partition, offset: []
from liqheat.cli.main import main
main()
"""


def test_a_worker_that_is_given_nothing_ends_with_a_sentence_and_its_successor_goes_on(
    kafka: Kafka, tmp_path: Path
) -> None:
    rewind(kafka)
    write_log(kafka, make_log(symbols=2, minutes=2, trades_a_minute=60))
    environment = {
        "LIQHEAT_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "LIQHEAT_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
        "LIQHEAT_KAFKA__PARTITIONS": str(kafka.partitions),
        "PATH": os.environ["PATH"],
    }
    deaf = ChildProcess("deaf", [sys.executable, "-c", _DEAF, "process"], tmp_path / "deaf.log", environment)
    try:
        eventually(lambda: deaf.exit_status is not None, 60.0)
    finally:
        deaf.stop()
    assert deaf.exit_status == 1
    assert "client delivers nothing of" in deaf.last_words(40)
    assert "asking again" in deaf.log.read_text(), "it has tried to go on by itself"
    successor = start_worker(kafka, tmp_path, "successor")
    try:
        wait_until_done(kafka, [successor])
    finally:
        successor.stop()
