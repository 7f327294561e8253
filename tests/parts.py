"""`make test`: the tests in two parts, each a run of pytest, then one summary of both.

What only computes runs in as many processes as there are cores. What starts brokers, services and browsers waits as
much as it computes: it comes after, in two processes, each with a broker and a ClickHouse of its own.
tests/conftest.py leaves out the other part.

    python -m tests.parts [arguments of pytest]
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PURE = ("playback", "property", "unit")
"""Folders whose tests compute; every other one is of the part `services`."""

BY_FILE = ("--dist", "loadfile", "--no-loadscope-reorder")
"""A file's tests in one process, so that what they share is made once; the long files of `property` come first."""
PARTS: Mapping[str, Sequence[str]] = {"pure": ("-n", "auto", *BY_FILE), "services": ("-n", "2", *BY_FILE)}
"""By name of the part, what pytest is given for it."""

COUNTED = ("passed", "failed", "error", "skipped")


@dataclass(frozen=True, slots=True)
class Tally:
    """How one part ended: tests by outcome, seconds, and the exit status of pytest."""

    part: str
    status: int
    seconds: float
    counts: Mapping[str, int]
    failures: Sequence[str] = ()
    """Names of what failed, in the order of the run."""

    @property
    def is_empty(self) -> bool:
        """Whether no test of this part was asked for."""
        return self.status == pytest.ExitCode.NO_TESTS_COLLECTED


def part_of(file: Path) -> str:
    """Return the part that a file of tests belongs to: `pure` or `services`."""
    return "pure" if file.relative_to(TESTS).parts[0] in PURE else "services"


def joined(tallies: Sequence[Tally]) -> tuple[list[str], int]:
    """Return the summary's lines and the exit status of all parts.

    A part of which nothing was asked is no failure; if no part had a test, pytest's own status for that is returned.
    """
    ran = [one for one in tallies if not one.is_empty]
    if not ran:
        return ["No test was asked for by these arguments"], int(pytest.ExitCode.NO_TESTS_COLLECTED)
    lines = [f"FAILED {name}" for one in ran for name in one.failures]
    for one in ran:
        outcomes = ", ".join(f"{one.counts.get(name, 0)} {name}" for name in COUNTED if one.counts.get(name))
        ended = (
            "" if one.status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else f", exit status {one.status}"
        )
        lines.append(f"{one.part}: {outcomes or 'no test'} in {one.seconds / 60:.1f} minutes{ended}")
    total = {name: sum(one.counts.get(name, 0) for one in ran) for name in COUNTED}
    lines.append(f"{total['passed']} passed, {total['failed'] + total['error']} failed, {total['skipped']} skipped")
    return lines, max(abs(one.status) for one in ran)


def run(part: str, arguments: Sequence[str], folder: Path) -> Tally:
    """Run one part with pytest's own output on the terminal; `folder` takes its tally."""
    file = folder / f"{part}.json"
    command = [sys.executable, "-m", "pytest", f"--part={part}", f"--tally={file}", *PARTS[part], *arguments]
    began = time.monotonic()
    with subprocess.Popen(command) as process:
        status = _ended(process)
    found = json.loads(file.read_text()) if file.exists() else {"counts": {}, "failures": []}
    return Tally(part, status, time.monotonic() - began, found["counts"], found["failures"])


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Return the exit status; Ctrl-C reaches pytest too, which then stops what it has started."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def main() -> None:
    """Run from the command line; exit status 0 where every test of both parts passed."""
    arguments = sys.argv[1:]
    tallies = []
    with tempfile.TemporaryDirectory(prefix="liqheat-tests-") as folder:
        for part in PARTS:
            tallies.append(run(part, arguments, Path(folder)))
            stop_here = tallies[-1].status == pytest.ExitCode.TESTS_FAILED and {"-x", "--exitfirst"} & set(arguments)
            if stop_here or tallies[-1].status not in (
                pytest.ExitCode.OK,
                pytest.ExitCode.TESTS_FAILED,
                pytest.ExitCode.NO_TESTS_COLLECTED,
            ):
                # Interrupted, or pytest could not begin: the other part would say the same.
                break
    lines, status = joined(tallies)
    print("\n".join(["", *lines]), flush=True)
    raise SystemExit(status)


if __name__ == "__main__":
    main()
