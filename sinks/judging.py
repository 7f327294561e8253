"""Which rows of the log are stored: no row of an unknown venue, and none of a time that had not come.

Most tables of the log's events keep what is latest by the event's own time, so one row of next year would hide every
true one until then. As in the worker, times are judged against the broker's, so that the same log gives the same rows.
"""

from typing import NamedTuple

from liqheat.domain.events import Batch
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage
from liqheat.platform.lead import early_rows

_VENUES = frozenset(Venue)


class Judged(NamedTuple):
    """The rows of a batch to store, and those that are too early (None where there are none), with the reason."""

    kept: Batch | None
    early: Batch | None = None
    reason: str = ""


def judge(batch: Batch, written_at: int, maximum_lead_ms: int) -> Judged:
    """Judge a batch of position events that the broker took at `written_at` (ms).

    Raises:
        PoisonMessage: its venue is unknown.
    """
    if batch.venue not in _VENUES:
        raise PoisonMessage(f"Expected a known venue, was {batch.venue!r}")
    found = early_rows(batch.frame["event_time"].to_numpy(), written_at, maximum_lead_ms)
    if found is None:
        return Judged(batch)
    kept, early = (Batch(batch.kind, batch.venue, batch.frame.filter(rows)) for rows in (~found.rows, found.rows))
    return Judged(kept if kept.frame.height else None, early, found.reason)
