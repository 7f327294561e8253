"""How Binance USD-M is read: market streams by WebSocket, open interest, turnover and order books by REST polls.

URLs follow the path split of 2026: `/market/stream` carries aggTrade, markPrice and forceOrder. Aggregate
ids are consecutive, so holes in trades are seen and filled exactly; executed liquidations are not kept by any
public endpoint, and a hole in them stays one.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import msgspec
import structlog

from ingest.venues.base import BaseFeed
from ingest.venues.binance import messages
from ingest.venues.binance.mapper import BinanceMapper
from ingest.venues.binance.reference import listings_of, tables_of
from ingest.venues.depth import DEPTH
from ingest.venues.interface import Listings, Poll, Recovery, Request, Rest, wrap
from ingest.venues.paged import Page, highest_of, read_pages, times_in
from ingest.venues.wire import Report, RowReader, decoder_of, read
from liqheat.domain.instruments import Instrument
from liqheat.domain.margin_tiers import MarginTiers, shipped_tables
from liqheat.domain.market import Venue
from liqheat.domain.venues import VENUE_FACTS
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.clock import Clock, SystemClock
from liqheat.platform.errors import ConfigurationError, PoisonMessage, SequenceGap, TransientError
from liqheat.platform.settings import Settings

log = structlog.get_logger(__name__)

WEIGHT, STATISTICS, FUNDING = (VENUE_FACTS[Venue.BINANCE].budgets[name] for name in ("weight", "statistics", "funding"))

STREAMS_PER_CONNECTION = 1_024
_STREAMS = ("aggTrade", "markPrice@1s", "forceOrder")
# An address with more streams than this grows past what proxies accept; then they are subscribed by message.
_STREAMS_IN_ADDRESS = 150
_STREAMS_PER_MESSAGE = 100

_TRADES_PER_PAGE = 1_000
_PAGES_PER_HOLE = 20
_MOST_BARS = 1_500
# Share of the weight that polling open interest may use; the rest is for holes, history and reference reads.
_POLL_SHARE = 0.4
# With more instruments than this one request for all tickers (weight 40) is cheaper.
_TICKERS_ONE_BY_ONE = 40
_DEPTH_LEVELS, _DEPTH_WEIGHT = 500, 10.0
"""1,000 levels weigh 20, twice as much, and reach less than twice as far."""

_TRADES = RowReader(messages.HistoricalTrade, "a Binance trade")
_EXCHANGE_INFO = decoder_of(messages.ExchangeInfo)
_LISTED = RowReader(messages.ContractInfo, "a contract that Binance lists")
_BRACKETS = RowReader(messages.LeverageBracket, "a Binance tier table")


class BinanceFeed(BaseFeed):
    """Binance USD-M's feed; see `ingest.venues.base.BaseFeed`."""

    venue = Venue.BINANCE
    mapper_of = BinanceMapper
    history_window = 240 * MINUTE_MS
    recovery_minutes = _MOST_BARS
    # Ten incoming messages per second are allowed.
    subscription_pause = 0.2

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        """Read addresses, key and intervals from `settings`; the clock only stamps signed requests."""
        super().__init__(settings)
        self._keys = settings.binance
        self._clock = clock or SystemClock()

    async def listings(self, rest: Rest, event_time: int) -> Listings:
        """Return the linear perpetuals of exchangeInfo."""
        body = await rest.fetch(self.request("/fapi/v1/exchangeInfo", WEIGHT, {}))
        report = Report()
        entries = _LISTED.read(read(_EXCHANGE_INFO, body, "Binance's exchangeInfo").symbols, report)
        return self.not_empty(listings_of(entries, event_time, report.refused))

    async def margin_tiers(self, instruments: Sequence[Instrument], rest: Rest) -> Mapping[str, MarginTiers]:
        """Return the shipped tables, refreshed by leverageBracket where a key is set."""
        tables = dict(shipped_tables(Venue.BINANCE))
        if self._keys.api_key is not None and self._keys.api_secret is not None:
            try:
                body = await rest.fetch(self._signed("/fapi/v1/leverageBracket"))
                report = Report()
                fresh, refused = tables_of(_BRACKETS.read(body, report))
                tables |= self.checked(fresh, refused | {each.instrument: each.reason for each in report.refused})
            except (TransientError, PoisonMessage) as error:
                log.warning("Binance's margin tiers were not refreshed; the shipped ones hold", error=str(error))
        return {item.name: tables[item.name] for item in instruments if item.name in tables}

    def sockets(self, instruments: Sequence[Instrument]) -> int:
        """Return as few sockets as hold the streams.

        Raises:
            ConfigurationError: that is more than the settings allow.
        """
        needed = -(-len(instruments) * len(_STREAMS) // STREAMS_PER_CONNECTION)
        if needed > self.ingest.connections:
            raise ConfigurationError(
                f"{len(instruments)} Binance instruments need {needed} connections; "
                f"set LIQHEAT_INGEST__CONNECTIONS to at least that"
            )
        return needed

    def socket(self, number: int, instruments: tuple[Instrument, ...]) -> tuple[str, str, tuple[str, ...]]:
        """Return a market socket; streams are part of the address where they are few."""
        streams = [f"{instrument.name.lower()}@{stream}" for instrument in instruments for stream in _STREAMS]
        url = f"{self.websocket_url}/market/stream"
        if len(streams) <= _STREAMS_IN_ADDRESS:
            return f"market-{number}", f"{url}?streams={'/'.join(streams)}", ()
        subscriptions = tuple(
            msgspec.json.encode(
                {"method": "SUBSCRIBE", "params": streams[start : start + _STREAMS_PER_MESSAGE], "id": start + 1}
            ).decode()
            for start in range(0, len(streams), _STREAMS_PER_MESSAGE)
        )
        return f"market-{number}", url, subscriptions

    def own_polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Poll open interest and turnover; slower than asked for where the budget would not allow it."""
        open_interest = tuple(
            self._of("/fapi/v1/openInterest", item, f"{item.name}@openInterest") for item in instruments
        )
        turnover = self._tickers(instruments)
        if not open_interest:
            return ()
        interval = self.slowed(self.ingest.open_interest_interval, open_interest, _POLL_SHARE)
        return Poll("openInterest", interval, open_interest), Poll("ticker", self.ingest.turnover_interval, turnover)

    def _tickers(self, instruments: Sequence[Instrument]) -> tuple[Request, ...]:
        path = "/fapi/v1/ticker/24hr"
        if len(instruments) > _TICKERS_ONE_BY_ONE:
            return (self.request(path, WEIGHT, {}, weight=40),)
        return tuple(self._of(path, item, f"{item.name}@ticker") for item in instruments)

    def depth_requests(self, instrument: Instrument) -> Sequence[Request]:
        """Return the request for 500 levels per side."""
        parameters = {"symbol": instrument.name, "limit": str(_DEPTH_LEVELS)}
        return (self.request("/fapi/v1/depth", WEIGHT, parameters, _DEPTH_WEIGHT, f"{instrument.name}@{DEPTH}"),)

    async def fill(self, gap: SequenceGap, instrument: Instrument, rest: Rest) -> Recovery:
        """Read the aggregate trades between the two ids, both exclusive."""
        return await self._trades(instrument, {"fromId": str(gap.after + 1)}, rest, before=gap.before)

    async def missed_trades(self, instrument: Instrument, start: int, end: int, rest: Rest) -> Recovery:
        """Read the aggregate trades since `start`."""
        return await self._trades(instrument, {"startTime": str(start)}, rest, until=end)

    async def _trades(
        self,
        instrument: Instrument,
        first: Mapping[str, str],
        rest: Rest,
        before: int | None = None,
        until: int | None = None,
    ) -> Recovery:
        """Read pages of aggregate trades up to the id `before` or the time `until`, in wrapped frames."""
        stream = f"{instrument.name}@aggTrades"
        # Ids are consecutive, so how many there are says whether the venue still keeps the whole hole.
        asked = range(int(first["fromId"]), before) if before is not None else None
        found: set[int] = set()
        report = Report()

        def asking(query: Mapping[str, str]) -> Request:
            parameters = {"symbol": instrument.name, **query, "limit": str(_TRADES_PER_PAGE)}
            return self.request("/fapi/v1/aggTrades", WEIGHT, parameters, 20, stream)

        def read_page(body: bytes) -> Page:
            known = len(report.refused)
            page = _TRADES.read(body, report)
            sent = len(page) + len(report.refused) - known
            wanted = [row for row in page if asked is None or row.a in asked]
            found.update(row.a for row in wanted)
            is_filled = asked is not None and len(found) == asked.stop - asked.start
            frame = wrap(stream, msgspec.json.encode(wanted)) if wanted else None
            last = highest_of(row.a for row in wanted)
            if last is None or sent < _TRADES_PER_PAGE or is_filled:
                return Page(frame, not report.refused if asked is None else is_filled)
            if until is not None and until <= (highest_of(times_in(row.T for row in wanted)) or 0):
                return Page(frame, not report.refused)
            return Page(frame, is_complete=False, following=asking({"fromId": str(last + 1)}))

        return await read_pages(rest, asking(first), read_page, _PAGES_PER_HOLE)

    def history(self, instrument: Instrument, start: int, end: int) -> Sequence[Request]:
        """Ask for open interest (5 min), bars of trades and of the mark (1 min), and funding settlements."""
        name = instrument.name
        span = {"symbol": name, "startTime": str(start), "endTime": str(end - 1)}
        minutes = str((end - start) // MINUTE_MS)
        points = span | {"period": "5m", "limit": "500"}
        bars = span | {"interval": "1m", "limit": minutes}
        return (
            self.request("/futures/data/openInterestHist", STATISTICS, points, stream=f"{name}@openInterestHist"),
            self.request("/fapi/v1/klines", WEIGHT, bars, 2, f"{name}@klines"),
            self.mark_bars(instrument, start, end),
            self.request("/fapi/v1/fundingRate", FUNDING, span | {"limit": "100"}, stream=f"{name}@fundingRate"),
        )

    def mark_bars(self, instrument: Instrument, start: int, end: int) -> Request:
        """Return the request for mark bars of `[start, end)`."""
        parameters = {
            "symbol": instrument.name,
            "interval": "1m",
            "limit": str(min((end - start) // MINUTE_MS, _MOST_BARS)),
            "startTime": str(start),
            "endTime": str(end - 1),
        }
        return self.request("/fapi/v1/markPriceKlines", WEIGHT, parameters, 2, f"{instrument.name}@markPriceKlines")

    def _of(self, path: str, instrument: Instrument, stream: str) -> Request:
        return self.request(path, WEIGHT, {"symbol": instrument.name}, stream=stream)

    def _signed(self, path: str) -> Request:
        """Sign as Binance asks: HMAC-SHA256 of the query by the secret, the key in a header."""
        assert self._keys.api_key is not None  # noqa: S101 - the caller has looked
        assert self._keys.api_secret is not None  # noqa: S101 - the caller has looked
        parameters = {"timestamp": str(self._clock.now_ms()), "recvWindow": "10000"}
        secret = self._keys.api_secret.get_secret_value().encode()
        signature = hmac.new(secret, urlencode(parameters).encode(), hashlib.sha256).hexdigest()
        return Request(
            f"{self.rest_url}{path}",
            WEIGHT,
            parameters | {"signature": signature},
            headers={"X-MBX-APIKEY": self._keys.api_key.get_secret_value()},
        )
