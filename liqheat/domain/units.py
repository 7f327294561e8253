"""What a column counts and which values are sane, as annotated types that events and signals are written in.

The codec refuses a value outside its unit; dictionaries of the data are generated from the names here.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from liqheat.domain.market import Venue

LATEST_MS = 4_102_444_800_000
"""1 January 2100, ms: a later time is in micro- or nanoseconds."""
LARGEST_FLOAT = np.finfo(np.float64).max
"""Kept as numpy's own number: against a Python float, numpy would compare a column of 32 bits in 32, and overflow."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What a column counts, and which values are sane; a value outside is poison.

    `nullable` admits NaN for "the venue publishes none". Both limits are inclusive; for a list they hold for every
    element. `bits` is the width of a stored number. Where `nonzero`, 0 is outside too.
    """

    name: str
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool = False
    bits: int = 64
    nonzero: bool = False

    @property
    def smallest_whole(self) -> int:
        """The smallest whole number that a column of this width can hold."""
        return -(1 << (self.bits - 1))

    @property
    def largest_whole(self) -> int:
        """The largest whole number that a column of this width can hold."""
        return (1 << (self.bits - 1)) - 1

    def limits(self, *, is_whole: bool = False) -> tuple[float, float]:
        """Return the least and the most that a value may be, both inclusive; infinity is outside of every unit.

        Where the unit has no limit, it is that of the numbers which a column can hold: `is_whole` for whole ones.
        """
        lowest: float = self.smallest_whole if is_whole else -LARGEST_FLOAT
        highest: float = self.largest_whole if is_whole else LARGEST_FLOAT
        return lowest if self.minimum is None else self.minimum, highest if self.maximum is None else self.maximum


Time = Annotated[int, Unit("ms since 1970-01-01 UTC", minimum=0, maximum=LATEST_MS)]
"""Up to the year 2100: a mistaken nanosecond time is refused instead of moving the watermark for ever."""
OptionalTime = Annotated[int, Unit("ms since 1970-01-01 UTC, 0 where unknown", minimum=0, maximum=LATEST_MS)]
Price = Annotated[float, Unit("USD per coin", minimum=1e-12, maximum=1e9)]
OptionalPrice = Annotated[float, Unit("USD per coin", minimum=1e-12, maximum=1e9, nullable=True)]
Quantity = Annotated[float, Unit("coins", minimum=0.0, maximum=1e18)]
OptionalQuantity = Annotated[float, Unit("coins", minimum=0.0, maximum=1e18, nullable=True)]
Usd = Annotated[float, Unit("USD", minimum=0.0, maximum=1e15)]
OptionalUsd = Annotated[float, Unit("USD, may be negative", nullable=True)]
MicroUsd = Annotated[int, Unit("micro-USD", minimum=0)]
Rate = Annotated[float, Unit("fraction", minimum=-10.0, maximum=10.0, nullable=True)]
FundingRate = Annotated[float, Unit("fraction", minimum=-1.0, maximum=1.0, nullable=True)]
"""What one settlement takes: no venue lets it come near the whole position. As a rate of eight hours it is a `Rate`."""
Share = Annotated[float, Unit("fraction of 1", minimum=0.0, nullable=True)]
Leverage = Annotated[float, Unit("times", minimum=0.0, maximum=1_000.0, nullable=True)]
SideSign = Annotated[
    int, Unit("+1 long or taker buy, -1 short or taker sell", minimum=-1, maximum=1, bits=8, nonzero=True)
]
Count = Annotated[int, Unit("count", minimum=0)]
Identifier = Annotated[int, Unit("venue's number, -1 where it has none", minimum=-1)]
Revision = Annotated[int, Unit("rows of the symbol's log applied so far", minimum=0)]
Text = Annotated[str, Unit("text")]
Flag = Annotated[bool, Unit("yes or no")]
Percent = Annotated[float, Unit("%, may be negative", nullable=True)]
Score = Annotated[float, Unit("points of 100", minimum=0.0, maximum=100.0)]
Seconds = Annotated[float, Unit("s, may be negative", nullable=True)]
Direction = Annotated[int, Unit("+1 up, -1 down, 0 neither", minimum=-1, maximum=1)]
Agreement = Annotated[
    int, Unit("venues that rise, negative: that fall, 0: they disagree", minimum=-len(Venue), maximum=len(Venue))
]
Version = Annotated[int, Unit("version of the model that made the row", minimum=1, maximum=255)]
"""One number per released model, rising: at most 255, so that it fits above a revision in 64 bits."""
Factor = Annotated[float, Unit("times", minimum=0.0, nullable=True)]
Nats = Annotated[float, Unit("nats per liquidated USD, may be negative", nullable=True)]
Weight = Annotated[float, Unit("square root of USD", minimum=0.0)]


def known(value: float) -> float:
    """Return a quotient as a nullable column may hold it: NaN where it has left the numbers."""
    return value if math.isfinite(value) else math.nan


MAXIMUM_LIST = 20_000
"""Most elements of one list: more than the buckets of a side from a thousandth to a thousand times the price."""
Buckets = Annotated[list[int], Unit("number of the published price bucket", minimum=-45_500, maximum=42_000, bits=32)]
MicroUsds = Annotated[list[int], Unit("micro-USD", minimum=0)]
Shares = Annotated[list[float], Unit("fraction of 1", minimum=0.0, nullable=True, bits=32)]
Percents = Annotated[list[float], Unit("%", minimum=0.0, maximum=1_000.0)]
