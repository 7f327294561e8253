"""The settings of each venue: where it is reached, as its record says until somebody sets it otherwise.

Part of the tree of `liqheat.platform.settings`; made from `liqheat.domain.venues`, so that a new venue has its
section without a line here.
"""

from typing import TYPE_CHECKING, Any

from pydantic import Field, SecretStr, create_model
from pydantic_settings import BaseSettings

from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.platform.section import Section


class VenueAddresses(Section):
    """Where a venue is reached; tests and the simulator point it at loopback."""

    websocket_url: str = Field("", description="streams")
    rest_url: str = Field("", description="REST")


class BinanceVenue(VenueAddresses):
    """Binance is the one venue that asks for a key before it says its margin tiers."""

    api_key: SecretStr | None = Field(None, description="only to refresh margin tiers (leverageBracket)")
    api_secret: SecretStr | None = Field(None, description="belongs to the key")


class OkxVenue(VenueAddresses):
    """OKX has perpetuals that are listed among its futures."""

    x_perps: bool = Field(False, description="read X-Perps too, the perpetuals of the European Economic Area")


class HyperliquidVenue(VenueAddresses):
    """Hyperliquid has a second host, with the leaderboard."""

    leaderboard_url: str = Field(
        "https://stats-data.hyperliquid.xyz/Mainnet/leaderboard", description="where wallets to observe are found"
    )


_OWN_SECTIONS: dict[Venue, type[VenueAddresses]] = {
    Venue.BINANCE: BinanceVenue,
    Venue.OKX: OkxVenue,
    Venue.HYPERLIQUID: HyperliquidVenue,
}
"""Venues that need more than addresses."""


def _section_of(venue: Venue) -> type[VenueAddresses]:
    """Return the settings of a venue, with the addresses of its record as defaults."""
    facts = VENUE_FACTS[venue]
    fields: dict[str, Any] = {
        "websocket_url": (str, Field(facts.websocket_url, description="streams")),
        "rest_url": (str, Field(facts.rest_url, description="REST")),
    }
    base = _OWN_SECTIONS.get(venue, VenueAddresses)
    return create_model(f"{facts.label}Venue", __base__=base, __doc__=f"Addresses of {facts.label}.", **fields)


if TYPE_CHECKING:

    class VenueSections(BaseSettings):
        """One section per venue; those that hold more than addresses are named for the type checker."""

        binance: BinanceVenue = BinanceVenue()
        okx: OkxVenue = OkxVenue()
        hyperliquid: HyperliquidVenue = HyperliquidVenue()

else:
    # One section per venue, named like it, so that a new venue needs no line here.
    VenueSections = create_model(
        "VenueSections",
        __base__=BaseSettings,
        **{venue.value: (section, section()) for venue in Venue for section in (_section_of(venue),)},
    )
