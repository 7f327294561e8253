"""ClickHouse's HTTP interface over the embedded engine as a process of its own, so that it can be killed and frozen.

python -m tests.chaos.clickhouse_process DIRECTORY PORT LOG
"""

import signal
import sys
import threading
from pathlib import Path

from tests.support.clickhouse_over_http import clickhouse_over_http


def main() -> None:
    """Serve until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with clickhouse_over_http(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])):
        stop.wait()


if __name__ == "__main__":
    main()
