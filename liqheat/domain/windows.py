"""Event-time windows as integer arithmetic on milliseconds.

A window is half-open, `[start, start + size)`, and is named by its start. The engine closes windows by
watermark; nothing here knows the time of day.
"""

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


def window_start(event_time: int, size: int = MINUTE_MS) -> int:
    """Return the start, in ms, of the window that holds `event_time` (ms)."""
    return event_time - event_time % size
