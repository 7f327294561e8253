"""Bybit v5 linear as the service reads it: one public socket, and REST for listings, tiers and history.

Tickers carry marks, funding, open interest and turnover, so nothing has to be polled.
"""

import json
from collections.abc import Awaitable, Mapping, Sequence

import msgspec
import structlog

from ingest.venues.bars import whole_minutes
from ingest.venues.bybit import messages as raw
from ingest.venues.bybit.mapper import BybitMapper
from ingest.venues.bybit.reference import listings_of, tables_of
from ingest.venues.interface import (
    NOTHING_RECOVERED,
    Connection,
    Context,
    Listings,
    Mapper,
    Ping,
    Poll,
    RateLimit,
    Recovery,
    Request,
    Rest,
    wrap,
)
from ingest.venues.wire import decoder_of, read, split
from liqheat.domain.instruments import Instrument
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import PoisonMessage, SequenceGap, TransientError
from liqheat.platform.settings import Settings

log = structlog.get_logger(__name__)

LIMIT = RateLimit("bybit", 600.0, 5.0)
"""600 requests in 5 s an address."""
_PING = Ping('{"op":"ping"}', 20.0)
_LIMITED = 10006
"""Bybit says "too many visits" with status 200 and this code."""
_RECENT_TRADES = 1_000

_FRAME = decoder_of(raw.Frame)
_RESULT = decoder_of(raw.Result)
_INSTRUMENT = decoder_of(raw.InstrumentInfo)
_RISK_LIMIT = decoder_of(raw.RiskLimit)
_RECENT_TRADE = decoder_of(raw.RecentTrade)


class BybitFeed:
    """See `ingest.venues.interface.VenueFeed`."""

    venue = Venue.BYBIT
    history_window = 960 * MINUTE_MS
    """A page holds 1,000 one-minute bars and 200 five-minute points of open interest."""

    def __init__(self, settings: Settings) -> None:
        self._websocket_url = settings.bybit.websocket_url
        self._rest_url = settings.bybit.rest_url
        self._connections = settings.ingest.connections

    def mapper(self, instruments: Sequence[Instrument]) -> Mapper:
        """Return a mapper of these instruments only."""
        return BybitMapper(instruments)

    async def listings(self, rest: Rest, event_time: int) -> Listings:
        """Read all pages of instruments-info."""
        infos: list[raw.InstrumentInfo] = []
        cursor = ""
        while True:
            parameters = {"limit": "1000"} | ({"cursor": cursor} if cursor else {})
            page = await self._list(rest, "instruments-info", parameters)
            infos += [read(_INSTRUMENT, item, "a Bybit instrument") for item in page.items]
            if not page.next_page or not page.items:
                return listings_of(infos, event_time)
            cursor = page.next_page

    async def margin_tiers(self, instruments: Sequence[Instrument], rest: Rest) -> Mapping[str, MarginTiers]:
        """Read risk-limit for each instrument; one that is refused or unreachable is left out with a warning."""
        tables: dict[str, MarginTiers] = {}
        for instrument in instruments:
            try:
                page = await self._list(rest, "risk-limit", {"symbol": instrument.name})
                limits = [read(_RISK_LIMIT, item, "a Bybit risk limit") for item in page.items]
            except (PoisonMessage, TransientError) as error:
                log.warning("Margin tiers cannot be read", instrument=instrument.name, error=str(error))
                continue
            found, refused = tables_of(limits)
            tables.update(found)
            for name, reason in refused.items():
                log.warning("Margin tiers contradict themselves", instrument=name, reason=reason)
        return tables

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Return public sockets; each instrument subscribes alone, so that a refusal costs no other."""
        return [
            Connection(
                name=f"linear-{number}",
                url=f"{self._websocket_url}/v5/public/linear",
                instruments=own,
                subscriptions=tuple(_subscription(instrument.name) for instrument in own),
                ping=_PING,
            )
            for number, own in enumerate(split(instruments, self._connections), start=1)
        ]

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:  # noqa: ARG002 - the tickers carry all
        """Return nothing."""
        return ()

    async def fill(self, gap: SequenceGap, instrument: Instrument, rest: Rest) -> Recovery:  # noqa: ARG002 - as below
        """Return nothing: Bybit's numbers are not consecutive, so its mapper sees no gaps."""
        return NOTHING_RECOVERED

    async def recover(self, instrument: Instrument, start: int, end: int, rest: Rest) -> Recovery:
        """Read the recent trades, and mark bars of the whole minutes that are missing."""
        parameters = {"symbol": instrument.name, "limit": str(_RECENT_TRADES)}
        body = await rest.fetch(self._request("recent-trade", parameters))
        oldest = _RECENT_TRADE.decode(items[-1]).time if (items := _result(body).items) else end
        frames = [wrap(f"{instrument.name}@recent-trade", body)]
        if minutes := whole_minutes(start, end, self.history_window):
            marks = self._bars("mark-price-kline", instrument, *minutes)
            frames.append(wrap(marks.stream, await rest.fetch(marks)))
        return Recovery(tuple(frames), complete=oldest <= start or len(items) < _RECENT_TRADES)

    def history(self, instrument: Instrument, start: int, end: int) -> Sequence[Request]:
        """Return requests for bars, mark bars and open interest of `[start, end)`."""
        open_interest = {
            "symbol": instrument.name,
            "intervalTime": "5min",
            "startTime": str(start),
            "endTime": str(end),
            "limit": "200",
        }
        return [
            self._bars("kline", instrument, start, end),
            self._bars("mark-price-kline", instrument, start, end),
            self._request("open-interest", open_interest, f"{instrument.name}@open-interest"),
        ]

    def tasks(self, context: Context) -> Sequence[Awaitable[None]]:  # noqa: ARG002 - none
        """Return nothing."""
        return ()

    def _bars(self, endpoint: str, instrument: Instrument, start: int, end: int) -> Request:
        parameters = {
            "symbol": instrument.name,
            "interval": "1",
            "start": str(start),
            "end": str(end - 1),
            "limit": "1000",
        }
        return self._request(endpoint, parameters, f"{instrument.name}@{endpoint}")

    def _request(self, endpoint: str, parameters: Mapping[str, str], stream: str = "") -> Request:
        url = f"{self._rest_url}/v5/market/{endpoint}"
        return Request(url, LIMIT, {"category": "linear", **parameters}, stream=stream)

    async def _list(self, rest: Rest, endpoint: str, parameters: Mapping[str, str]) -> raw.Result:
        return _result(await rest.fetch(self._request(endpoint, parameters)))


def _subscription(name: str) -> str:
    topics = [f"{channel}.{name}" for channel in ("publicTrade", "tickers", "allLiquidation")]
    return json.dumps({"req_id": name, "op": "subscribe", "args": topics})


def _result(body: bytes) -> raw.Result:
    answer = read(_FRAME, body, "a Bybit answer")
    if answer.ret_code == _LIMITED:
        raise TransientError(f"Bybit limits our requests: {answer.rest_message}", retry_after=5.0)
    if answer.ret_code != 0:
        raise PoisonMessage(f"Bybit answered {answer.ret_code}: {answer.rest_message}")
    return read(_RESULT, answer.result, "a Bybit result") if answer.result != msgspec.Raw() else raw.Result()
