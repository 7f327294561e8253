"""The open minute of one market: when it closes, what waits for the next, and what happened in it.

A minute closes when the market's watermark (its highest event time) passes the minute's end by the lateness.
Rows ahead of the open minute wait for it to close, so that a minute's level holds that minute's events only.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.domain.events import Kind
from liqheat.domain.windows import MINUTE_MS, window_start

NAN = float("nan")
Columns = dict[str, npt.NDArray[Any]]
Piece = tuple[Kind, Columns]
"""Rows of one kind, as arrays of one length."""

NOT_STARTED = -1
MAXIMUM_CARRIED_MINUTES = 60
"""Minutes without events that are still emitted; a longer silence is skipped."""


@dataclass(slots=True)
class Minute:
    """What happened in the open minute. Prices in USD, NaN while there was none; notionals in micro-USD."""

    rows: int = 0
    mark_open: float = NAN
    mark_high: float = NAN
    mark_low: float = NAN
    taker_buy: int = 0
    taker_sell: int = 0
    late_rows: int = 0
    liquidations: int = 0
    liquidated: dict[tuple[int, int], int] = field(default_factory=dict)
    """Executed liquidations by (side, published bucket)."""


@dataclass(slots=True)
class Window:
    """Start of the open minute, the watermark, and the rows ahead of it in log order (ms)."""

    start: int = NOT_STARTED
    watermark: int = NOT_STARTED
    ahead: list[Piece] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The first millisecond that is not in the open minute."""
        return self.start + MINUTE_MS

    def begin(self, event_time: int) -> None:
        """Open the minute that holds the market's first event."""
        if self.start == NOT_STARTED:
            self.start = window_start(event_time)

    def minutes_to_skip(self, lateness_ms: int) -> int:
        """How many minutes from the open one on are silent and too many to emit; 0 while few or rows wait."""
        first_open = window_start(self.watermark - lateness_ms)
        silent = (first_open - self.start) // MINUTE_MS
        return silent if silent > MAXIMUM_CARRIED_MINUTES and not self.ahead else 0


def select(columns: Columns, rows: npt.NDArray[np.bool_] | slice) -> Columns:
    """Return the chosen rows of every column."""
    return {name: values[rows] for name, values in columns.items()}
