"""Hyperliquid's universe as contracts and margin tiers (gitbook, trading/margin-tiers)."""

from collections import Counter
from collections.abc import Container, Mapping

from ingest.venues.hyperliquid.messages import Coin, MarginTable, Meta
from ingest.venues.interface import Listings
from liqheat.domain.events import NAN, Contract
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.margin_tiers import BrokenMarginTiers, MarginTiers, with_deductions
from liqheat.domain.market import Venue
from liqheat.domain.windows import HOUR_MS

_NO_LIMIT_USD = 1e15


def listings_of(meta: Meta, event_time: int) -> Listings:
    """Return the coins of the universe, others counted by reason."""
    contracts: list[Contract] = []
    ignored: Counter[str] = Counter()
    for coin in meta.universe:
        instrument = parse_instrument(Venue.HYPERLIQUID, coin.name)
        if instrument is None:
            ignored["name not understood"] += 1
        else:
            contracts.append(contract(instrument, coin, event_time))
    return Listings(tuple(contracts), ignored)


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


def tables_of(meta: Meta, wanted: Container[str]) -> tuple[dict[str, MarginTiers], dict[str, str]]:
    """Return the tier tables of the `wanted` coins of the universe, and why others were refused."""
    shared = dict(meta.margin_tables)
    tables: dict[str, MarginTiers] = {}
    refused: dict[str, str] = {}
    for coin in meta.universe:
        if coin.name not in wanted:
            continue
        try:
            tables[coin.name] = _table(coin, shared)
        except BrokenMarginTiers as error:
            refused[coin.name] = str(error)
    return tables, refused


def _table(coin: Coin, tables: Mapping[int, MarginTable]) -> MarginTiers:
    """Half the initial margin at each step's maximum leverage, deducted to be continuous.

    A coin whose table is not among `tables` has one tier, of its maximum leverage.
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
