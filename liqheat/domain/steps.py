"""Amounts in logarithmic steps, as the tables of the map hold them.

0 is nothing, `n` is 0.01 USD times `ratio ** (n - 1)`. A level is rounded by half a percent at most, a flow by five.
The ratios are part of the stored data and never change; another precision needs another column.
"""

import numpy as np

from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.domain.price_grid import IntArray

LEVEL_RATIO = 1.01
FLOW_RATIO = 1.1
SMALLEST_USD = 0.01

_STEPS = 65_536
_LARGEST_MICRO_USD = 2.0**62


def level_micro_usd() -> IntArray:
    """Return the amount (micro-USD) of every step of a level, shape (65536,); amounts past 2^62 are held there."""
    usd = SMALLEST_USD * np.exp((np.arange(_STEPS) - 1) * np.log(LEVEL_RATIO))
    usd[0] = 0.0
    amounts: IntArray = np.rint(np.minimum(usd * MICRO_USD_PER_USD, _LARGEST_MICRO_USD)).astype(np.int64)
    return amounts
