"""Every fact that differs by venue, one record per venue: read by ingest, processors, signals, simulator and page.

A venue is added by a member of `Venue`, its record here, and its package under `ingest.venues`
(`docs/add-a-venue.md`). A member without a record fails at import, with a sentence that says so.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from liqheat.domain.market import ModelName, Venue
from liqheat.domain.windows import HOUR_MS


class LiquidationFeed(StrEnum):
    """How much of its executed liquidations a venue publishes."""

    WHOLE = "whole"
    SAMPLED = "sampled"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A budget that a venue sets for requests; requests that name the same limit share it.

    `weight` may be spent in any `seconds`. `used_header` is the response header that says how much of it
    the venue counts as spent.
    """

    name: str
    weight: float
    seconds: float
    used_header: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFacts:
    """What is true of one venue and differs from others.

    Attributes:
        venue: whose record this is.
        label: its name for people.
        colour: of its lines and marks on the page and dashboards, `#rrggbb`.
        margin_model: the liquidation-price model that it uses today.
        liquidation_feed: whether liquidations are published whole, as a sample, or not at all.
        taker_fee_in_margin: the fee rate that its liquidation rule counts as margin needed; 0 where it counts none.
        funding_interval: usual time between settlements, ms, until the venue's own times have shown it.
        open_interest_sides: 1 where a contract counts once in its open interest, 2 where buyer and seller both do.
        is_compared: whether its open interest counts in the agreement of the large venues.
        trader_share: about which part of a coin's traders are here, relative to other venues; for simulated markets.
        name_pattern: what the names of its linear USD perpetuals match; the group `base` is the coin's name there.
        name_format: the usual name of the perpetual of `{base}`.
        websocket_url: where its public streams are.
        rest_url: where its public REST API is.
        budgets: rate limits of its REST API, by what they cover.
        limits_in_ms: whether its own limits write `Retry-After` in ms, not in s.
    """

    venue: Venue
    label: str
    colour: str
    margin_model: ModelName
    liquidation_feed: LiquidationFeed
    taker_fee_in_margin: float = 0.0
    funding_interval: int
    open_interest_sides: int = 1
    is_compared: bool = False
    trader_share: float
    name_pattern: re.Pattern[str]
    name_format: str
    websocket_url: str
    rest_url: str
    budgets: Mapping[str, RateLimit] = field(default_factory=dict)
    limits_in_ms: bool = False

    def base_of(self, name: str) -> str | None:
        """Return the coin's name in an instrument's name; None where it is no linear USD perpetual."""
        match = self.name_pattern.fullmatch(name)
        return match["base"] if match else None

    def name_of(self, base: str) -> str:
        """Return what the venue usually calls the perpetual of a coin."""
        return self.name_format.format(base=base)


def _okx_budgets(requests_in_2_s: Mapping[str, int]) -> dict[str, RateLimit]:
    """OKX limits each endpoint on its own, requests per 2 s and address (okx.com/docs-v5)."""
    return {name: RateLimit(f"okx {name}", float(count), 2.0) for name, count in requests_in_2_s.items()}


