"""OKX v5 swaps and X-Perps as the service reads them: a public socket, and REST for listings, tiers and history.

Every size is contracts, so the listings are read before anything else: an instrument carries its value.
"""

import json
import math
from collections.abc import Awaitable, Iterator, Mapping, Sequence

import structlog
from msgspec import Raw

from ingest.venues.base import BaseFeed
from ingest.venues.depth import DEPTH
from ingest.venues.interface import Context, Listings, Mapper, Ping, Poll, Recovery, Request, Rest, wrap
from ingest.venues.okx import messages as raw
from ingest.venues.okx.history import CANDLES, MARK_CANDLES, OPEN_INTEREST
from ingest.venues.okx.liquidations import ENDPOINT, LiquidationReader
from ingest.venues.okx.mapper import OkxMapper
from ingest.venues.okx.names import FUTURES, SWAP, family_of, index_of, type_of_name
from ingest.venues.okx.reference import listings_of, tables_of
from ingest.venues.paged import Page, lowest_of, read_pages, times_in
from ingest.venues.values import unread_instruments
from ingest.venues.wire import Report, RowReader, decoder_of, read, text_of
from liqheat.domain.instruments import Instrument
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import PoisonMessage, TransientError
from liqheat.platform.seen import Recent
from liqheat.platform.settings import Settings

log = structlog.get_logger(__name__)

_CHANNELS = ("trades", "mark-price", "funding-rate", "open-interest")
_ARGUMENTS_PER_MESSAGE = 40
_FAMILIES_PER_REQUEST = 5
_RECOVERY_PAGES = 10
_RECENT_TRADES, _HISTORY_TRADES = 500, 100
"""Most trades on the first page of a recovery, and on those after it."""
_LIQUIDATIONS_REMEMBERED = 50_000
DEPTH_LEVELS = 5_000
"""Most levels per side that `books-full` gives; its snapshots are up to a second old."""

_FRAME = decoder_of(raw.Frame)
_INSTRUMENTS = RowReader(raw.Instrument, "an OKX instrument")
_MARKS = RowReader(raw.MarkPrice, "an OKX mark")
_TIERS = RowReader(raw.PositionTier, "an OKX position tier")
_TRADES = RowReader(raw.Trade, "an OKX trade")


