"""Conditions by level, changes of state as single log lines, and the judges behind them."""

import logging
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from liqheat.platform.clock import ManualClock
from liqheat.platform.clock_watch import JumpWatch, OffsetWatch
from liqheat.platform.health import Condition, Conditions
from liqheat.platform.lag import LagJudge
from liqheat.platform.repeated_lines import RepeatedLines


class Switches:
    """Checks that a test turns on and off."""

    def __init__(self) -> None:
        self.on: dict[str, str] = {}

    def __getitem__(self, name: str) -> Callable[[], str | None]:
        return lambda: self.on.get(name)


def test_a_change_of_state_is_one_log_line_with_its_count() -> None:
    switches = Switches()
    conditions = Conditions("test", [Condition("broker", switches["broker"])])
    with capture_logs() as lines:
        for second in range(30):
            # Out twice, for ten seconds each, its sentence another each second.
            out = second < 10 or 15 <= second < 25
            switches.on = {"broker": f"no answer for {second} s"} if out else {}
            conditions.note_changes(float(second))
    seen = [(line["event"], line["condition"], line.get("seconds"), line.get("times")) for line in lines]
    assert seen == [
        ("not well", "broker", None, None),
        ("well again", "broker", 10.0, 1),
        ("not well", "broker", None, None),
        ("well again", "broker", 10.0, 2),
    ]


def test_a_group_that_makes_no_progress_is_behind_within_ten_seconds_and_one_that_works_is_not() -> None:
    standing, working = LagJudge(), LagJudge()
    for second in range(0, 11, 2):
        standing.note(second, {"log[0]": (100, 200)})
        # A long backlog that gets shorter is no problem.
        working.note(second, {"log[0]": (100 + 300 * second, 90_000)})
    problem = standing.problem()
    assert problem is not None
    assert "log[0] for 10 s" in problem
    assert (standing.standing(), standing.ends) == ({"log[0]": 10.0}, {"log[0]": 200})
    assert working.standing() == {"log[0]": 0.0}
    assert working.problem() is None
    standing.note(12, {"log[0]": (200, 200)})
    assert standing.problem() is None


