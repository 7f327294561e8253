"""Settings that point every venue at one simulated exchange."""

from typing import Any

from liqheat.domain.market import Venue
from liqheat.platform.settings import Settings


def settings_at(url: str, **settings: Any) -> Settings:
    """Return settings whose venues are reached below `url`, one path per venue; `settings` holds the other sections."""
    sockets = url.replace("http://", "ws://")
    sections: dict[str, Any] = {
        venue.value: {"websocket_url": f"{sockets}/{venue.value}", "rest_url": f"{url}/{venue.value}"}
        for venue in Venue
    }
    sections["hyperliquid"]["leaderboard_url"] = f"{url}/hyperliquid/Mainnet/leaderboard"
    return Settings(**sections, **settings)
