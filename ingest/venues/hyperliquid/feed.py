"""Hyperliquid as the service reads it: trades and contexts by socket, everything else by `POST /info`.

The one venue with tasks of its own: wallets are read for their positions (`wallet_poller`).
"""

import json
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence

import structlog

from ingest.venues.hyperliquid import messages as raw
from ingest.venues.hyperliquid.mapper import HyperliquidMapper
from ingest.venues.hyperliquid.reference import contract, margin_tiers
from ingest.venues.hyperliquid.wallet_poller import LIMIT, WalletPoller
from ingest.venues.hyperliquid.wallets import WalletBook
from ingest.venues.interface import (
    NOTHING_RECOVERED,
    Connection,
    Context,
    Listings,
    Mapper,
    Ping,
    Poll,
    Recovery,
    Request,
    Rest,
    wrap,
)
from ingest.venues.wire import decoder_of, read, split
from liqheat.domain.events import Contract
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.margin_tiers import BrokenMarginTiers, MarginTiers
from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import SequenceGap
from liqheat.platform.settings import Settings

log = structlog.get_logger(__name__)

_PING = Ping('{"method":"ping"}', 30.0)
"""The venue cuts a socket after 60 s without a message."""
_REQUEST_WEIGHT = 20.0
_CANDLES_WEIGHT = 36.0
"""A page of candles weighs 20 and one for every 60 of its 960 bars."""

_META = decoder_of(raw.Meta)
_TRADES = decoder_of(list[raw.Trade])


class HyperliquidFeed:
    """See `ingest.venues.interface.VenueFeed`.

    Holds the addresses that its mappers saw in trades until the wallet poller takes them: they are not events,
    and have no other way from a socket to the poller.
    """

    venue = Venue.HYPERLIQUID
    history_window = 960 * MINUTE_MS
    """The venue keeps 5,000 bars; a page is kept light."""

    def __init__(self, settings: Settings) -> None:
        self._websocket_url = f"{settings.hyperliquid.websocket_url}/ws"
        self._info_url = f"{settings.hyperliquid.rest_url}/info"
        self._leaderboard_url = settings.hyperliquid.leaderboard_url
        self._connections = settings.ingest.connections
        self._traders: dict[str, float] = {}

    def mapper(self, instruments: Sequence[Instrument]) -> Mapper:
        """Return a mapper of these instruments only, which notes the traders it sees."""
        return HyperliquidMapper(instruments, traders=self._traders)

    async def listings(self, rest: Rest, event_time: int) -> Listings:
        """Read the venue's own universe; builder-deployed markets are not asked for."""
        contracts: list[Contract] = []
        ignored: Counter[str] = Counter()
        for coin in (await self._meta(rest)).universe:
            instrument = parse_instrument(Venue.HYPERLIQUID, coin.name)
            if instrument is None:
                ignored["name not understood"] += 1
            else:
                contracts.append(contract(instrument, coin, event_time))
        return Listings(tuple(contracts), ignored)

    async def margin_tiers(self, instruments: Sequence[Instrument], rest: Rest) -> Mapping[str, MarginTiers]:
        """Read the margin tables of the universe."""
        meta = await self._meta(rest)
        wanted = {instrument.name for instrument in instruments}
        shared = dict(meta.margin_tables)
        tables: dict[str, MarginTiers] = {}
        for coin in meta.universe:
            if coin.name not in wanted:
                continue
            try:
                tables[coin.name] = margin_tiers(coin, shared)
            except BrokenMarginTiers as error:
                log.warning("Margin tiers contradict themselves", instrument=coin.name, reason=str(error))
        return tables

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Return sockets with trades and context of each coin; at most 1,000 subscriptions an address."""
        return [
            Connection(
                name=f"perpetuals-{number}",
                url=self._websocket_url,
                instruments=own,
                subscriptions=tuple(
                    json.dumps({"method": "subscribe", "subscription": {"type": channel, "coin": instrument.name}})
                    for instrument in own
                    for channel in ("trades", "activeAssetCtx")
                ),
                # At most 2,000 messages a minute.
                subscription_pause=0.03,
                ping=_PING,
            )
            for number, own in enumerate(split(instruments, self._connections), start=1)
        ]

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:  # noqa: ARG002 - the contexts carry all
        """Return nothing."""
        return ()

    async def fill(self, gap: SequenceGap, instrument: Instrument, rest: Rest) -> Recovery:  # noqa: ARG002 - as below
        """Return nothing: trade ids are hashes, so the mapper sees no gaps."""
        return NOTHING_RECOVERED

    async def recover(self, instrument: Instrument, start: int, end: int, rest: Rest) -> Recovery:
        """Read the few recent trades that the venue tells; they rarely reach back to `start`."""
        request = self._info({"type": "recentTrades", "coin": instrument.name}, _REQUEST_WEIGHT)
        body = await rest.fetch(request)
        oldest = min((trade.time for trade in read(_TRADES, body, "Hyperliquid trades")), default=end)
        return Recovery((wrap(f"{instrument.name}@recentTrades", body),), complete=oldest <= start)

    def history(self, instrument: Instrument, start: int, end: int) -> Sequence[Request]:
        """Return a request for bars; the venue keeps no history of marks or open interest."""
        query = {"coin": instrument.name, "interval": "1m", "startTime": start, "endTime": end - 1}
        stream = f"{instrument.name}@candleSnapshot"
        return [self._info({"type": "candleSnapshot", "req": query}, _CANDLES_WEIGHT, stream)]

    def tasks(self, context: Context) -> Sequence[Awaitable[None]]:
        """Return the reading of wallets."""
        poller = WalletPoller(self._info_url, self._leaderboard_url, self._traders, context, WalletBook())
        return (poller.run(),)

    async def _meta(self, rest: Rest) -> raw.Meta:
        body = await rest.fetch(self._info({"type": "meta"}, _REQUEST_WEIGHT))
        return read(_META, body, "Hyperliquid's universe")

    def _info(self, query: Mapping[str, object], weight: float, stream: str = "") -> Request:
        return Request(self._info_url, LIMIT, weight=weight, stream=stream, body=json.dumps(query).encode())
