"""Bybit v5 linear as the service reads it: one public socket, and REST for listings, tiers, books and history.

Tickers carry marks, funding, open interest and turnover, so only order books have to be polled.
"""

import json
from collections.abc import Mapping, Sequence

import structlog

from ingest.venues.base import BaseFeed
from ingest.venues.bybit import messages as raw
from ingest.venues.bybit.mapper import BybitMapper
from ingest.venues.bybit.reference import listings_of, tables_of
from ingest.venues.depth import DEPTH
from ingest.venues.interface import Listings, Ping, Recovery, Request, Rest, wrap
from ingest.venues.paged import Page, oldest_of, read_pages, times_in
from ingest.venues.wire import Report, RowReader, decoder_of, read, text_of
from liqheat.domain.instruments import Instrument
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.platform.errors import PoisonMessage, TransientError

log = structlog.get_logger(__name__)

LIMIT = VENUE_FACTS[Venue.BYBIT].budgets["requests"]
_RECENT_TRADES = 1_000
_MOST_LISTING_PAGES = 50
"""A page holds 1,000 instruments; all of them fit into one."""
DEPTH_LEVELS = 500
"""Most levels per side that Bybit gives for linear contracts."""
_CHANNELS = ("publicTrade", "tickers", "allLiquidation")

_FRAME = decoder_of(raw.Frame)
_RESULT = decoder_of(raw.ListResult)
_INSTRUMENT = RowReader(raw.InstrumentInfo, "a Bybit instrument")
_RISK_LIMIT = RowReader(raw.RiskLimit, "a Bybit risk limit")
_RECENT_TRADE = RowReader(raw.RecentTrade, "a Bybit trade")


class BybitFeed(BaseFeed):
    """See `ingest.venues.base.BaseFeed`; a page holds 1,000 one-minute bars and 200 points of open interest."""

    venue = Venue.BYBIT
    mapper_of = BybitMapper
    ping = Ping('{"op":"ping"}', 20.0)

    async def listings(self, rest: Rest, event_time: int) -> Listings:
        """Read all pages of instruments-info."""
        infos: list[raw.InstrumentInfo] = []
        report = Report()
        cursor = ""
        seen: set[str] = set()
        for _ in range(_MOST_LISTING_PAGES):
            parameters = {"limit": "1000"} | ({"cursor": cursor} if cursor else {})
            page = await self._list(rest, "instruments-info", parameters)
            infos += _INSTRUMENT.each(page.items, report)
            if not page.next_page or not page.items:
                return self.not_empty(listings_of(infos, event_time, report.refused))
            cursor = page.next_page
            if cursor in seen:
                raise PoisonMessage(f"Bybit's listing goes round: it gave the cursor {cursor[:80]!r} twice")
            seen.add(cursor)
        raise PoisonMessage(f"Bybit's listing has more than {_MOST_LISTING_PAGES} pages")

    async def margin_tiers(self, instruments: Sequence[Instrument], rest: Rest) -> Mapping[str, MarginTiers]:
        """Read risk-limit for each instrument; one that is refused or unreachable is left out with a warning."""
        tables: dict[str, MarginTiers] = {}
        for instrument in instruments:
            try:
                page = await self._list(rest, "risk-limit", {"symbol": instrument.name})
                report = Report()
                limits = _RISK_LIMIT.each(page.items, report)
            except (PoisonMessage, TransientError) as error:
                log.warning("Margin tiers cannot be read", instrument=instrument.name, error=str(error))
                continue
            # All rows of the answer are of this instrument, whatever name they carry.
            tables |= self.checked(*tables_of(limits, {instrument.name} if report.refused else ()))
        return tables

    def socket(self, number: int, instruments: tuple[Instrument, ...]) -> tuple[str, str, tuple[str, ...]]:
        """Return a public socket; each instrument subscribes alone, so that a refusal costs no other."""
        subscriptions = tuple(
            json.dumps(
                {"req_id": item.name, "op": "subscribe", "args": [f"{channel}.{item.name}" for channel in _CHANNELS]}
            )
            for item in instruments
        )
        return f"linear-{number}", f"{self.websocket_url}/v5/public/linear", subscriptions

    def depth_requests(self, instrument: Instrument) -> Sequence[Request]:
        """Return the request for as many levels as Bybit gives."""
        return (self._ask("orderbook", instrument, DEPTH, limit=str(DEPTH_LEVELS)),)

    async def missed_trades(self, instrument: Instrument, start: int, end: int, rest: Rest) -> Recovery:
        """Read the recent trades: Bybit has one page of them."""

        def read_page(body: bytes) -> Page:
            items = _result(body).items
            report = Report()
            oldest = oldest_of(times_in(trade.time for trade in _RECENT_TRADE.each(items, report)))
            reaches_back = (end if oldest is None else oldest) <= start or len(items) < _RECENT_TRADES
            return Page(wrap(f"{instrument.name}@recent-trade", body), reaches_back and not report.refused)

        request = self._ask("recent-trade", instrument, limit=str(_RECENT_TRADES))
        return await read_pages(rest, request, read_page, at_most=1)

    def history(self, instrument: Instrument, start: int, end: int) -> Sequence[Request]:
        """Return requests for bars, mark bars and open interest of `[start, end)`."""
        span = {"startTime": str(start), "endTime": str(end)}
        return [
            self._bars("kline", instrument, start, end),
            self.mark_bars(instrument, start, end),
            self._ask("open-interest", instrument, "open-interest", intervalTime="5min", **span, limit="200"),
        ]

    def mark_bars(self, instrument: Instrument, start: int, end: int) -> Request:
        """Return the request for mark bars of `[start, end)`."""
        return self._bars("mark-price-kline", instrument, start, end)

    def _bars(self, endpoint: str, instrument: Instrument, start: int, end: int) -> Request:
        return self._ask(endpoint, instrument, endpoint, interval="1", start=str(start), end=str(end - 1), limit="1000")

    def _ask(self, endpoint: str, instrument: Instrument, stream: str = "", **parameters: str) -> Request:
        query = {"category": "linear", "symbol": instrument.name, **parameters}
        return self.request(
            f"/v5/market/{endpoint}", LIMIT, query, stream=f"{instrument.name}@{stream}" if stream else ""
        )

    async def _list(self, rest: Rest, endpoint: str, parameters: Mapping[str, str]) -> raw.Result:
        query = {"category": "linear", **parameters}
        return _result(await rest.fetch(self.request(f"/v5/market/{endpoint}", LIMIT, query)))


def _result(body: bytes) -> raw.Result:
    answer = read(_FRAME, body, "a Bybit answer")
    if text_of(answer.ret_code) not in ("0", ""):
        raise PoisonMessage(f"Bybit answered {answer.ret_code}: {answer.rest_message}")
    return read(_RESULT, answer.result, "a Bybit result")
