"""Open interest: how much it changed on each venue, and whether the large venues agree.

Changes are in coins, not USD, so that a move of the price alone is no change of positions.
"""

import math
from collections.abc import Mapping

from liqheat.domain.market import Venue
from liqheat.domain.price_grid import FloatArray
from liqheat.domain.units import known
from liqheat.domain.venues import COMPARED_VENUES
from processors.signals.history import OPEN_INTEREST, value_at


def change_percent(history: FloatArray, window: int, span_ms: int) -> float:
    """Return the change in % of open interest at minute `window` against `span_ms` before; NaN where not known."""
    now = value_at(history, OPEN_INTEREST, window)
    before = value_at(history, OPEN_INTEREST, window - span_ms)
    return _percent(now, before)


def total_change_percent(histories: Mapping[Venue, FloatArray], window: int, span_ms: int) -> float:
    """Return the change in % over all venues that are known at both ends."""
    now = before = 0.0
    for history in histories.values():
        latest = value_at(history, OPEN_INTEREST, window)
        earlier = value_at(history, OPEN_INTEREST, window - span_ms)
        if not math.isnan(latest) and not math.isnan(earlier):
            now += latest
            before += earlier
    return _percent(now, before)


def _percent(now: float, before: float) -> float:
    """Return the change in %; NaN where nothing was before, or so little that the quotient leaves the numbers."""
    return known(100.0 * (now - before) / before) if before > 0 else math.nan


def agreement(changes: Mapping[Venue, float], threshold_percent: float) -> int:
    """Return how many of the compared venues rose, negative if they fell, 0 if one rose while another fell."""
    known = [changes[venue] for venue in COMPARED_VENUES if venue in changes]
    rising = sum(change >= threshold_percent for change in known)
    falling = sum(change <= -threshold_percent for change in known)
    return 0 if rising and falling else rising - falling
