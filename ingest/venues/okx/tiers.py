"""OKX margin tiers, which are cut by contracts, as a table in USD.

A position's tier is fixed by its contracts whatever the price, and nothing is deducted, so margin jumps at
the edges. In USD the edges hold for the mark price of the moment; they are read anew with every refresh.
"""

from collections.abc import Sequence

from ingest.venues.okx.messages import PositionTier
from liqheat.domain.margin_tiers import MarginTiers

_NO_LIMIT_USD = 1e15


def margin_tiers(tiers: Sequence[PositionTier], usd_a_contract: float) -> MarginTiers:
    """Build the table from OKX's steps, valued at `usd_a_contract`.

    A step's `minSz` is the size after the `maxSz` before it, so each step starts at that `maxSz`.

    Raises:
        BrokenMarginTiers: the steps are no tier table.
    """
    rows: list[list[float]] = []
    for step in sorted(tiers, key=lambda each: each.tier):
        floor = rows[-1][1] if rows else 0.0
        cap = min(step.maximum_size * usd_a_contract, _NO_LIMIT_USD)
        rows.append([floor, cap, step.max_leverage, step.maintenance_margin_rate, 0.0])
    return MarginTiers.of(rows)
