"""What a process costs, read from /proc: processor time with all its threads, and memory; and the whole machine."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds since the start of a process, memory now and its peak (bytes)."""

    processor: float
    memory: int
    peak: int


def cost_of(pid: int) -> Cost:
    """Return what `pid` has cost so far.

    Raises:
        FileNotFoundError: there is no such process, or this is not Linux.
    """
    # The name in parentheses may hold spaces, so the fields are counted from behind it (proc(5)).
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return Cost(
        (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND,
        _kilobytes(status["VmRSS"]) * 1_024,
        _kilobytes(status["VmHWM"]) * 1_024,
    )


def machine_busy() -> float:
    """Return the processor seconds that all cores together have worked since the machine started."""
    # user nice system idle iowait irq softirq steal ... (proc(5)); waiting is not work.
    fields = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS_PER_SECOND


def forget_peak(pid: int) -> None:
    """Begin a new peak of memory (proc(5), clear_refs), so that the start of a service does not count."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _kilobytes(text: str) -> int:
    return int(text.split()[0])
