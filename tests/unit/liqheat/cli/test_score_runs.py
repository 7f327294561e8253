"""Markets over processes: in order, said on standard error, and ended at once by Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from liqheat.cli.main import app, load_commands
from liqheat.cli.score_runs import run_all

SLEEPER = "import time; from liqheat.cli.score_runs import run_all; run_all([0.0, 100.0, 100.0, 100.0], 2, time.sleep)"


def test_results_are_in_the_order_of_the_runs_and_each_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_all([3, 1, 2], 2, str) == ["3", "1", "2"]
    said = capsys.readouterr()
    assert "3 of 3 markets scored" in said.err
    assert said.out == ""


def test_an_interrupt_ends_all_workers_at_once_and_only_this_process_speaks() -> None:
    command = [sys.executable, "-c", SLEEPER]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as child:
        assert child.stderr is not None
        assert "1 of 4 markets scored" in child.stderr.readline()
        begun = time.monotonic()
        os.killpg(child.pid, signal.SIGINT)
        # Standard error ends only once every process that holds it has ended.
        said = child.stderr.read()
    assert said.count("Traceback") == 1, said
    assert time.monotonic() - begun < 20


def test_a_failure_ends_the_others_at_once() -> None:
    begun = time.monotonic()
    with pytest.raises(TypeError):
        run_all([100.0, "no number", 100.0], 2, cast("Any", time.sleep))
    assert time.monotonic() - begun < 50


@pytest.mark.parametrize(
    "option",
    ["--report=page.html", "--quick", "--regime=crash", "--seeds=2", "--first-seed=1", "--crowd=1"],
)
def test_options_of_the_regimes_are_refused_beside_worlds(option: str) -> None:
    load_commands()
    result = CliRunner().invoke(app, ["score", "--worlds", "1", option])
    assert result.exit_code != 0
    assert f"Expected --worlds without {option.partition('=')[0]}" in str(result.exception)
