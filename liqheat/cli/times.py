"""Times as people write them: s, ms, µs or ns, told apart by size, or ISO 8601. And notes on standard error."""

import sys
from datetime import UTC, datetime

from liqheat.domain.units import LATEST_MS
from liqheat.platform.errors import ConfigurationError

UNITS = ((100_000_000_000, 1_000, 1), (10**14, 1, 1), (10**17, 1, 1_000), (10**20, 1, 1_000_000))
"""A number below the first is to be multiplied by the second and divided by the third to be ms."""
EARLIEST_MS = 1_262_304_000_000
"""1 January 2010: no perpetual future was traded before, so an earlier time is in an unknown unit."""


def scale_of(number: float) -> tuple[int, int]:
    """Return by what a time is to be multiplied and divided to be in ms; its size says what it is in.

    Raises:
        ConfigurationError: it is no time in any unit.
    """
    for below, times, over in UNITS:
        if 0 <= number < below:
            return times, over
    raise ConfigurationError(f"Expected a time in s, ms, µs or ns since 1970, was {number:g}")


def read_time(text: str, option: str) -> int | None:
    """Read a time into ms: s, ms, µs or ns since 1970, or ISO 8601, UTC where it names no zone; None for no text.

    Args:
        text: what was given.
        option: its name, for the complaint.

    Raises:
        ConfigurationError: it is no time, or one that is not from 2010 to 2100.
    """
    if not text:
        return None
    try:
        if text.isascii() and text.isdigit():
            times, over = scale_of(int(text))
            time = int(text) * times // over
        else:
            moment = datetime.fromisoformat(text)
            time = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (ValueError, OverflowError, ConfigurationError) as error:
        raise ConfigurationError(
            f"Expected {option} in s or ms since 1970 or as 2026-01-31T12:00, was {text!r}"
        ) from error
    if not EARLIEST_MS <= time < LATEST_MS:
        raise ConfigurationError(f"Expected {option} from 2010 to 2100, was {text!r}")
    return time


def time_text(time: int) -> str:
    """Return ms as `2026-01-31T12:00`, UTC."""
    return datetime.fromtimestamp(time / 1_000, UTC).strftime("%Y-%m-%dT%H:%M")


def note(text: str) -> None:
    """Say on standard error what was found in a file and is not refused."""
    print(f"liqheat: {text}", file=sys.stderr)
