"""Which events are too far ahead of the time at which the broker took their message.

Worker and sink judge by that time, which is part of the log, so that the same log gives the same rows.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Early(NamedTuple):
    """Which rows of a message are too early, shape (rows,), and the reason."""

    rows: npt.NDArray[np.bool_]
    reason: str


def early_rows(event_times: npt.NDArray[Any], written_at: int, maximum_lead_ms: int) -> Early | None:
    """Return the rows ahead of `written_at` by more than `maximum_lead_ms`, None where there is none; times are ms."""
    leads = event_times - written_at
    longest = int(leads.max())
    if longest <= maximum_lead_ms:
        return None
    reason = f"An event is {longest:,} ms ahead of the broker's time, more than {maximum_lead_ms:,}"
    return Early(leads > maximum_lead_ms, reason)
