"""The brokers start, say what is wrong when they cannot, and never outlive us."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from liqheat.local import broker as brokers_module
from liqheat.local.broker import HOST, start_apache_kafka, start_tansu
from liqheat.local.child import ChildProcess
from liqheat.platform.errors import ConfigurationError, FatalError
from liqheat.platform.kafka import create_topics
from liqheat.platform.settings import Kafka
from liqheat.platform.topics import Topic


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie still has its number until somebody asks for its status.
    return not Path(f"/proc/{pid}/stat").exists() or ") Z " not in Path(f"/proc/{pid}/stat").read_text()


def test_the_embedded_broker_answers_and_is_gone_after_the_block(tmp_path: Path) -> None:
    with start_tansu(tmp_path / "tansu.log") as broker:
        kafka = Kafka(bootstrap_servers=broker.bootstrap_servers, topic_prefix="mine-")
        created = create_topics(kafka)
        assert kafka.topic(Topic.POSITION_EVENTS) == "mine-position-events"
        assert created == [kafka.topic(topic) for topic in Topic]
        assert create_topics(kafka) == []
        assert len(create_topics(kafka.model_copy(update={"topic_prefix": "yours-"}))) == len(Topic)
    assert not is_running(broker.process.pid)
    broker.stop()


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} on 127.0.0.1 is in use"):
            start_tansu(tmp_path / "tansu.log", port)


def test_missing_java_and_missing_jars_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ConfigurationError, match="needs Java 17"):
        start_apache_kafka(tmp_path, tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: name)
    with pytest.raises(ConfigurationError, match="run `make kafka`"):
        start_apache_kafka(tmp_path, tmp_path)


def test_a_broker_that_ends_at_once_shows_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "tansu"
    script.write_text("#!/bin/sh\necho no such storage engine\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr(brokers_module, "tansu_binary", lambda: str(script))
    with pytest.raises(FatalError, match=r"status 3:\nno such storage engine"):
        start_tansu(tmp_path / "tansu.log")


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="Cannot start ghost"):
        ChildProcess("ghost", [str(tmp_path / "ghost")], tmp_path / "ghost.log")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_broker_dies_with_its_parent_however_that_dies(tmp_path: Path, number: signal.Signals) -> None:
    program = (
        "import sys, time; from pathlib import Path; from liqheat.local.broker import start_tansu\n"
        "print(start_tansu(Path(sys.argv[1])).process.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "tansu.log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.send_signal(number)
        parent.wait()
    deadline = time.monotonic() + 5
    while is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)
