"""Hyperliquid as the service reads it: trades and contexts by socket, everything else by `POST /info`.

The one venue with tasks of its own: wallets are read for their positions (`wallet_poller`).
"""

import json
from collections.abc import Awaitable, Mapping, Sequence

from ingest.venues.base import BaseFeed
from ingest.venues.depth import DEPTH
from ingest.venues.hyperliquid import messages as raw
from ingest.venues.hyperliquid.mapper import SIGNIFICANT_FIGURES, HyperliquidMapper
from ingest.venues.hyperliquid.reference import Universe, listings_of, tables_of, universe_of
from ingest.venues.hyperliquid.wallet_poller import LIMIT, WalletPoller
from ingest.venues.hyperliquid.wallets import WalletBook
from ingest.venues.interface import Context, Listings, Mapper, Ping, Recovery, Request, Rest, wrap
from ingest.venues.paged import Page, oldest_of, read_pages, times_in
from ingest.venues.wire import Report, RowReader
from liqheat.domain.instruments import Instrument
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import Venue
from liqheat.platform.settings import Settings

_REQUEST_WEIGHT = 20.0
_BOOK_WEIGHT = 2.0
_CANDLES_WEIGHT = 36.0
"""A page of candles weighs 20 and one for every 60 of its 960 bars."""

_TRADES = RowReader(raw.Trade, "a Hyperliquid trade")


class HyperliquidFeed(BaseFeed):
    """See `ingest.venues.base.BaseFeed`; the venue keeps 5,000 bars, and a page is kept light.

    Holds the addresses that its mappers saw in trades until the wallet poller takes them: they are not events,
    and have no other way from a socket to the poller.
    """

    venue = Venue.HYPERLIQUID
    mapper_of = HyperliquidMapper
    # The venue cuts a socket after 60 s without a message.
    ping = Ping('{"method":"ping"}', 30.0)
    # At most 2,000 messages per minute.
    subscription_pause = 0.03
    # Reading wallets takes all that other requests leave.
    depth_share = 0.25

    def __init__(self, settings: Settings) -> None:
        """Read addresses and intervals from `settings`."""
        super().__init__(settings)
        self._info_url = f"{self.rest_url}/info"
        self._leaderboard_url = settings.hyperliquid.leaderboard_url
        self._traders: dict[str, float] = {}

    def mapper(self, instruments: Sequence[Instrument]) -> Mapper:
        """Return a mapper of these instruments only, which notes the traders it sees."""
        return HyperliquidMapper(instruments, traders=self._traders)

    async def listings(self, rest: Rest, event_time: int) -> Listings:
        """Read the venue's own universe; builder-deployed markets are not asked for."""
        report = Report()
        return self.not_empty(listings_of(await self._universe(rest, report), event_time, report))

    async def margin_tiers(self, instruments: Sequence[Instrument], rest: Rest) -> Mapping[str, MarginTiers]:
        """Read the margin tables of the universe."""
        universe = await self._universe(rest, Report())
        return self.checked(*tables_of(universe, {instrument.name for instrument in instruments}))

    def socket(self, number: int, instruments: tuple[Instrument, ...]) -> tuple[str, str, tuple[str, ...]]:
        """Return a socket with trades and context of each coin; at most 1,000 subscriptions per address."""
        subscriptions = tuple(
            json.dumps({"method": "subscribe", "subscription": {"type": channel, "coin": instrument.name}})
            for instrument in instruments
            for channel in ("trades", "activeAssetCtx")
        )
        return f"perpetuals-{number}", f"{self.websocket_url}/ws", subscriptions

    def depth_requests(self, instrument: Instrument) -> Sequence[Request]:
        """Return one request per aggregation, for one alone reaches far or is fine."""
        return [
            self._info(
                {"type": "l2Book", "coin": instrument.name, "nSigFigs": figures},
                _BOOK_WEIGHT,
                f"{instrument.name}@{DEPTH}-{figures}",
            )
            for figures in SIGNIFICANT_FIGURES
        ]

    async def missed_trades(self, instrument: Instrument, start: int, end: int, rest: Rest) -> Recovery:
        """Read the few recent trades that the venue gives; they rarely reach back to `start`."""

        def read_page(body: bytes) -> Page:
            report = Report()
            oldest = oldest_of(times_in(trade.time for trade in _TRADES.read(body, report)))
            reaches_back = (end if oldest is None else oldest) <= start
            return Page(wrap(f"{instrument.name}@recentTrades", body), reaches_back and not report.refused)

        request = self._info({"type": "recentTrades", "coin": instrument.name}, _REQUEST_WEIGHT)
        return await read_pages(rest, request, read_page, at_most=1)

    def history(self, instrument: Instrument, start: int, end: int) -> Sequence[Request]:
        """Return a request for bars; the venue keeps no history of marks or open interest."""
        query = {"coin": instrument.name, "interval": "1m", "startTime": start, "endTime": end - 1}
        stream = f"{instrument.name}@candleSnapshot"
        return [self._info({"type": "candleSnapshot", "req": query}, _CANDLES_WEIGHT, stream)]

    def tasks(self, context: Context) -> Sequence[Awaitable[None]]:
        """Return the reading of wallets."""
        poller = WalletPoller(self._info_url, self._leaderboard_url, self._traders, context, WalletBook())
        return (poller.run(),)

    async def _universe(self, rest: Rest, report: Report) -> Universe:
        return universe_of(await rest.fetch(self._info({"type": "meta"}, _REQUEST_WEIGHT)), report)

    def _info(self, query: Mapping[str, object], weight: float, stream: str = "") -> Request:
        return Request(self._info_url, LIMIT, weight=weight, stream=stream, body=json.dumps(query).encode())
