"""Hyperliquid's universe as contracts and margin tiers (gitbook, trading/margin-tiers)."""

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import msgspec

from ingest.venues.hyperliquid.messages import Coin, MarginTable, MetaAnswer
from ingest.venues.interface import Listings
from ingest.venues.wire import NO_NAME, Report, RowReader, decoder_of, name_in, read
from liqheat.domain.events import NAN, Contract
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.margin_tiers import NO_CAP_USD, BrokenMarginTiers, MarginTiers, with_deductions
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.platform.errors import PoisonMessage

_META = decoder_of(MetaAnswer)
_COINS = RowReader(Coin, "a Hyperliquid coin")
_RAWS = decoder_of(list[msgspec.Raw])
_TABLE = decoder_of(tuple[int, MarginTable])
_NUMBERED = decoder_of(tuple[int, Any])
_FOREIGN = re.compile("[:/@]")
"""In the names of builders' markets (`xyz:NVDA`) and of spot markets (`PURR/USDC`, `@107`)."""


@dataclass(frozen=True, slots=True)
class Universe:
    """The coins of one exchange in their order, None where a row of it cannot be read, and their names all the same.

    `tables` holds the margin tables by number, `broken` the numbers of those that cannot be read; one more may be
    missing of which not even the number can be read. `is_foreign` says that it is of a builder's exchange or of spot.
    """

    coins: tuple[Coin | None, ...]
    names: tuple[str, ...]
    tables: dict[int, MarginTable]
    broken: frozenset[int]
    lacks_a_table: bool = False
    is_foreign: bool = False


def universe_of(body: bytes | msgspec.Raw, report: Report) -> Universe:
    """Read a `meta` answer row by row; what cannot be read of it goes to `report`, unless it is foreign.

    Raises:
        PoisonMessage: it is no `meta`.
    """
    meta = read(_META, body, "a Hyperliquid universe")
    own = Report()
    coins = _COINS.read_aligned(meta.universe, own)
    rows = read(_RAWS, meta.universe, "a list of Hyperliquid coins") if None in coins else []
    names = [coin.name if coin is not None else name_in(rows[place]) for place, coin in enumerate(coins)]
    tables: dict[int, MarginTable] = {}
    broken: set[int] = set()
    lacks_a_table = False
    for row in meta.margin_tables or ():
        try:
            number, table = read(_TABLE, row, "a Hyperliquid margin table")
            tables[number] = table
        except PoisonMessage as poison:
            try:
                number = read(_NUMBERED, row, "a numbered margin table")[0]
            except PoisonMessage:
                lacks_a_table = True
                own.refuse("a margin table without a number", poison.reason, row)
                continue
            broken.add(number)
            own.refuse(f"margin table {number}", poison.reason, row)
    named = [name for name in names if name]
    is_foreign = bool(named) and all(_FOREIGN.search(name) for name in named)
    if not is_foreign:
        report.refused += own.refused
    return Universe(tuple(coins), tuple(names), tables, frozenset(broken), lacks_a_table, is_foreign)


def listings_of(universe: Universe, event_time: int, report: Report) -> Listings:
    """Return the coins of the universe; those that cannot be read are among the refused."""
    contracts: list[Contract] = []
    left_out: dict[str, str] = {}
    for coin in universe.coins:
        if coin is None:
            continue
        instrument = parse_instrument(Venue.HYPERLIQUID, coin.name)
        if not coin.name:
            report.refuse("", NO_NAME, coin)
        elif instrument is None:
            left_out[coin.name] = "name not understood"
        else:
            contracts.append(contract(instrument, coin, event_time))
    ignored = {"name not understood": len(left_out)} if left_out else {}
    return Listings(tuple(contracts), ignored, left_out, tuple(report.refused))


def contract(instrument: Instrument, coin: Coin, event_time: int) -> Contract:
    """Return the coin's contract: prices have five significant figures and so no fixed tick; funding is hourly."""
    return Contract(
        Venue.HYPERLIQUID,
        instrument.symbol,
        instrument.name,
        event_time,
        "delisted" if coin.is_delisted else "trading",
        NAN,
        NAN if coin.size_decimals is None else 10.0**-coin.size_decimals * instrument.coins_per_unit,
        instrument.coins_per_unit,
        VENUE_FACTS[Venue.HYPERLIQUID].funding_interval,
    )


def tables_of(universe: Universe, wanted: Container[str]) -> tuple[dict[str, MarginTiers], dict[str, str]]:
    """Return the tier tables of the `wanted` coins, and why others were refused."""
    tables: dict[str, MarginTiers] = {}
    refused: dict[str, str] = {}
    for coin in universe.coins:
        if coin is None or coin.name not in wanted:
            continue
        try:
            tables[coin.name] = _table(coin, universe)
        except BrokenMarginTiers as error:
            refused[coin.name] = str(error)
    return tables, refused


def _table(coin: Coin, universe: Universe) -> MarginTiers:
    """Half the initial margin at each step's maximum leverage, deducted to be continuous.

    A coin whose table is not among the universe's has one tier, of its maximum leverage.
    """
    if coin.margin_table in universe.broken:
        raise BrokenMarginTiers(f"Its margin table {coin.margin_table} cannot be read")
    table = universe.tables.get(coin.margin_table) if coin.margin_table is not None else None
    if table is None and universe.lacks_a_table and coin.margin_table is not None:
        raise BrokenMarginTiers(f"Its margin table {coin.margin_table} may be the one whose number cannot be read")
    if table is None:
        return MarginTiers.single(coin.max_leverage, 1 / (2 * coin.max_leverage))
    if not table.steps:
        raise BrokenMarginTiers(f"Its margin table {coin.margin_table} has no tiers")
    floors = [step.lower_bound for step in table.steps]
    caps = [*floors[1:], NO_CAP_USD]
    return with_deductions(
        [
            [floor, cap, step.max_leverage, 1 / (2 * step.max_leverage)]
            for floor, cap, step in zip(floors, caps, table.steps, strict=True)
        ]
    )
