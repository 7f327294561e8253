"""The supervisor over tiny services, the folder of a local run, and what a person reads when one fails."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from liqheat import __version__
from liqheat.local.data_directory import fresh_data_directory
from liqheat.local.restarts import RestartPolicy, Restarts
from liqheat.local.stack import LIQHEAT
from liqheat.local.supervisor import Health, Service, Supervisor, free_port, require_free_port
from liqheat.platform.errors import ConfigurationError, FatalError
from tests.support.waiting import eventually

# A service that answers as configured: its health, one metric, and what it writes when asked to end.
FAKE = """
import http.server, json, os, signal, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        problem = os.environ.get("PROBLEM") or None
        body = "# TYPE rows counter\\nrows_total{kind=\\"a\\"} 3\\nrows_total{kind=\\"b\\"} 4\\n"
        if self.path == "/healthz":
            body = json.dumps({"problem": problem})
        self.send_response(503 if problem and self.path == "/healthz" else 200)
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *_): pass
def end(*_):
    with open(os.environ["ENDS"], "a") as ends:
        ends.write(os.environ["NAME"] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""


def fake(tmp_path: Path, name: str, problem: str = "") -> Service:
    port = free_port()
    environment = {"PORT": str(port), "NAME": name, "PROBLEM": problem, "ENDS": str(tmp_path / "ends")}
    return Service(name, [sys.executable, "-c", FAKE], environment, port)


def never() -> bool:
    return False


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


def test_services_come_up_are_asked_and_end_last_started_first(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        for name in ("first", "second", "third"):
            supervisor.launch(fake(tmp_path, name))
        assert supervisor.wait_healthy(["first", "second", "third"], 10, never)
        assert supervisor.health("first") == Health(healthy=True)
        assert supervisor.metric("second", "rows_total") == 7
        supervisor.check()
        supervisor.stop(["second", "unknown"])
        supervisor.check()
    assert (tmp_path / "ends").read_text().split() == ["second", "third", "first"]


def test_a_service_that_ends_is_named_with_its_last_lines(tmp_path: Path) -> None:
    dying = Service("dying", [sys.executable, "-c", "print('the disk is full'); raise SystemExit(3)"])
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.launch(fake(tmp_path, "well"))
        # Else it might be ended before it can say so.
        assert supervisor.wait_healthy(["well"], 30, never)
        supervisor.launch(dying)
        with pytest.raises(FatalError, match=r"(?s)dying ended with status 3.*dying\.log:\nthe disk is full"):
            supervisor.wait_healthy(["well", "dying"], 10, never)
    assert (tmp_path / "ends").read_text() == "well\n"


def test_a_service_that_stays_ill_is_reported_with_its_own_reason(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.launch(fake(tmp_path, "ill", problem="no partitions"))
        eventually(lambda: supervisor.health("ill").problem is not None)
        assert supervisor.health("ill") == Health(healthy=False, problem="no partitions")
        with pytest.raises(FatalError, match="Not ready after 0 s: ill: no partitions"):
            supervisor.wait_healthy(["ill"], 0, never)


def test_waiting_ends_when_stopping(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.launch(fake(tmp_path, "ill", problem="not yet"))
        assert not supervisor.wait_healthy(["ill"], 60, lambda: True)


def test_a_program_that_does_not_exist_is_a_sentence(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor, pytest.raises(FatalError, match="Cannot start absent"):
        supervisor.launch(Service("absent", [str(tmp_path / "absent")]))


def test_a_service_that_will_not_end_is_ended(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    with Supervisor(tmp_path / "logs", grace=0.2) as supervisor:
        supervisor.launch(Service("stubborn", [sys.executable, "-c", stubborn]))
        eventually(lambda: "up" in (tmp_path / "logs" / "stubborn.log").read_text())
        started = time.monotonic()
    assert time.monotonic() - started < 5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent's death")
def test_no_child_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    parent = (
        "import sys, time\nfrom pathlib import Path\nfrom liqheat.local.supervisor import Service, Supervisor\n"
        f"supervisor = Supervisor(Path({str(tmp_path)!r}))\n"
        "supervisor.launch(Service('child', [sys.executable, '-c', 'import time; time.sleep(60)']))\n"
        "print(supervisor._processes['child'].pid, flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    assert is_alive(child)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    eventually(lambda: not is_alive(child))


def test_a_taken_port_is_a_sentence() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"Port {port} is in use .*; choose another with --port"):
            require_free_port(port, "choose another with --port")
    require_free_port(port, "choose another with --port")


def test_a_run_begins_with_a_fresh_folder_and_keeps_what_it_leaves(tmp_path: Path) -> None:
    with fresh_data_directory(tmp_path):
        (tmp_path / "clickhouse").mkdir()
        (tmp_path / "clickhouse" / "part").write_text("of the first run")
    assert (tmp_path / "clickhouse" / "part").exists()
    with fresh_data_directory(tmp_path):
        assert not (tmp_path / "clickhouse").exists()


def test_a_folder_has_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        fresh_data_directory(tmp_path),
        pytest.raises(ConfigurationError, match="Another liqheat runs on"),
        fresh_data_directory(tmp_path),
    ):
        pass


def test_a_database_of_someone_else_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "clickhouse").mkdir()
    with (
        pytest.raises(ConfigurationError, match="was not made by liqheat and would be replaced"),
        fresh_data_directory(tmp_path),
    ):
        pass
    assert (tmp_path / "clickhouse").exists()


def checked_until(supervisor: Supervisor, condition: Callable[[], bool], patience: float = 20.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        supervisor.check()
        time.sleep(0.05)


def test_a_killed_service_is_started_again_and_said_so(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.launch(fake(tmp_path, "first"))
        assert supervisor.wait_healthy(["first"], 10, never)
        supervisor.keep_running(RestartPolicy(), said.append)
        before = supervisor.pid("first")
        assert before is not None
        os.kill(before, signal.SIGKILL)
        checked_until(supervisor, lambda: supervisor.pid("first") not in (None, before))
        assert supervisor.wait_healthy(["first"], 10, never)
    assert said == [
        "first ended with status -9; it is started again in 1 s",
        "first was started again (restart 1)",
    ]


def test_a_service_that_ends_time_and_again_is_given_up(tmp_path: Path) -> None:
    dying = Service("dying", [sys.executable, "-c", "print('the disk is full'); raise SystemExit(3)"])
    said: list[str] = []
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.launch(dying)
        supervisor.keep_running(RestartPolicy(limit=3, longest=0.1), said.append)
        with pytest.raises(FatalError, match=r"(?s)dying ended with status 3.*disk is full\nIt was started again 3"):
            checked_until(supervisor, lambda: False)
    assert sum("was started again" in line for line in said) == 3


def test_a_wrong_setting_is_not_tried_again(tmp_path: Path) -> None:
    wrong = Service("wrong", [sys.executable, "-c", "print('Set the password'); raise SystemExit(2)"])
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.launch(wrong)
        supervisor.keep_running(RestartPolicy(), lambda line: None)
        with pytest.raises(FatalError, match=r"(?s)wrong ended with status 2.*Set the password"):
            checked_until(supervisor, lambda: False)


def test_restarts_wait_longer_each_time_and_are_forgotten_after_the_window() -> None:
    restarts = Restarts(RestartPolicy(limit=4, window=100.0, longest=5.0))
    assert [restarts.ended(1, 10.0 * number) for number in range(5)] == [1.0, 2.0, 4.0, 5.0, None]
    assert restarts.ended(1, 1_000.0) == 1.0


def test_a_service_that_hangs_is_ended_and_started_again(tmp_path: Path) -> None:
    service = fake(tmp_path, "hanging", problem="the event loop is blocked")
    hanging = Service(
        service.name,
        [sys.executable, "-c", FAKE.replace('"/healthz"', '"/livez"')],
        service.environment,
        service.port,
    )
    said: list[str] = []
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.launch(hanging)
        eventually(lambda: supervisor._get("hanging", "/livez") is not None)
        supervisor.keep_running(RestartPolicy(), said.append)
        checked_until(supervisor, lambda: any("was started again" in line for line in said))
    assert said[0] == "hanging hangs and is ended"


def test_a_folder_named_liqheat_beside_the_command_is_not_run(tmp_path: Path) -> None:
    impostor = tmp_path / "liqheat"
    impostor.mkdir()
    (impostor / "__init__.py").write_text("")
    (impostor / "__main__.py").write_text("open('ran', 'w').close()")
    done = subprocess.run([*LIQHEAT, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == __version__, done.stderr
    assert not (tmp_path / "ran").exists()
