"""Margin tiers read from a venue for one command, where none are shipped with the package."""

import asyncio

from ingest.rest import RestClient
from ingest.universe import choose
from ingest.venues.registry import feed_for
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import Venue
from liqheat.platform.clock import Clock, SystemClock
from liqheat.platform.errors import ConfigurationError, PoisonMessage, TransientError
from liqheat.platform.settings import Settings

_PATIENCE_SECONDS = 10.0
"""Somebody waits for the answer: a longer ban is said instead."""


def read_tiers(venue: Venue, name: str, settings: Settings) -> MarginTiers:
    """Return the tiers of the venue's instrument `name`, which may also be a symbol or a pair in any case, as of now.

    Raises:
        ConfigurationError: the venue lists no such linear perpetual, or publishes no tiers of it.
        TransientError: the venue cannot be reached.
    """
    return asyncio.run(_read(venue, name, settings, SystemClock()))


async def _read(venue: Venue, name: str, settings: Settings, clock: Clock) -> MarginTiers:
    feed = feed_for(venue, settings)
    async with RestClient(venue, clock, patience=_PATIENCE_SECONDS) as rest:
        try:
            listings = await feed.listings(rest, clock.now_ms())
            # What does not trade now has tiers all the same.
            in_use = {each.instrument: each for each in listings.contracts if each.instrument == name}
            universe = choose(venue, listings, (name,), in_use)
            if not universe.instruments:
                ((symbol, why),) = universe.reasons.items()
                if not why.startswith("is not listed"):
                    raise ConfigurationError(f"{symbol} {why}")
                examples = ", ".join(each.instrument for each in listings.contracts[:3])
                raise ConfigurationError(f"{venue} lists no linear perpetual {name!r}; it lists e.g. {examples}")
            (instrument,) = universe.instruments
            tables = await feed.margin_tiers([instrument], rest)
        except TransientError as error:
            raise TransientError(
                f"{venue}'s margin tiers cannot be read ({error}); give --maintenance-margin-rate instead"
            ) from error
        except PoisonMessage as error:
            raise ConfigurationError(f"{venue}'s margin tiers cannot be read: {error}") from error
    if instrument.name not in tables:
        raise ConfigurationError(
            f"{venue} publishes no margin tiers of {instrument.name}: give --maintenance-margin-rate instead"
        )
    return tables[instrument.name]
