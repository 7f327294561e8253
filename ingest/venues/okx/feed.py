"""OKX v5 swaps as the service reads them: one public socket, and REST for listings, tiers, turnover and history.

Every size is contracts, so the listings are read before anything else: an instrument carries its value.
"""

import json
from collections.abc import Awaitable, Iterator, Mapping, Sequence

import structlog
from msgspec import Raw

from ingest.venues.bars import whole_minutes
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
from ingest.venues.okx import messages as raw
from ingest.venues.okx.history import CANDLES, MARK_CANDLES, OPEN_INTEREST
from ingest.venues.okx.mapper import OkxMapper
from ingest.venues.okx.reference import listings_of, margin_tiers
from ingest.venues.wire import decoder_of, read, split
from liqheat.domain.instruments import Instrument
from liqheat.domain.margin_tiers import BrokenMarginTiers, MarginTiers
from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import PoisonMessage, SequenceGap, TransientError
from liqheat.platform.settings import Settings

log = structlog.get_logger(__name__)

_PING = Ping("ping", 15.0)
"""OKX drops a socket after 30 s of silence."""
_CHANNELS = ("trades", "mark-price", "funding-rate", "open-interest")
_ARGUMENTS_A_MESSAGE = 40
_LIMITED = "50011"
_FAMILIES_A_REQUEST = 5
_RECOVERY_PAGES = 10

# Each endpoint has its own budget, requests in 2 s.
_REQUESTS_IN_2_S = {
    "public/instruments": 20,
    "public/position-tiers": 10,
    "public/mark-price": 10,
    "market/tickers": 20,
    "market/trades": 100,
    "market/history-trades": 20,
    "market/history-candles": 20,
    "market/history-mark-price-candles": 10,
    "rubik/stat/contracts/open-interest-history": 10,
}

_FRAME = decoder_of(raw.Frame)
_INSTRUMENTS = decoder_of(list[raw.Instrument])
_MARKS = decoder_of(list[raw.MarkPrice])
_TIERS = decoder_of(list[raw.PositionTier])
_TRADES = decoder_of(list[raw.Trade])


