"""Commands as processes: quiet ends, interrupts, and what is said before any work is done."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.liqheat.cli.test_map import OPENED

LIQHEAT = [sys.executable, "-m", "liqheat"]


@pytest.mark.parametrize("command", ["settings", "venues", "--help"])
def test_nobody_reading_the_output_is_a_quiet_end(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as unread:
        done = subprocess.run([*LIQHEAT, command], stdout=unread, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    "command",
    [
        ["venues", "--write"],
        ["settings", "--write"],
        ["dictionary", "--write"],
        ["check-venues", "--out"],
        ["score", "--report"],
        ["export", "--symbol", "VIRTUAL", "--output"],
    ],
)
def test_a_file_in_no_folder_is_refused_before_the_work(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [*LIQHEAT, *command, str(tmp_path / "none" / "file")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr == f"liqheat: Cannot write {tmp_path}/none/file: there is no folder {tmp_path}/none\n"


def test_nobody_reading_the_map_is_a_quiet_end() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    lines = "\n".join(json.dumps(event) for event in OPENED)
    with os.fdopen(writer) as unread:
        command = [sys.executable, "-m", "liqheat", "map"]
        done = subprocess.run(command, input=lines, stdout=unread, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (141, "")


SLEEPER = """
import time
from liqheat.cli.stored_data import interruptible
def work():
    print("begun", flush=True)
    # Longer than the test waits, so that only the interrupt can end it.
    time.sleep(100)
interruptible(work)
"""


def test_an_interrupt_ends_the_process_at_once_and_quietly() -> None:
    command = [sys.executable, "-c", SLEEPER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == "begun\n"
        begun = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.stderr.read() == ""
    assert child.returncode == 130
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    "command",
    [
        ["sql", "SELECT 1"],
        ["export", "--symbol", "VIRTUAL"],
        ["catalyst", "list"],
        ["study"],
        ["clusters", "VIRTUAL", "--server"],
        ["what-if", "VIRTUAL", "--move", "1%", "--server"],
    ],
)
def test_without_a_server_one_line_names_the_folder_of_a_demo(command: list[str]) -> None:
    nowhere = {**os.environ, "LIQHEAT_CLICKHOUSE__INTERFACE": "http", "LIQHEAT_CLICKHOUSE__PORT": "1"}
    done = subprocess.run([sys.executable, "-m", "liqheat", *command], capture_output=True, text=True, env=nowhere)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("liqheat: Cannot reach ClickHouse at ")
    assert line.endswith("--data-dir data/demo")


HOLDER = """
import sys
from pathlib import Path
from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.settings import ClickHouse
client = open_clickhouse(ClickHouse(interface="chdb", data_directory=Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_folder_that_another_process_holds_is_named_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "clickhouse").mkdir()
    holder = [sys.executable, "-c", HOLDER, str(tmp_path / "clickhouse")]
    commands = (["view", "--port", "0"], ["export", "--symbol", "VIRTUAL"])
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        for command in commands:
            done = subprocess.run(
                [sys.executable, "-m", "liqheat", *command, "--data-dir", str(tmp_path)],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 2
            assert "another process holds it" in done.stderr.splitlines()[-1]
            assert "Heatmap:" not in done.stdout
