"""Event-time windows as integer arithmetic on milliseconds.

A window is half-open, `[start, start + size)`, and is named by its start. The engine closes windows by
watermark; nothing here knows the time of day.
"""

import numpy as np
import numpy.typing as npt

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


def window_start(event_time: int, size: int = MINUTE_MS) -> int:
    """Return the start, in ms, of the window that holds `event_time` (ms)."""
    return event_time - event_time % size


def window_starts(event_times: npt.NDArray[np.int64], size: int = MINUTE_MS) -> npt.NDArray[np.int64]:
    """Return the window start of each event time; shapes and units as given (ms)."""
    return event_times - event_times % size
