"""Reads wallets within the venue's weight and publishes their positions: Hyperliquid's observed side.

Addresses come from trades and the leaderboard; `WalletBook` says whose turn it is. Coverage of each coin and
the difference of our liquidation prices from the venue's are published as metrics.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable

import structlog
from msgspec import Raw

from ingest.venues.base import BaseFeed
from ingest.venues.hyperliquid import messages as raw
from ingest.venues.hyperliquid.accounts import holdings_of, price_differences, state_of
from ingest.venues.hyperliquid.reference import tables_of, universe_of
from ingest.venues.hyperliquid.wallets import WalletBook
from ingest.venues.interface import Context, Request
from ingest.venues.wire import Report, RowReader, decoder_of, name_in, number_or_nan, read, timely
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.platform import metrics
from liqheat.platform.errors import FatalError, PoisonMessage, TransientError

log = structlog.get_logger(__name__)

LIMIT = VENUE_FACTS[Venue.HYPERLIQUID].budgets["weight"]
"""1,200 weight per minute and address."""
LEADERBOARD_LIMIT = VENUE_FACTS[Venue.HYPERLIQUID].budgets["leaderboard"]
STATE_WEIGHT = 2.0
CONTEXTS_WEIGHT = 20.0

WALLETS_A_ROUND = 15
ROUND_SECONDS = 2.0
"""15 wallets of weight 2 in 2 s are 900 per minute, all that comes in evenly. Recovery, history and reference reads
spend the burst, or wait in the same line; a round then takes longer."""
MARKET_SECONDS = 60.0
LEADERBOARD_SECONDS = 6 * 3_600.0
LEADERBOARD_WALLETS = 2_000

_CONTEXTS = decoder_of(tuple[Raw, Raw])
_MARKETS = RowReader(raw.Context, "a Hyperliquid context")
_LEADERBOARD = decoder_of(raw.Leaderboard)
_TRADERS = RowReader(raw.LeaderboardRow, "a trader of Hyperliquid's leaderboard")


class WalletPoller:
    """Runs as long as the service; `traders` is filled by the mappers of the trades sockets and emptied here."""

    def __init__(
        self, info_url: str, leaderboard_url: str, traders: dict[str, float], context: Context, book: WalletBook
    ) -> None:
        self._info_url = info_url
        self._leaderboard_url = leaderboard_url
        self._traders = traders
        self._context = context
        self._book = book
        self._tables: dict[str, MarginTiers] = {}

    async def run(self) -> None:
        """Read wallets, markets and the leaderboard until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat("wallets", self.read_wallets, ROUND_SECONDS))
            group.create_task(self._repeat("markets", self.read_markets, MARKET_SECONDS))
            group.create_task(self._repeat("leaderboard", self.read_leaderboard, LEADERBOARD_SECONDS))

    async def read_wallets(self) -> None:
        """Read the most urgent wallets once."""
        traded = dict(self._traders)
        self._traders.clear()
        now = self._context.clock.now_ms()
        self._book.discover(traded, now)
        await asyncio.gather(*(self._read_wallet(address) for address in self._book.due(now, WALLETS_A_ROUND)))

    async def _read_wallet(self, address: str) -> None:
        request = self._info({"type": "clearinghouseState", "user": address}, STATE_WEIGHT)
        report = Report()
        try:
            body = await self._context.rest.fetch(request, attempts=1)
            state = state_of(body, report)
        except (TransientError, PoisonMessage) as error:
            log.warning("A wallet cannot be read", wallet=address, error=str(error))
            self._book.note_failure(address, self._context.clock.now_ms())
            return
        frame = b'{"channel":"clearinghouseState","user":%b,"data":%b}' % (json.dumps(address).encode(), body)
        await self._context.handle(frame, "clearinghouseState")
        now = self._context.clock.now_ms()
        try:
            timely(state.time, now)
        except PoisonMessage:
            # The mapper has refused it, and said so.
            self._book.note_failure(address, now)
            return
        instruments = {instrument.name: instrument for instrument in self._context.instruments}
        names = {name_in(refusal.row) for refusal in report.refused}
        # One that names no coin may be any of them.
        unread = {item.symbol for name, item in instruments.items() if name in names or "" in names}
        holdings = [*holdings_of(state, instruments, unread)]
        self._book.note_read(address, holdings, now, unread, state.time)
        for difference in price_differences(state, self._tables):
            metrics.LIQUIDATION_PRICE_DIFFERENCE.labels(Venue.HYPERLIQUID.value).observe(difference)

    async def read_markets(self) -> None:
        """Read margin tables and open interest, and publish the coverage of each coin."""
        request = self._info({"type": "metaAndAssetCtxs"}, CONTEXTS_WEIGHT)
        answer, contexts = read(_CONTEXTS, await self._context.rest.fetch(request), "Hyperliquid's contexts")
        report = Report()
        universe = universe_of(answer, report)
        self._tables |= BaseFeed.checked(*tables_of(universe, universe.names))
        open_interest: dict[str, float] = {}
        for name, market in zip(universe.names, _MARKETS.read_aligned(contexts, report), strict=False):
            if market is not None:
                try:
                    open_interest[name] = number_or_nan(market.open_interest)
                except PoisonMessage as poison:
                    report.refuse(name, f"Its open interest: {poison.reason}", market)
        self._context.refuse(report.refused, "metaAndAssetCtxs")
        observed = self._book.observed()
        for instrument in self._context.instruments:
            coins = open_interest.get(instrument.name, 0.0) * instrument.coins_per_unit
            if coins > 0:
                share = observed.get(instrument.symbol, 0.0) / coins
                metrics.COVERAGE.labels(Venue.HYPERLIQUID.value, instrument.symbol).set(share)

    async def read_leaderboard(self) -> None:
        """Discover the accounts of largest value."""
        body = await self._context.rest.fetch(Request(self._leaderboard_url, LEADERBOARD_LIMIT), attempts=2)
        report = Report()
        known: dict[str, float] = {}
        for row in _TRADERS.read(read(_LEADERBOARD, body, "Hyperliquid's leaderboard").rows, report):
            try:
                value = number_or_nan(row.account_value)
            except PoisonMessage as poison:
                report.refuse("", f"A trader's account value: {poison.reason}", row)
            else:
                if value >= 0:
                    known[row.address.lower()] = value
        self._context.refuse(report.refused, "leaderboard")
        largest = sorted(known.items(), key=lambda item: item[1], reverse=True)[:LEADERBOARD_WALLETS]
        self._book.discover(dict(largest), self._context.clock.now_ms())

    async def _repeat(self, name: str, work: Callable[[], Awaitable[None]], interval: float) -> None:
        while True:
            started = self._context.clock.monotonic()
            try:
                await work()
            except FatalError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever an answer does to its reader ends no service
                log.warning(
                    "Hyperliquid's accounts are read less well", part=name, type=type(error).__name__, error=str(error)
                )
            spent = self._context.clock.monotonic() - started
            await self._context.clock.sleep(max(interval - spent, 0.05))

    def _info(self, query: dict[str, str], weight: float) -> Request:
        return Request(self._info_url, LIMIT, weight=weight, body=json.dumps(query).encode())
