"""dYdX v4 as the service reads it: trades and markets by socket, everything else from the indexer's REST.

The indexer is public: no key, 100 requests in 10 s per address. Its own ping frames are answered by the client.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from ingest.venues.base import BaseFeed
from ingest.venues.depth import DEPTH
from ingest.venues.dydx import messages as raw
from ingest.venues.dydx.mapper import DydxMapper
from ingest.venues.dydx.reference import listings_of, markets_of, tables_of
from ingest.venues.interface import Listings, Recovery, Request, Rest, wrap
from ingest.venues.paged import Page, lowest_of, read_pages, times_in
from ingest.venues.wire import Report, RowReader, decoder_of, read
from liqheat.domain.instruments import Instrument
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS

LIMIT = VENUE_FACTS[Venue.DYDX].budgets["requests"]
MARKETS_PER_SOCKET = 32
"""Most subscriptions of one channel on a socket."""
_PAGE = 1_000
_RECOVERY_PAGES = 5

_ANSWER = decoder_of(raw.Trades)
_TRADES = RowReader(raw.Trade, "a dYdX trade")


class DydxFeed(BaseFeed):
    """See `ingest.venues.base.BaseFeed`; a page holds 1,000 one-minute candles."""

    venue = Venue.DYDX
    mapper_of = DydxMapper
    # Two subscriptions per second to one channel and market are allowed; one message per market is far below.
    subscription_pause = 0.05
    depth_share = 0.6

    async def listings(self, rest: Rest, event_time: int) -> Listings:
        """Read all markets."""
        report = Report()
        markets = markets_of(await rest.fetch(self._ask("perpetualMarkets", {})), report)
        return self.not_empty(listings_of(markets, event_time, report.refused))

    async def margin_tiers(self, instruments: Sequence[Instrument], rest: Rest) -> Mapping[str, MarginTiers]:
        """Read the margin fractions of the markets."""
        markets = markets_of(await rest.fetch(self._ask("perpetualMarkets", {})), Report())
        return self.checked(*tables_of(markets, {item.name for item in instruments}))

    def sockets(self, instruments: Sequence[Instrument]) -> int:
        """Return as many sockets as the subscriptions need, or as the settings allow if that is more."""
        return max(super().sockets(instruments), -(-len(instruments) // MARKETS_PER_SOCKET))

    def socket(self, number: int, instruments: tuple[Instrument, ...]) -> tuple[str, str, tuple[str, ...]]:
        """Return a socket with the trades of each market, and one channel that carries all markets."""
        subscriptions = [{"type": "subscribe", "channel": "v4_markets", "batched": True}]
        subscriptions += [
            {"type": "subscribe", "channel": "v4_trades", "id": item.name, "batched": True} for item in instruments
        ]
        return f"indexer-{number}", f"{self.websocket_url}/v4/ws", tuple(map(json.dumps, subscriptions))

    def depth_requests(self, instrument: Instrument) -> Sequence[Request]:
        """Return the request for the book."""
        return (self._ask(f"orderbooks/perpetualMarket/{instrument.name}", {}, f"{instrument.name}@{DEPTH}"),)

    async def missed_trades(self, instrument: Instrument, start: int, end: int, rest: Rest) -> Recovery:
        """Read trades back from `end` to `start`, a limited number of pages."""
        path, stream = f"trades/perpetualMarket/{instrument.name}", f"{instrument.name}@trades"
        report = Report()
        pages = 0

        def read_page(body: bytes) -> Page:
            nonlocal pages
            pages += 1
            known = len(report.refused)
            trades = _TRADES.read(read(_ANSWER, body, "dYdX trades").trades, report)
            sent = len(trades) + len(report.refused) - known
            frame = wrap(stream, body)
            oldest = lowest_of(times_in(round(trade.created_at.timestamp() * 1_000) for trade in trades))
            if sent < _PAGE or (oldest is not None and oldest <= start):
                # A page begins with the block in which the one before ended, so it is never empty.
                return Page(frame, not report.refused and (sent > 0 or pages == 1))
            # The block is read again, for a page may end within it; the mapper drops what it has seen.
            block = lowest_of(trade.created_at_height for trade in trades if trade.created_at_height > 0)
            if block is None:
                return Page(frame, is_complete=False)
            return Page(frame, False, self._ask(path, {"limit": str(_PAGE), "createdBeforeOrAtHeight": str(block)}))

        first = self._ask(path, {"limit": str(_PAGE), "createdBeforeOrAt": _iso(end)})
        return await read_pages(rest, first, read_page, _RECOVERY_PAGES, newest_first=True)

    def history(self, instrument: Instrument, start: int, end: int) -> Sequence[Request]:
        """Return requests for candles, which carry open interest, and settlements of `[start, end)`."""
        name = instrument.name
        candles = {"resolution": "1MIN", "fromISO": _iso(start), "toISO": _iso(end), "limit": str(_PAGE)}
        # Settlements are hourly; the window holds fewer than this.
        settlements = {"effectiveBeforeOrAt": _iso(end), "limit": "100"}
        return (
            self._ask(f"candles/perpetualMarkets/{name}", candles, f"{name}@candles"),
            replace(
                self._ask(f"historicalFunding/{name}", settlements, f"{name}@historicalFunding"), reaches_back=True
            ),
        )

    def _ask(self, path: str, parameters: Mapping[str, str], stream: str = "") -> Request:
        return self.request(f"/v4/{path}", LIMIT, parameters, stream=stream)


def _iso(time: int) -> str:
    """Return a time (ms) as dYdX writes it."""
    return datetime.fromtimestamp(time / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
