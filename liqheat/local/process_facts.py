"""Memory and open files of a running process: for the broker's limit and for the soak."""

import os
import subprocess
import sys
from pathlib import Path


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of a process in MB (10^6 bytes), 0 where it cannot be read."""
    if sys.platform == "linux":
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    done = subprocess.run(  # noqa: S603 - a fixed command and a number
        ["/bin/ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    text = done.stdout.strip()
    return int(text) * 1_024 / 1e6 if text.isdigit() else 0.0


def open_files(pid: int) -> int | None:
    """Return how many file descriptors a process holds, None where the system does not say."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
