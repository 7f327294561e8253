"""`liqheat demo` and `live` as a person starts them: processes, a page, data that stay, and a clean end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from liqheat.local.child import ChildProcess
from liqheat.local.data_directory import fresh_data_directory
from liqheat.local.supervisor import free_port

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.timeout(240)]

LIQHEAT = [sys.executable, "-m", "liqheat"]
# A machine under load is slow to start seven processes; a quiet one needs some 15 s.
PATIENCE = 150.0


def liqheat(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LIQHEAT, *arguments], capture_output=True, text=True, timeout=60, check=False)


def sql(directory: Path, query: str) -> list[dict[str, Any]]:
    done = liqheat("sql", "--data-dir", str(directory), "--format", "json", query)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def processes_of(directory: Path) -> list[int]:
    """Return the processes whose environment or command names the run's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                shown = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(directory).encode() in shown:
                found.append(int(entry.name))
    return found


class Run:
    """A started command: what it said so far, and its page."""

    def __init__(self, process: ChildProcess, port: int) -> None:
        self.process = process
        self.port = port

    def said(self) -> str:
        return self.process.log.read_text()

    def wait_for(self, pattern: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.said()):
            assert self.process.exit_status is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.2)

    def page(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=10) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            served = self.process.log.parent / "data" / "logs" / "serve-local.log"
            raise AssertionError(f"{error} for {path}: {error.read()!r}\n{served.read_text()}") from error


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Run]:
    port = free_port()
    data = tmp_path / "data"
    command = [*LIQHEAT, "demo", f"--data-dir={data}", f"--port={port}", "--hours=1", "--symbols=VIRTUAL,TAO"]
    # PYTHONUNBUFFERED: what it says is read while it runs.
    with ChildProcess("demo", command, tmp_path / "demo.log", {"PYTHONUNBUFFERED": "1"}) as process:
        yield Run(process, port)


def test_the_demo_shows_history_and_movement_and_ends_cleanly_leaving_its_data(demo: Run, tmp_path: Path) -> None:
    demo.wait_for(r"Heatmap: http://127\.0\.0\.1:\d+/")
    deadline = time.monotonic() + PATIENCE
    live = False
    while not live:
        assert time.monotonic() < deadline, demo.said()
        picture = demo.page("api/heatmap?symbol=VIRTUAL&range=1h")
        # Live: the latest minute is this one or the one before, and most of the hour is there.
        live = (
            picture["state"] == "ready"
            and picture["now"] - picture["latest"] < 150_000
            and len(picture["price"]["column"]) >= 50
            and len(picture["current"]) > 0
        )
        time.sleep(0.3)
    mark, edges = picture["price"]["close"][-1], picture["grid"]["edges"]
    longs = [row for row, _, _, long, _ in picture["current"] if long > 0]
    shorts = [row for row, _, _, _, short in picture["current"] if short > 0]
    assert longs
    assert shorts
    assert max(edges[row] for row in longs) <= mark
    assert min(edges[row + 1] for row in shorts) >= mark
    children = processes_of(tmp_path / "data")
    assert len(children) >= 5

    os.kill(demo.process.pid, signal.SIGINT)
    assert demo.process.wait(30) == 0, demo.said()
    assert "Stopped. Data and logs are in" in demo.said()
    assert processes_of(tmp_path / "data") == []

    by_symbol = sql(
        tmp_path / "data", "SELECT symbol, count() AS minutes FROM market_minutes GROUP BY symbol ORDER BY symbol"
    )
    assert [row["symbol"] for row in by_symbol] == ["TAO", "VIRTUAL"]
    assert int(by_symbol[1]["minutes"]) >= 50
    [rows] = sql(tmp_path / "data", "SELECT count() AS count, countIf(at_risk_usd < 0) AS negative FROM heatmap")
    assert int(rows["count"]) > 1_000
    assert int(rows["negative"]) == 0
    assert sql(tmp_path / "data", "SELECT * FROM dead_letters") == []


def test_a_start_begins_afresh_and_a_duration_ends_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with fresh_data_directory(data):
        (data / "clickhouse").mkdir()
        (data / "clickhouse" / "of-an-earlier-run").touch()
    command = [*LIQHEAT, "demo", f"--data-dir={data}", f"--port={free_port()}", "--hours=1", "--symbols=TAO"]
    done = subprocess.run(
        [*command, "--duration=1"], capture_output=True, text=True, timeout=PATIENCE + 50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (data / "clickhouse" / "of-an-earlier-run").exists()
    [row] = sql(data, "SELECT count() AS minutes, uniqExact(venue, window_start) AS times FROM market_minutes")
    assert int(row["minutes"]) == int(row["times"]) > 0


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = liqheat("demo", f"--data-dir={tmp_path}", f"--port={port}")
    assert done.returncode == 2
    assert f"Port {port} is in use" in done.stderr
    assert "choose another with --port" in done.stderr


def test_a_wrong_venue_is_a_sentence(tmp_path: Path) -> None:
    done = liqheat("demo", f"--data-dir={tmp_path}", "--venues=mtgox")
    assert done.returncode == 2
    assert "Expected --venues out of binance, bybit, okx, hyperliquid" in done.stderr


def test_live_says_when_no_exchange_can_be_reached(tmp_path: Path) -> None:
    # Nothing listens there, which is what a machine without a network sees, only sooner.
    nowhere = f"127.0.0.1:{free_port()}"
    environment = {
        "LIQHEAT_BINANCE__REST_URL": f"http://{nowhere}",
        "LIQHEAT_BINANCE__WEBSOCKET_URL": f"ws://{nowhere}",
    }
    command = [*LIQHEAT, "live", f"--data-dir={tmp_path / 'data'}", f"--port={free_port()}", "--venues=binance"]
    with ChildProcess("live", command, tmp_path / "live.log", environment) as process:
        assert process.wait(PATIENCE) == 1, process.last_words()
        said = process.last_words()
    assert "No exchange can be reached" in said
    assert f"http://{nowhere}/fapi/v1/exchangeInfo cannot be reached" in said
    assert processes_of(tmp_path / "data") == []


def test_a_service_that_dies_ends_the_demo_with_its_name(demo: Run, tmp_path: Path) -> None:
    demo.wait_for("page on")
    deadline = time.monotonic() + PATIENCE
    workers: list[int] = []
    while not workers:
        assert time.monotonic() < deadline, demo.said()
        workers = [
            pid
            for pid in processes_of(tmp_path / "data")
            if b"process" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        ]
    os.kill(workers[0], signal.SIGKILL)
    assert demo.process.wait(60) == 1
    assert "process ended with status -9" in demo.said()
    assert processes_of(tmp_path / "data") == []


def test_a_service_that_dies_later_is_started_again_and_said_so(demo: Run, tmp_path: Path) -> None:
    demo.wait_for(r"Heatmap: http://127\.0\.0\.1:\d+/")
    workers = [
        pid
        for pid in processes_of(tmp_path / "data")
        if b"process" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    ]
    os.kill(workers[0], signal.SIGKILL)
    demo.wait_for(r"process ended with status -9; it is started again in 1 s")
    demo.wait_for(r"process was started again \(restart 1\)")
    assert demo.process.exit_status is None
    os.kill(demo.process.pid, signal.SIGINT)
    assert demo.process.wait(90) == 0, demo.said()
    assert processes_of(tmp_path / "data") == []