_RECORDS = (
    VenueFacts(
        venue=Venue.BINANCE,
        label="Binance",
        colour="#f0b90b",
        margin_model=ModelName.BINANCE,
        # At most the latest liquidation of each second and symbol.
        liquidation_feed=LiquidationFeed.SAMPLED,
        funding_interval=8 * HOUR_MS,
        is_compared=True,
        trader_share=0.45,
        name_pattern=re.compile(r"(?P<base>.+)(?:USDT|USDC)"),
        name_format="{base}USDT",
        websocket_url="wss://fstream.binance.com",
        rest_url="https://fapi.binance.com",
        budgets={
            # Everything under /fapi, per address.
            "weight": RateLimit("binance weight", 2_400.0, 60.0, "x-mbx-used-weight-1m"),
            # /futures/data, per address.
            "statistics": RateLimit("binance statistics", 1_000.0, 300.0),
            # /fapi/v1/fundingRate, per address.
            "funding": RateLimit("binance funding", 500.0, 300.0),
        },
    ),
    VenueFacts(
        venue=Venue.BYBIT,
        label="Bybit",
        colour="#ff8a3d",
        margin_model=ModelName.BYBIT,
        liquidation_feed=LiquidationFeed.WHOLE,
        funding_interval=8 * HOUR_MS,
        open_interest_sides=2,
        is_compared=True,
        trader_share=0.25,
        # BTCUSDT, BTCPERP (settled in USDC).
        name_pattern=re.compile(r"(?P<base>.+)(?:USDT|USDC|PERP)"),
        name_format="{base}USDT",
        websocket_url="wss://stream.bybit.com",
        rest_url="https://api.bybit.com",
        budgets={"requests": RateLimit("bybit", 600.0, 5.0)},
    ),
    VenueFacts(
        venue=Venue.OKX,
        label="OKX",
        colour="#b0b8c4",
        margin_model=ModelName.OKX,
        # The stream is a sample, but all of them are read by REST.
        liquidation_feed=LiquidationFeed.WHOLE,
        # The standard taker fee of swaps counts as margin needed.
        taker_fee_in_margin=0.0005,
        funding_interval=8 * HOUR_MS,
        is_compared=True,
        trader_share=0.15,
        # BTC-USDT-SWAP, BTC-USD_UM_XPERP-310404 (an X-Perp: a perpetual in the form of a future of five years).
        name_pattern=re.compile(r"(?P<base>[^-]*)-(?:(?:USDT|USDC)-SWAP|USD_UM_XPERP-\d{6})"),
        name_format="{base}-USDT-SWAP",
        websocket_url="wss://ws.okx.com:8443",
        rest_url="https://www.okx.com",
        budgets=_okx_budgets(
            {
                "public/instruments": 20,
                "public/position-tiers": 10,
                "public/mark-price": 10,
                "public/liquidation-orders": 20,
                "market/tickers": 20,
                "market/trades": 100,
                "market/books-full": 10,
                "market/history-trades": 20,
                "market/history-candles": 20,
                "market/history-mark-price-candles": 10,
                "rubik/stat/contracts/open-interest-history": 10,
            }
        ),
    ),
    VenueFacts(
        venue=Venue.HYPERLIQUID,
        label="Hyperliquid",
        colour="#50e3c2",
        margin_model=ModelName.HYPERLIQUID,
        liquidation_feed=LiquidationFeed.SILENT,
        funding_interval=HOUR_MS,
        trader_share=0.15,
        # kPEPE is 1,000 PEPE; builder-deployed markets (xyz:AAPL) do not match.
        name_pattern=re.compile(r"(?P<base>k?[^\Wa-z_]+)"),
        name_format="{base}",
        websocket_url="wss://api.hyperliquid.xyz",
        rest_url="https://api.hyperliquid.xyz",
        budgets={
            "weight": RateLimit("hyperliquid", 1_200.0, 60.0),
            "leaderboard": RateLimit("hyperliquid leaderboard", 1.0, 60.0),
        },
    ),
    VenueFacts(
        venue=Venue.DYDX,
        label="dYdX",
        colour="#6966ff",
        margin_model=ModelName.DYDX,
        # Every liquidation is a public trade.
        liquidation_feed=LiquidationFeed.WHOLE,
        funding_interval=HOUR_MS,
        trader_share=0.03,
        # A market that anybody listed has its origin in its name: BUFFI,UNISWAP_V3,0X4C1B...-USD.
        name_pattern=re.compile(r"(?P<base>[^\Wa-z_]+(?:,\w+,\w+)?)-USD"),
        name_format="{base}-USD",
        websocket_url="wss://indexer.dydx.trade",
        rest_url="https://indexer.dydx.trade",
        budgets={"requests": RateLimit("dydx", 100.0, 10.0)},
        # indexer/services/comlink/src/lib/rate-limit.ts of github.com/dydxprotocol/v4-chain.
        limits_in_ms=True,
    ),
)


def _by_venue(records: Iterable[VenueFacts], venues: Iterable[Venue]) -> dict[Venue, VenueFacts]:
    """Return the records by venue, in the order of `venues`.

    Raises:
        TypeError: a venue has no record.
    """
    found = {record.venue: record for record in records}
    missing = [venue.value for venue in venues if venue not in found]
    if missing:
        raise TypeError(
            f"Venue {', '.join(missing)} has no record of its facts: add one to liqheat/domain/venues.py "
            "(docs/add-a-venue.md says what belongs there)"
        )
    return {venue: found[venue] for venue in venues}


VENUE_FACTS: Mapping[Venue, VenueFacts] = _by_venue(_RECORDS, Venue)
"""The record of each venue, in the order of `Venue`."""

SAMPLED_VENUES = frozenset(
    venue for venue, facts in VENUE_FACTS.items() if facts.liquidation_feed is LiquidationFeed.SAMPLED
)
"""Venues that publish a sample of their liquidations; equal to their names as text."""

SILENT_VENUES = frozenset(
    venue for venue, facts in VENUE_FACTS.items() if facts.liquidation_feed is LiquidationFeed.SILENT
)
"""Venues without a public feed of liquidations: their silence says nothing."""

COMPARED_VENUES = tuple(venue for venue, facts in VENUE_FACTS.items() if facts.is_compared)
"""The large venues whose open interest is compared (`processors.signals.open_interest.agreement`)."""


def facts_of(venue: Venue | str) -> VenueFacts:
    """Return the record of a venue, which may be given by its name.

    Raises:
        ValueError: there is no such venue.
    """
    return VENUE_FACTS[Venue(venue)]