def test_a_service_that_commits_once_a_minute_is_well_while_it_gets_on() -> None:
    judge = LagJudge()
    for second in range(0, 240, 2):
        committed, end = 1_000 * (second // 60), 1_000 + 20 * second
        judge.note(second, {"log[0]": (committed, end)}, {"log[0]": end - 30})
        assert judge.problem() is None
        assert judge.messages == 30
    # It reads on no more: within ten seconds, whatever was committed last.
    for second in range(240, 252, 2):
        judge.note(second, {"log[0]": (3_000 + second, 6_000 + 20 * second)}, {"log[0]": 5_750})
    problem = judge.problem()
    assert problem is not None
    assert "log[0] for 10 s" in problem


def test_partitions_of_other_members_are_theirs_to_answer_for_until_nothing_is_committed_for_minutes() -> None:
    judge = LagJudge()
    problems = []
    for second in range(0, 1_000, 10):
        judge.note(second, {"log[0]": (50, 200), "log[1]": (100, 200)}, {"log[1]": 200})
        problems.append(judge.problem())
    assert problems[:91] == [None] * 91
    assert problems[-1] is not None
    assert problems[-1].startswith("Nothing is committed")


def test_a_partition_of_which_nothing_was_read_yet_is_judged_from_where_the_group_is() -> None:
    judge = LagJudge()
    for second in range(0, 12, 2):
        judge.note(second, {"log[0]": (100, 200)}, {"log[0]": 0})
    assert "log[0] for 10 s" in (judge.problem() or "")


def test_a_group_that_falls_further_behind_for_a_minute_is_reported() -> None:
    judge = LagJudge()
    for second in range(0, 70, 2):
        judge.note(second, {"log[0]": (10 * second, 1_000 + 40 * second)})
    problem = judge.problem()
    assert problem is not None
    assert "Falling behind" in problem
    judge.note(72, {"log[0]": (3_000, 3_200)})
    assert judge.problem() is None


@pytest.mark.parametrize("seconds", [3_600.0, -86_400.0, 5.0])
def test_a_clock_that_jumps_is_noticed_and_one_that_comes_back_is_well(seconds: float) -> None:
    clock = ManualClock()
    skew = 0.0

    class Skewed(ManualClock):
        def now_ms(self) -> int:
            return clock.now_ms() + round(skew * 1_000)

        def monotonic(self) -> float:
            return clock.monotonic()

    watch = JumpWatch(Skewed())
    for _ in range(20):
        clock.advance(1.0)
        assert watch.problem() is None
    skew = seconds
    problem = watch.problem()
    assert problem is not None
    assert f"{abs(seconds):,.0f} s" in problem
    clock.advance(5.0)
    assert watch.problem() is not None
    skew = 0.0
    assert watch.problem() is None


@pytest.mark.parametrize("offset_ms", [-3_600_000, -9_000, 0, 900, 12_000])
def test_a_venues_clock_is_measured_from_dates_of_a_second(offset_ms: int) -> None:
    watch = OffsetWatch()
    now = 1_700_000_000_000
    for number in range(40):
        asked_at = now + 7_137 * number
        answered_at = asked_at + 40 + 97 * (number % 5)
        made_at = asked_at + (answered_at - asked_at) * (number % 7) // 7
        watch.note(asked_at, answered_at, (made_at + offset_ms) // 1_000 * 1_000)
    assert watch.offset_ms is not None
    assert abs(watch.offset_ms - offset_ms) <= 250
    assert (watch.problem() is None) == (abs(offset_ms) < 5_000)


def test_a_clock_that_is_set_is_measured_afresh() -> None:
    watch = OffsetWatch()
    for number in range(10):
        watch.note(1_000_000 + number * 1_000, 1_000_050 + number * 1_000, 1_000_000 + number * 1_000)
    assert watch.problem() is None
    watch.note(9_000_000, 9_000_050, 1_020_000)
    problem = watch.problem()
    assert problem is not None
    assert "ahead of the venue's" in problem


def test_lines_that_repeat_are_counted_not_written() -> None:
    lines = RepeatedLines(pause=0.2)
    passed = []
    for number in range(3_600):
        record = logging.LogRecord(
            "aiokafka",
            logging.ERROR,
            "",
            0,
            f"Task <object at {number * 7919:#x}> cannot reach node {number}",
            (),
            None,
        )
        if lines.filter(record):
            passed.append(record.getMessage())
    assert len(passed) < 5
    other = logging.LogRecord("aiokafka", logging.ERROR, "", 0, "Group left", (), None)
    assert lines.filter(other)
    time.sleep(0.25)
    assert lines.filter(record)
    assert "more like it" in record.getMessage()


@pytest.mark.parametrize("style", ["json", "console"])
def test_what_ends_a_task_of_a_connection_is_one_line_and_a_fault_of_ours_is_told_whole(style: str) -> None:
    program = (
        "import logging, structlog; from liqheat.platform.logging import configure; configure('info', sys.argv[1])\n"
        "try:\n    raise ValueError('Invalid file descriptor: -1')\nexcept ValueError:\n"
        "    logging.getLogger('kafka.net.selector').exception('Unhandled exception in task %s:', 7)\n"
        "    logging.getLogger('faust').exception('Crashed')\n"
        "    structlog.get_logger().exception('ours')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys\n{program}", style],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Unhandled exception in task 7: ValueError: Invalid file descriptor: -1" in done.stderr
    assert done.stderr.count("Traceback (most recent call last)") == 2


def test_a_process_that_waits_for_ever_ends_in_time_with_a_sentence() -> None:
    # It sleeps in a loop as a process does that ignores the signal.
    stuck = (
        "import signal, threading, time\n"
        "from liqheat.platform.ending import limit_the_end\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "limit_the_end(0.5)\nprint('up', flush=True)\n"
        "while True:\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", stuck], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.terminate()
    _, said = process.communicate(timeout=10)
    assert process.returncode == 1
    assert said.startswith("liqheat: not done 0.5 s after it was asked to stop")
    assert said.count("\n") == 1
