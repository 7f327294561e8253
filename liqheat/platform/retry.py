"""Waiting after failures: how long, since when, and whether it is time to try again.

Ingest's sockets and publisher and the sink use it; where a library retries (REST, the webhook) tenacity does. What an
answer's `Retry-After` asks for is read here for both.
"""

import random
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

_A_TIME = re.compile(r"1\d{9}(\d{3})?")
"""A time since 1970 in s or ms."""


def seconds_asked(text: str, now_ms: int) -> float | None:
    """Return the seconds that a `Retry-After` asks for; None where it asks for nothing that can be understood.

    It may be a number of seconds or a date (RFC 9110), and some write ISO 8601 or a time since 1970.
    """
    text = text.strip()
    if is_time(text):
        return seconds_until(text, now_ms)
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        return seconds if isfinite(seconds) else None
    for read_date in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read_date(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.timestamp() - now_ms / 1_000
    return None


def is_time(text: str) -> bool:
    """Whether a number of seconds or milliseconds is too large for a duration: then it is a time since 1970."""
    return _A_TIME.fullmatch(text) is not None


def seconds_until(time: str, now_ms: int) -> float:
    """Return the seconds until a time of 13 (ms) or 10 digits (s), one more for the other clock is not ours."""
    return (int(time) * (1 if len(time) == 13 else 1_000) - now_ms) / 1_000 + 1.0


@dataclass(slots=True)
class BackOff:
    """Exponential waiting with jitter; `reset` after success. Spans in seconds."""

    initial: float
    maximum: float
    failures: int = 0

    def next(self, at_least: float = 0.0) -> float:
        """Return the seconds to wait now: between half and all of a span that doubles up to the maximum.

        `at_least` is what the other side asked for; it counts up to the maximum.
        """
        span = min(self.maximum, self.initial * 2.0 ** min(self.failures, 30))
        self.failures += 1
        wait = span * (0.5 + random.random() / 2)  # noqa: S311 - jitter is no secret
        return max(wait, min(at_least, self.maximum))

    def reset(self) -> None:
        """Start small again."""
        self.failures = 0


@dataclass(slots=True)
class Outage:
    """Something outside that refuses for now; times are seconds of a monotonic clock."""

    back_off: BackOff
    since: float | None = None
    retry_at: float = field(default=0.0)
    reason: str = ""

    @property
    def lasts(self) -> bool:
        """Whether the latest try failed."""
        return self.since is not None

    def failed(self, reason: str, now: float, retry_after: float = 0.0) -> float:
        """Note a failed try; return the seconds until the next one."""
        delay = self.back_off.next(retry_after)
        self.retry_at = now + delay
        self.reason = reason
        if self.since is None:
            self.since = now
        return delay

    def may_retry(self, now: float) -> bool:
        """Whether it is time to try."""
        return now >= self.retry_at

    def over(self) -> bool:
        """Note a success; return whether it ended an outage."""
        ended = self.lasts
        self.since = None
        self.retry_at = 0.0
        self.back_off.reset()
        return ended
