"""How a run of faults ends: its table however it ended, what was wrong, and what it was at when its time was up."""

import signal
import sys
from pathlib import Path

import pytest

from tests.chaos import run as command
from tests.chaos.faults import Fault
from tests.chaos.run import Outcome, Run, TimeIsUp, limited

SUFFERED = [
    Outcome("sink-1 killed", 1.25, 4.0),
    Outcome("sink-1 killed", None, 6.5),
    Outcome("poison: empty", None, 0.1),
]


def main(monkeypatch: pytest.MonkeyPatch, directory: Path, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["run", "--directory", str(directory), *options])
    try:
        command.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_run_that_takes_too_long_says_what_it_was_at_beside_its_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def hang(faults: int, seed: int, directory: Path, run: Run, without: object) -> None:
        run.outcomes += SUFFERED
        run.doing = "fault 4 of 20, kafka frozen"
        signal.pause()

    monkeypatch.setattr(command, "chaos", hang)
    assert main(monkeypatch, tmp_path, "--faults", "20", "--limit", "0.05") == 1
    out, err = capsys.readouterr()
    assert "WRONG: not done after 0.05 s, the limit given by --limit; it was at: fault 4 of 20, kafka frozen" in err
    assert f"Logs are in {tmp_path}" in err
    lines = out.splitlines()
    assert lines[0].split() == ["fault", "times", "reported", "s", "well", "s"]
    assert lines[1].split() == ["poison:", "empty", "1", "-", "0.1"]
    assert lines[2].split() == ["sink-1", "killed", "2", "1.2", "6.5"]
    assert "3 faults in 0.0 minutes" in lines[3]


def test_a_run_in_time_is_left_alone_and_all_that_was_wrong_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ["heatmap: 1 missing, 0 invented"]

    def finish(faults: int, seed: int, directory: Path, run: Run, without: object) -> None:
        run.wrong += found

    monkeypatch.setattr(command, "chaos", finish)
    assert main(monkeypatch, tmp_path, "--limit", "60") == 1
    assert "WRONG: heatmap: 1 missing, 0 invented" in capsys.readouterr().err
    found.clear()
    assert main(monkeypatch, tmp_path) == 0
    assert "Every row is what an uninterrupted run leaves" in capsys.readouterr().out


def test_the_limit_rings_past_handlers_of_errors_and_is_gone_afterwards() -> None:
    before = signal.getsignal(signal.SIGALRM)
    assert not issubclass(TimeIsUp, Exception)
    with pytest.raises(TimeIsUp), limited(0.01):
        signal.pause()
    with limited(60):
        pass
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_service_that_does_not_get_well_ends_the_run_with_its_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pipeline = FakePipeline()
    monkeypatch.setattr(command, "running", lambda directory: pipeline)
    monkeypatch.setattr(command, "MessageWriter", lambda kafka, seed: pipeline)
    monkeypatch.setattr(command, "draw", lambda *_: iter([Fault("one", lambda: None), Fault("other", lambda: None)]))
    monkeypatch.setattr(command, "_UNSEEN_SECONDS", 0.0)
    monkeypatch.setattr(command, "_UNDER_WAY_SECONDS", 0.0)
    run = Run()
    command.chaos(20, 3, tmp_path, run)
    assert [outcome.fault for outcome in run.outcomes] == ["one"]
    assert run.wrong == ["other: Not well 90 s after a fault was over: sink-1"]
    assert run.doing == "fault 2 of 20, other"


class FakePipeline:
    """Well after one fault, and never after the next; also its own context and writer."""

    has_faketime = True
    kafka = None

    def __init__(self) -> None:
        self.waited = 0

    def __enter__(self) -> tuple["FakePipeline", bool]:
        return self, True

    def __exit__(self, *_: object) -> None:
        """Nothing was started."""

    def start(self) -> None:
        """Write nothing."""

    def wait_well(self, timeout: float) -> float:
        self.waited += 1
        if self.waited > 1:
            raise TimeoutError(f"Not well {timeout:g} s after a fault was over: sink-1")
        return 0.5
