"""How completely venues publish executed liquidations."""

from liqheat.domain.market import Venue

SAMPLED_VENUES = frozenset({Venue.BINANCE.value, Venue.OKX.value})
"""Publish at most about one liquidation per second and market."""
SILENT_VENUES = frozenset({Venue.HYPERLIQUID.value})
"""Publish none."""
