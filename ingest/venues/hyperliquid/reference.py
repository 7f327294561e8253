"""Hyperliquid's universe as contracts and margin tiers (gitbook, trading/margin-tiers)."""

from collections.abc import Mapping

from ingest.venues.hyperliquid.messages import Coin, MarginTable
from liqheat.domain.events import NAN, Contract
from liqheat.domain.instruments import Instrument
from liqheat.domain.margin_tiers import MarginTiers, with_deductions
from liqheat.domain.market import Venue
from liqheat.domain.windows import HOUR_MS

_NO_LIMIT_USD = 1e15


def contract(instrument: Instrument, coin: Coin, event_time: int) -> Contract:
    """Return the coin's contract: prices have five significant figures and so no fixed tick; funding is hourly."""
    return Contract(
        Venue.HYPERLIQUID,
        instrument.symbol,
        instrument.name,
        event_time,
        "delisted" if coin.is_delisted else "trading",
        NAN,
        10.0**-coin.size_decimals * instrument.coins_per_unit,
        instrument.coins_per_unit,
        HOUR_MS,
    )


def margin_tiers(coin: Coin, tables: Mapping[int, MarginTable]) -> MarginTiers:
    """Return the coin's tiers: half the initial margin at each step's maximum leverage, deducted to be continuous.

    A coin whose table is not among `tables` has one tier, of its maximum leverage.

    Raises:
        BrokenMarginTiers: the steps are no tier table.
    """
    table = tables.get(coin.margin_table) if coin.margin_table is not None else None
    if table is None:
        return MarginTiers.single(coin.max_leverage, 1 / (2 * coin.max_leverage))
    floors = [step.lower_bound for step in table.steps]
    caps = [*floors[1:], _NO_LIMIT_USD]
    return with_deductions(
        [
            [floor, cap, step.max_leverage, 1 / (2 * step.max_leverage)]
            for floor, cap, step in zip(floors, caps, table.steps, strict=True)
        ]
    )
