"""Where commands read stored data: what is said without a server, and that Ctrl-C does not wait for a query."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from liqheat.cli.stored_data import interruptible

SLEEPER = """
import time
from liqheat.cli.stored_data import interruptible
def work():
    print("begun", flush=True)
    # Longer than the test waits, so that only the interrupt can end it.
    time.sleep(100)
interruptible(work)
"""


def test_work_is_done_in_a_thread_and_its_error_is_raised_here() -> None:
    assert interruptible(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 / 0)
    with pytest.raises(TimeoutError, match="its own"):
        interruptible(lambda: (_ for _ in ()).throw(TimeoutError("its own")))


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
