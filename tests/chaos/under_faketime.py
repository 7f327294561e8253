"""A service of liqheat whose wall clock libfaketime sets: started by the chaos run in place of `python -m liqheat`.

    LD_PRELOAD=libfaketimeMT.so.1 python -m tests.chaos.under_faketime ingest ...

With the monotonic clock left real, libfaketime 0.9.10 refuses absolute waits: EINVAL of clock_nanosleep, by which
`time.sleep` waits. kafka-python's sender, once it has to try again, then spins for ever and delivers nothing.
"""

import errno
import runpy
import select
import time
from typing import SupportsIndex

_sleep = time.sleep


def sleep(seconds: float | SupportsIndex) -> None:
    """Wait as `time.sleep` does, by a relative wait where the absolute one is refused."""
    try:
        _sleep(seconds)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        select.select([], [], [], float(seconds))


if __name__ == "__main__":
    time.sleep = sleep
    runpy.run_module("liqheat", run_name="__main__", alter_sys=True)
