"""Money as int64 micro-USD, so that sums are exact and do not depend on their order.

Used wherever a notional enters the book; floats exist only at the edges.
"""

import numpy as np
import numpy.typing as npt

MICRO_USD_PER_USD = 1_000_000
MAXIMUM_NOTIONAL_USD = 1e11
"""The largest notional one row may carry, ten times the largest open interest there is: 92 such rows fit an int64."""

MAXIMUM_ESTIMATE_USD = 1e12
"""The largest estimate that is published: some ten times the open interest of all markets together."""


def to_micro_usd(usd: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Round USD amounts to int64 micro-USD, half to even.

    Raises:
        ValueError: an amount is not finite, or larger in size than `MAXIMUM_NOTIONAL_USD`.
    """
    amounts = np.asarray(usd, dtype=np.float64)
    if amounts.size and not (np.abs(amounts) <= MAXIMUM_NOTIONAL_USD).all():
        raise ValueError(f"Expected finite amounts of at most {MAXIMUM_NOTIONAL_USD:.0e} USD")
    return np.rint(amounts * MICRO_USD_PER_USD).astype(np.int64)


def estimate_micro_usd(usd: float) -> int:
    """Return an estimate in whole micro-USD, held at `MAXIMUM_ESTIMATE_USD`.

    A quotient of measured figures has no bound of its own: what a flat market's liquidations say of a crash may be
    any number, and it must still fit its column.
    """
    return round(min(usd, MAXIMUM_ESTIMATE_USD) * MICRO_USD_PER_USD)


def usd_text(micro_usd: int) -> str:
    """Return an amount for people: `$1.23B`, `$4.56M`, `$7.8k`."""
    usd = micro_usd / MICRO_USD_PER_USD
    if usd >= 1e9:
        return f"${usd / 1e9:.2f}B"
    return f"${usd / 1e6:.2f}M" if usd >= 1e6 else f"${usd / 1e3:.1f}k"