class OkxFeed(BaseFeed):
    """See `ingest.venues.base.BaseFeed`; a page holds 100 one-minute bars."""

    venue = Venue.OKX
    mapper_of = OkxMapper
    history_window = 100 * MINUTE_MS
    # OKX drops a socket after 30 s of silence.
    ping = Ping("ping", 15.0)
    # At most 3 requests per second and connection.
    subscription_pause = 0.35
    # books-full has a budget of its own.
    depth_share = 0.75

    def __init__(self, settings: Settings) -> None:
        """Read addresses and intervals from `settings`."""
        super().__init__(settings)
        self._types = (SWAP, FUTURES) if settings.okx.x_perps else (SWAP,)
        self._liquidations = Recent(_LIQUIDATIONS_REMEMBERED)

    def mapper(self, instruments: Sequence[Instrument]) -> Mapper:
        """Return a mapper of these instruments, which shares the liquidations seen with the others of the feed."""
        return OkxMapper(instruments, liquidations=self._liquidations)

    def tasks(self, context: Context) -> Sequence[Awaitable[None]]:
        """Return the reading of liquidations, for the stream carries a sample of them."""

        def ask(parameters: Mapping[str, str]) -> Request:
            return self._ask(ENDPOINT, parameters)

        return (LiquidationReader(context, ask, self.ingest.liquidation_interval).run(),)

    async def listings(self, rest: Rest, event_time: int) -> Listings:
        """Read all swaps, and X-Perps where the settings want them."""
        report = Report()
        infos: list[raw.Instrument] = []
        for instrument_type in self._types:
            body = await rest.fetch(self._ask("public/instruments", {"instType": instrument_type}))
            infos += _INSTRUMENTS.read(_data(body), report)
        return self.not_empty(listings_of(infos, event_time, report.refused))

    async def margin_tiers(self, instruments: Sequence[Instrument], rest: Rest) -> Mapping[str, MarginTiers]:
        """Read position tiers, five families at a time, and value them at the mark prices of now."""
        tables: dict[str, MarginTiers] = {}
        for instrument_type, own in _by_type(instruments).items():
            tables |= await self._tiers_of_type(instrument_type, own, rest)
        return tables

    async def _tiers_of_type(
        self, instrument_type: str, instruments: Sequence[Instrument], rest: Rest
    ) -> Mapping[str, MarginTiers]:
        body = await rest.fetch(self._ask("public/mark-price", {"instType": instrument_type}))
        # The mark of a market that has none yet is left out; its tiers are read when it has.
        marks = {mark.instrument: mark.mark_price for mark in _MARKS.read(_data(body), Report())}
        tables: dict[str, MarginTiers] = {}
        wanted = [instrument for instrument in instruments if instrument.name in marks]
        for start in range(0, len(wanted), _FAMILIES_PER_REQUEST):
            page = wanted[start : start + _FAMILIES_PER_REQUEST]
            names = {family_of(instrument.name): instrument.name for instrument in page}
            families = ",".join(names)
            parameters = {"instType": instrument_type, "tdMode": "isolated", "instFamily": families}
            try:
                answer = await rest.fetch(self._ask("public/position-tiers", parameters))
                report = Report()
                steps = _TIERS.read(_data(answer), report)
            except (PoisonMessage, TransientError) as error:
                log.warning("Margin tiers cannot be read", families=families, error=str(error))
                continue
            usd_per_contract = {item.name: item.contract_value * marks[item.name] for item in page}
            unread = unread_instruments(report.refused, names)
            incomplete = {names[family] for family in unread if family in names}
            tables |= self.checked(*tables_of(steps, usd_per_contract, incomplete))
        return tables

    def socket(self, number: int, instruments: tuple[Instrument, ...]) -> tuple[str, str, tuple[str, ...]]:
        """Return a public socket; liquidations are subscribed for all swaps, for OKX offers no other way."""
        return f"public-{number}", f"{self.websocket_url}/ws/v5/public", tuple(_subscriptions(instruments))

    def own_polls(self, instruments: Sequence[Instrument]) -> Sequence[Poll]:
        """Return the 24 h volumes, those of all swaps in one request, of all X-Perps in another."""
        tickers = tuple(
            self._ask("market/tickers", {"instType": instrument_type}, "swaps@tickers")
            for instrument_type in _by_type(instruments)
        )
        return (Poll("turnover", self.ingest.turnover_interval, tickers),) if instruments else ()

    def depth_requests(self, instrument: Instrument) -> Sequence[Request]:
        """Return the request for the full book."""
        parameters = {"instId": instrument.name, "sz": str(DEPTH_LEVELS)}
        return (self._ask("market/books-full", parameters, f"{instrument.name}@{DEPTH}"),)

    async def missed_trades(self, instrument: Instrument, start: int, end: int, rest: Rest) -> Recovery:
        """Read trades back to `start`, a limited number of pages."""
        if start >= end:
            return Recovery(complete=True)
        name = instrument.name
        report = Report()
        before: int | None = None
        again = 0
        was_full = False

        def read_page(body: bytes) -> Page:
            nonlocal before, again, was_full
            known = len(report.refused)
            trades = _TRADES.read(_data(body), report)
            sent = len(trades) + len(report.refused) - known
            frame = wrap(f"{name}@trades", body)
            oldest = lowest_of(times_in(trade.ts for trade in trades))
            older = [trade.trade_id for trade in trades if 0 <= trade.trade_id < (before or math.inf)]
            # The venue has no more behind a page that it did not fill, or where only a row that was read comes again.
            has_ended = len(older) == 1 if again else not sent and not was_full
            if has_ended or (oldest is not None and oldest <= start):
                return Page(frame, not report.refused)
            is_first, before = before is None, lowest_of(older)
            if before is None:
                return Page(frame, is_complete=False)
            again = sum(number < before for number in older)
            was_full = sent >= (_RECENT_TRADES if is_first else _HISTORY_TRADES)
            page = {"instId": name, "after": str(before), "limit": str(_HISTORY_TRADES)}
            return Page(frame, is_complete=False, following=self._ask("market/history-trades", page))

        first = self._ask("market/trades", {"instId": name, "limit": str(_RECENT_TRADES)})
        return await read_pages(rest, first, read_page, _RECOVERY_PAGES + 1, newest_first=True)

    def history(self, instrument: Instrument, start: int, end: int) -> Sequence[Request]:
        """Return requests for bars, mark bars and open interest of `[start, end)`."""
        points = {"instId": instrument.name, "period": "5m", "begin": str(start), "end": str(end), "limit": "100"}
        return [
            self._bars(CANDLES, instrument, start, end),
            self.mark_bars(instrument, start, end),
            self._ask("rubik/stat/contracts/open-interest-history", points, f"{instrument.name}@{OPEN_INTEREST}"),
        ]

    def mark_bars(self, instrument: Instrument, start: int, end: int) -> Request:
        """Return the request for mark bars of `[start, end)`."""
        return self._bars(MARK_CANDLES, instrument, start, end)

    def _bars(self, endpoint: str, instrument: Instrument, start: int, end: int) -> Request:
        """Return a request for one-minute bars; `after` and `before` are exclusive, and after means earlier."""
        parameters = {
            "instId": instrument.name,
            "bar": "1m",
            "after": str(end),
            "before": str(start - 1),
            "limit": "100",
        }
        return self._ask(f"market/{endpoint}", parameters, f"{instrument.name}@{endpoint}")

    def _ask(self, endpoint: str, parameters: Mapping[str, str], stream: str = "") -> Request:
        """Return a request; each endpoint has its own budget."""
        return self.request(f"/api/v5/{endpoint}", self.facts.budgets[endpoint], parameters, stream=stream)


def _by_type(instruments: Sequence[Instrument]) -> dict[str, list[Instrument]]:
    """Return the instruments by OKX's type, swaps first."""
    found: dict[str, list[Instrument]] = {}
    for instrument in sorted(instruments, key=lambda item: type_of_name(item.name) != SWAP):
        found.setdefault(type_of_name(instrument.name), []).append(instrument)
    return found


def _subscriptions(instruments: Sequence[Instrument]) -> Iterator[str]:
    arguments = [{"channel": channel, "instId": instrument.name} for instrument in instruments for channel in _CHANNELS]
    arguments += [{"channel": "index-tickers", "instId": index_of(instrument.name)} for instrument in instruments]
    arguments += [{"channel": "liquidation-orders", "instType": each} for each in _by_type(instruments)]
    for start in range(0, len(arguments), _ARGUMENTS_PER_MESSAGE):
        yield json.dumps({"op": "subscribe", "args": arguments[start : start + _ARGUMENTS_PER_MESSAGE]})


def _data(body: bytes) -> Raw:
    answer = read(_FRAME, body, "an OKX answer")
    if text_of(answer.code) not in ("0", ""):
        raise PoisonMessage(f"OKX refused: {answer.msg or 'no reason given'} (code {answer.code})")
    if answer.data == Raw():
        raise PoisonMessage("Expected an OKX answer with data, was one without")
    return answer.data
