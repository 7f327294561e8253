"""Which venue has which mapper and feed; the one place where a venue is added.

Modules are imported when asked for, so that one venue's service loads nothing of the others.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import cast

from ingest.venues.interface import Mapper, VenueFeed
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.platform.settings import Settings

MapperFactory = Callable[[Sequence[Instrument] | None, Mapping[str, float]], Mapper]
"""Builds a mapper for some instruments, or (None) for any that the venue may name; the second argument gives
coins a contract by instrument name, for venues that count in contracts, where no listing was read."""
FeedFactory = Callable[[Settings], VenueFeed]

_MAPPERS: dict[Venue, str] = {
    Venue.BINANCE: "ingest.venues.binance.mapper:BinanceMapper",
    Venue.BYBIT: "ingest.venues.bybit.mapper:BybitMapper",
    Venue.OKX: "ingest.venues.okx.mapper:OkxMapper",
    Venue.HYPERLIQUID: "ingest.venues.hyperliquid.mapper:HyperliquidMapper",
}
_FEEDS: dict[Venue, str] = {
    Venue.BINANCE: "ingest.venues.binance.feed:BinanceFeed",
    Venue.BYBIT: "ingest.venues.bybit.feed:BybitFeed",
    Venue.OKX: "ingest.venues.okx.feed:OkxFeed",
    Venue.HYPERLIQUID: "ingest.venues.hyperliquid.feed:HyperliquidFeed",
}


def mapper_for(
    venue: Venue,
    instruments: Sequence[Instrument] | None = None,
    contract_values: Mapping[str, float] | None = None,
) -> Mapper:
    """Return a new mapper of `venue`: for these instruments, or for every one that it can name."""
    factory = cast(MapperFactory, _load(_MAPPERS[venue]))
    return factory(instruments, contract_values or {})


def feed_for(venue: Venue, settings: Settings) -> VenueFeed:
    """Return the feed of `venue` as the settings want it."""
    return cast(FeedFactory, _load(_FEEDS[venue]))(settings)


def _load(path: str) -> object:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
