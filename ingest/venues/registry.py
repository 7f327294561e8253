"""Finds the mapper and the feed of a venue by their names: `BybitMapper` and `BybitFeed` in `ingest.venues.bybit`.

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


def mapper_for(
    venue: Venue,
    instruments: Sequence[Instrument] | None = None,
    contract_values: Mapping[str, float] | None = None,
) -> Mapper:
    """Return a new mapper of `venue`: for these instruments, or for every one that it can name."""
    factory = cast(MapperFactory, _load(venue, "mapper"))
    return factory(instruments, contract_values or {})


def feed_for(venue: Venue, settings: Settings) -> VenueFeed:
    """Return the feed of `venue` as the settings want it."""
    return cast(FeedFactory, _load(venue, "feed"))(settings)


def _load(venue: Venue, part: str) -> object:
    module = import_module(f"ingest.venues.{venue.value}.{part}")
    return getattr(module, f"{venue.value.capitalize()}{part.capitalize()}")
