"""Libraries that say the same thing over and over while a broker is away: one line, then a count.

A filter for the handler of the standard `logging` module. Lines are the same when logger, level and template are;
what the template is filled with does not count.
"""

import logging
import re
import threading
import time

PAUSE_SECONDS = 60.0
_REMEMBERED = 1_000
_CONNECTIONS = "kafka.net"
"""kafka-python's loop over its connections."""
_VARYING = re.compile(r"0x[0-9a-fA-F]+|[0-9]+")


class RepeatedLines(logging.Filter):
    """Lets a line through at most every `pause` seconds, and then says how many like it were left out."""

    def __init__(self, pause: float = PAUSE_SECONDS) -> None:
        super().__init__()
        self._pause = pause
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide about one line; a lost connection needs no traceback, its sentence says where and what."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and record.name.startswith(_CONNECTIONS):
            # The client reconnects by itself after any of these errors.
            record.msg = f"{record.getMessage()} {type(error).__name__}: {error}"
            record.args = ()
            record.exc_info = None
        elif isinstance(error, OSError):
            record.exc_info = None
        # Numbers and addresses that are formatted into the template by hand would make each line new.
        template = _VARYING.sub("", str(record.msg)[:200])
        key = record.name, record.levelno, template
        now = time.monotonic()
        with self._lock:
            passed_at, left_out = self._seen.get(key, (-self._pause, 0))
            if now - passed_at < self._pause:
                self._seen[key] = passed_at, left_out + 1
                return False
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[key] = now, 0
        if left_out:
            record.msg = f"{record.getMessage()} ({left_out} more like it in the {now - passed_at:.0f} s before)"
            record.args = ()
        return True
