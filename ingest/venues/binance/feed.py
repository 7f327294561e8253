"""How Binance USD-M is read: market streams by WebSocket, open interest and turnover by REST polls.

URLs follow the path split of 2026: `/market/stream` carries aggTrade, markPrice and forceOrder. Aggregate
ids are consecutive, so holes in trades are seen and filled exactly; executed liquidations are not kept by any
public endpoint, and a hole in them stays one.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Mapping, Sequence
from urllib.parse import urlencode

import msgspec
import structlog

from ingest.venues.bars import whole_minutes
from ingest.venues.binance import messages
from ingest.venues.binance.mapper import BinanceMapper
from ingest.venues.binance.reference import listings_of, tables_of
from ingest.venues.interface import (
    NOTHING_RECOVERED,
    Connection,
    Context,
    Listings,
    Poll,
    RateLimit,
    Recovery,
    Request,
    Rest,
    wrap,
)
from liqheat.domain.instruments import Instrument
from liqheat.domain.margin_tiers import MarginTiers, shipped_tables
from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.clock import Clock, SystemClock
from liqheat.platform.errors import ConfigurationError, PoisonMessage, SequenceGap, TransientError
from liqheat.platform.settings import Settings

log = structlog.get_logger(__name__)

WEIGHT = RateLimit("binance weight", weight=2_400, seconds=60, used_header="x-mbx-used-weight-1m")
"""Shared by everything under `/fapi`, per address."""
STATISTICS = RateLimit("binance statistics", weight=1_000, seconds=300)
"""Requests to `/futures/data`, per address."""
FUNDING = RateLimit("binance funding", weight=500, seconds=300)
"""Requests to `/fapi/v1/fundingRate`, per address."""

STREAMS_PER_CONNECTION = 1_024
# An address with more streams than this grows past what proxies accept; then they are subscribed by message.
_STREAMS_IN_ADDRESS = 150
_STREAMS_PER_MESSAGE = 100
# Ten incoming messages a second are allowed.
_SUBSCRIPTION_PAUSE = 0.2

_TRADES_PER_PAGE = 1_000
_PAGES_PER_HOLE = 20
_MOST_BARS = 1_500
# Share of the weight that polling open interest may use; the rest is for holes, history and reference reads.
_POLL_SHARE = 0.5
# With more instruments than this one request for all tickers (weight 40) is cheaper.
_TICKERS_ONE_BY_ONE = 40

_TRADES = msgspec.json.Decoder(list[messages.HistoricalTrade], strict=False)
_EXCHANGE_INFO = msgspec.json.Decoder(messages.ExchangeInfo, strict=False)
_BRACKETS = msgspec.json.Decoder(list[messages.LeverageBracket], strict=False)


class BinanceFeed:
    """Binance USD-M's feed; see `ingest.venues.interface.VenueFeed`."""

    venue = Venue.BINANCE
    history_window = 240 * MINUTE_MS

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        """Read addresses and intervals from `settings`; the clock only stamps signed requests."""
        self._settings = settings.binance
        self._ingest = settings.ingest
        self._clock = clock or SystemClock()

    def mapper(self, instruments: Sequence[Instrument]) -> BinanceMapper:
        """Return a new mapper for these instruments."""
        return BinanceMapper(instruments)

    async def listings(self, rest: Rest, event_time: int) -> Listings:
        """Return the linear perpetuals of exchangeInfo."""
        body = await rest.fetch(self._request("/fapi/v1/exchangeInfo", {}, weight=1))
        try:
            return listings_of(_EXCHANGE_INFO.decode(body), event_time)
        except msgspec.DecodeError as error:
            raise PoisonMessage(f"Binance's exchangeInfo cannot be read: {error}") from error

    async def margin_tiers(self, instruments: Sequence[Instrument], rest: Rest) -> Mapping[str, MarginTiers]:
        """Return the shipped tables, refreshed by leverageBracket where a key is set."""
        tables = dict(shipped_tables(Venue.BINANCE))
        if self._settings.api_key is not None and self._settings.api_secret is not None:
            try:
                fresh, refused = tables_of(_BRACKETS.decode(await rest.fetch(self._signed("/fapi/v1/leverageBracket"))))
            except (TransientError, PoisonMessage, msgspec.DecodeError) as error:
                log.warning("Binance's margin tiers were not refreshed; the shipped ones hold", error=str(error))
            else:
                tables |= fresh
                for name, reason in refused.items():
                    log.warning("A broken margin-tier table was refused", instrument=name, reason=reason)
        return {item.name: tables[item.name] for item in instruments if item.name in tables}

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Spread the instruments over as many connections as the settings allow and the streams ask for."""
        per_instrument = 3
        needed = -(-len(instruments) * per_instrument // STREAMS_PER_CONNECTION)
        if needed > self._ingest.connections:
            raise ConfigurationError(
                f"{len(instruments)} Binance instruments need {needed} connections; "
                f"set LIQHEAT_INGEST__CONNECTIONS to at least that"
            )
        count = max(1, min(self._ingest.connections, needed, len(instruments)))
        return [self._connection(f"market-{number}", tuple(instruments[number::count])) for number in range(count)]

    def _connection(self, name: str, instruments: tuple[Instrument, ...]) -> Connection:
        streams = [
            f"{instrument.name.lower()}@{stream}"
            for instrument in instruments
            for stream in ("aggTrade", "markPrice@1s", "forceOrder")
        ]
        url = f"{self._settings.websocket_url}/market/stream"
        if len(streams) <= _STREAMS_IN_ADDRESS:
            return Connection(name, f"{url}?streams={'/'.join(streams)}", instruments)
        subscriptions = tuple(
            msgspec.json.encode(
                {"method": "SUBSCRIBE", "params": streams[start : start + _STREAMS_PER_MESSAGE], "id": start + 1}
            ).decode()
            for start in range(0, len(streams), _STREAMS_PER_MESSAGE)
        )
        return Connection(name, url, instruments, subscriptions, _SUBSCRIPTION_PAUSE)

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Poll open interest and turnover; slower than asked for where the budget would not allow it."""
        open_interest = tuple(
            self._request("/fapi/v1/openInterest", {"symbol": item.name}, stream=f"{item.name}@openInterest")
            for item in instruments
        )
        fastest = len(open_interest) * WEIGHT.seconds / (WEIGHT.weight * _POLL_SHARE)
        turnover = self._tickers(instruments)
        return (
            Poll("openInterest", max(self._ingest.open_interest_interval, fastest), open_interest),
            Poll("ticker", self._ingest.turnover_interval, turnover),
        )

    def _tickers(self, instruments: Sequence[Instrument]) -> tuple[Request, ...]:
        path = "/fapi/v1/ticker/24hr"
        if len(instruments) > _TICKERS_ONE_BY_ONE:
            return (self._request(path, {}, weight=40),)
        return tuple(self._request(path, {"symbol": item.name}, stream=f"{item.name}@ticker") for item in instruments)

    async def fill(self, gap: SequenceGap, instrument: Instrument, rest: Rest) -> Recovery:
        """Read the aggregate trades between the two ids, both exclusive."""
        return await self._trades(instrument, {"fromId": str(gap.after + 1)}, rest, before=gap.before)

    async def recover(self, instrument: Instrument, start: int, end: int, rest: Rest) -> Recovery:
        """Read the aggregate trades since `start`, and the mark's bars of whole minutes in between."""
        trades = await self._trades(instrument, {"startTime": str(start)}, rest, until=end)
        minutes = whole_minutes(start, end, _MOST_BARS * MINUTE_MS)
        if minutes is None:
            return trades
        bars = self._mark_bars(instrument, *minutes)
        frame = wrap(bars.stream, await rest.fetch(bars))
        return Recovery((frame, *trades.frames), trades.complete)

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
        query = dict(first)
        frames: list[bytes] = []
        rows = 0
        for _ in range(_PAGES_PER_HOLE):
            parameters = {"symbol": instrument.name, **query, "limit": str(_TRADES_PER_PAGE)}
            body = await rest.fetch(self._request("/fapi/v1/aggTrades", parameters, weight=20, stream=stream))
            try:
                page = _TRADES.decode(body)
            except msgspec.DecodeError as error:
                raise PoisonMessage(f"Binance's aggTrades cannot be read: {error}") from error
            wanted = [row for row in page if before is None or row.a < before]
            rows += len(wanted)
            if wanted:
                frames.append(wrap(stream, msgspec.json.encode(wanted)))
            if len(wanted) < len(page) or len(page) < _TRADES_PER_PAGE:
                # Ids are consecutive, so their count tells whether the venue still keeps the whole hole.
                complete = before is None or rows == before - int(first["fromId"])
                return Recovery(tuple(frames), complete)
            if until is not None and until <= page[-1].T:
                return Recovery(tuple(frames), complete=True)
            query = {"fromId": str(page[-1].a + 1)}
        return Recovery(tuple(frames)) if frames else NOTHING_RECOVERED

    def history(self, instrument: Instrument, start: int, end: int) -> Sequence[Request]:
        """Ask for open interest (5 min), bars of trades and of the mark (1 min), and funding settlements."""
        symbol = {"symbol": instrument.name}
        span = {"startTime": str(start), "endTime": str(end - 1)}
        minutes = str((end - start) // MINUTE_MS)
        return (
            Request(
                f"{self._settings.rest_url}/futures/data/openInterestHist",
                STATISTICS,
                symbol | {"period": "5m", "limit": "500"} | span,
                stream=f"{instrument.name}@openInterestHist",
            ),
            self._request(
                "/fapi/v1/klines",
                symbol | {"interval": "1m", "limit": minutes} | span,
                weight=2,
                stream=f"{instrument.name}@klines",
            ),
            self._mark_bars(instrument, start, end),
            Request(
                f"{self._settings.rest_url}/fapi/v1/fundingRate",
                FUNDING,
                symbol | {"limit": "100"} | span,
                stream=f"{instrument.name}@fundingRate",
            ),
        )

    def tasks(self, context: Context) -> Sequence[Awaitable[None]]:  # noqa: ARG002 - Binance has no work of its own
        """Return nothing: streams and polls are all."""
        return ()

    def _mark_bars(self, instrument: Instrument, start: int, end: int) -> Request:
        return self._request(
            "/fapi/v1/markPriceKlines",
            {
                "symbol": instrument.name,
                "interval": "1m",
                "limit": str(min((end - start) // MINUTE_MS, _MOST_BARS)),
                "startTime": str(start),
                "endTime": str(end - 1),
            },
            weight=2,
            stream=f"{instrument.name}@markPriceKlines",
        )

    def _request(self, path: str, parameters: Mapping[str, str], weight: float = 1, stream: str = "") -> Request:
        return Request(f"{self._settings.rest_url}{path}", WEIGHT, parameters, weight, stream)

    def _signed(self, path: str) -> Request:
        """Sign as Binance asks: HMAC-SHA256 of the query by the secret, the key in a header."""
        assert self._settings.api_key is not None  # noqa: S101 - the caller has looked
        assert self._settings.api_secret is not None  # noqa: S101 - the caller has looked
        parameters = {"timestamp": str(self._clock.now_ms()), "recvWindow": "10000"}
        secret = self._settings.api_secret.get_secret_value().encode()
        signature = hmac.new(secret, urlencode(parameters).encode(), hashlib.sha256).hexdigest()
        return Request(
            f"{self._settings.rest_url}{path}",
            WEIGHT,
            parameters | {"signature": signature},
            headers={"X-MBX-APIKEY": self._settings.api_key.get_secret_value()},
        )