class OkxFeed:
    """See `ingest.venues.interface.VenueFeed`."""

    venue = Venue.OKX
    history_window = 100 * MINUTE_MS
    """A page holds 100 one-minute bars."""

    def __init__(self, settings: Settings) -> None:
        self._websocket_url = settings.okx.websocket_url
        self._rest_url = settings.okx.rest_url
        self._connections = settings.ingest.connections
        self._turnover_interval = settings.ingest.turnover_interval

    def mapper(self, instruments: Sequence[Instrument]) -> Mapper:
        """Return a mapper of these instruments only, with the contract values that they carry."""
        return OkxMapper(instruments)

    async def listings(self, rest: Rest, event_time: int) -> Listings:
        """Read all swaps."""
        body = await rest.fetch(self._request("public/instruments", {"instType": "SWAP"}))
        infos = read(_INSTRUMENTS, _data(body), "OKX instruments")
        return listings_of(infos, event_time)

    async def margin_tiers(self, instruments: Sequence[Instrument], rest: Rest) -> Mapping[str, MarginTiers]:
        """Read position tiers, five families at a time, and value them at the mark prices of now."""
        body = await rest.fetch(self._request("public/mark-price", {"instType": "SWAP"}))
        marks = {mark.instrument: mark.mark_price for mark in read(_MARKS, _data(body), "OKX marks")}
        tables: dict[str, MarginTiers] = {}
        wanted = [instrument for instrument in instruments if instrument.name in marks]
        for start in range(0, len(wanted), _FAMILIES_A_REQUEST):
            page = wanted[start : start + _FAMILIES_A_REQUEST]
            families = ",".join(instrument.name.removesuffix("-SWAP") for instrument in page)
            parameters = {"instType": "SWAP", "tdMode": "isolated", "instFamily": families}
            try:
                answer = await rest.fetch(self._request("public/position-tiers", parameters))
                steps = read(_TIERS, _data(answer), "OKX position tiers")
            except (PoisonMessage, TransientError) as error:
                log.warning("Margin tiers cannot be read", families=families, error=str(error))
                continue
            for instrument in page:
                own = [step for step in steps if f"{step.family}-SWAP" == instrument.name]
                usd_a_contract = instrument.contract_value * marks[instrument.name]
                try:
                    tables[instrument.name] = margin_tiers(own, usd_a_contract)
                except BrokenMarginTiers as error:
                    log.warning("Margin tiers contradict themselves", instrument=instrument.name, reason=str(error))
        return tables

    def connections(self, instruments: Sequence[Instrument]) -> Sequence[Connection]:
        """Return public sockets; liquidations are subscribed for all swaps, for OKX offers no other way."""
        return [
            Connection(
                name=f"public-{number}",
                url=f"{self._websocket_url}/ws/v5/public",
                instruments=own,
                subscriptions=tuple(_subscriptions(own)),
                # At most 3 requests a second on a connection.
                subscription_pause=0.35,
                ping=_PING,
            )
            for number, own in enumerate(split(instruments, self._connections), start=1)
        ]

    def polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:  # noqa: ARG002 - one request has all
        """Return the 24 h volumes, all swaps in one request."""
        tickers = self._request("market/tickers", {"instType": "SWAP"}, "swaps@tickers")
        return (Poll("turnover", self._turnover_interval, (tickers,)),)

    async def fill(self, gap: SequenceGap, instrument: Instrument, rest: Rest) -> Recovery:  # noqa: ARG002 - as below
        """Return nothing: the stream joins trades of one order, so its numbers jump and tell no gap."""
        return NOTHING_RECOVERED

    async def recover(self, instrument: Instrument, start: int, end: int, rest: Rest) -> Recovery:
        """Read trades back to `start`, a limited number of pages, and mark bars of the missing whole minutes."""
        frames: list[bytes] = []
        name = instrument.name
        request = self._request("market/trades", {"instId": name, "limit": "500"})
        complete = False
        for _ in range(_RECOVERY_PAGES):
            body = await rest.fetch(request)
            trades = read(_TRADES, _data(body), "OKX trades")
            # Pages go back in time, and a mapper wants the oldest first.
            frames.insert(0, wrap(f"{name}@trades", body))
            if complete := not trades or min(trade.ts for trade in trades) <= start:
                break
            before = str(min(trade.trade_id for trade in trades))
            request = self._request("market/history-trades", {"instId": name, "after": before, "limit": "100"})
        if minutes := whole_minutes(start, end, self.history_window):
            marks = self._bars(MARK_CANDLES, instrument, *minutes)
            frames.append(wrap(marks.stream, await rest.fetch(marks)))
        return Recovery(tuple(frames), complete)

    def history(self, instrument: Instrument, start: int, end: int) -> Sequence[Request]:
        """Return requests for bars, mark bars and open interest of `[start, end)`."""
        open_interest = {
            "instId": instrument.name,
            "period": "5m",
            "begin": str(start),
            "end": str(end),
            "limit": "100",
        }
        return [
            self._bars(CANDLES, instrument, start, end),
            self._bars(MARK_CANDLES, instrument, start, end),
            self._request(
                "rubik/stat/contracts/open-interest-history", open_interest, f"{instrument.name}@{OPEN_INTEREST}"
            ),
        ]

    def tasks(self, context: Context) -> Sequence[Awaitable[None]]:  # noqa: ARG002 - none
        """Return nothing."""
        return ()

    def _bars(self, endpoint: str, instrument: Instrument, start: int, end: int) -> Request:
        """Return a request for one-minute bars; `after` and `before` are exclusive, and after means earlier."""
        parameters = {
            "instId": instrument.name,
            "bar": "1m",
            "after": str(end),
            "before": str(start - 1),
            "limit": "100",
        }
        return self._request(f"market/{endpoint}", parameters, f"{instrument.name}@{endpoint}")

    def _request(self, endpoint: str, parameters: Mapping[str, str], stream: str = "") -> Request:
        limit = RateLimit(f"okx {endpoint}", float(_REQUESTS_IN_2_S[endpoint]), 2.0)
        return Request(f"{self._rest_url}/api/v5/{endpoint}", limit, parameters, stream=stream)


def _subscriptions(instruments: Sequence[Instrument]) -> Iterator[str]:
    arguments = [{"channel": channel, "instId": instrument.name} for instrument in instruments for channel in _CHANNELS]
    arguments += [
        {"channel": "index-tickers", "instId": instrument.name.removesuffix("-SWAP")} for instrument in instruments
    ]
    arguments.append({"channel": "liquidation-orders", "instType": "SWAP"})
    for start in range(0, len(arguments), _ARGUMENTS_A_MESSAGE):
        yield json.dumps({"op": "subscribe", "args": arguments[start : start + _ARGUMENTS_A_MESSAGE]})


def _data(body: bytes) -> Raw:
    answer = read(_FRAME, body, "an OKX answer")
    if answer.code == _LIMITED:
        raise TransientError(f"OKX limits our requests: {answer.msg}", retry_after=2.0)
    if answer.code != "0":
        raise PoisonMessage(f"OKX refused: {answer.msg or 'no reason given'} (code {answer.code})")
    return answer.data
