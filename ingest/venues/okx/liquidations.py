"""OKX's executed liquidations by REST: the whole of what its stream gives a sample of.

The stream carries about one liquidation per second and contract; `/public/liquidation-orders` lists all of the last
days (27 in one second were seen there). It is read every few seconds, back to what was read before, page by page.
What the stream gave already is dropped by the mappers of the feed, which share what they have seen. A row that cannot
be read, or is of a time that has not come, is left out before anything is noted, and counted once.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
import structlog

from ingest.venues.interface import Context, Request, wrap
from ingest.venues.okx import messages as raw
from ingest.venues.okx.names import family_of, type_of_name
from ingest.venues.paged import lowest_of, times_in
from ingest.venues.wire import Refusal, Report, RowReader, decoder_of, read, timely
from liqheat.domain.events import Gap
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage, TransientError
from liqheat.platform.seen import Recent

log = structlog.get_logger(__name__)

ENDPOINT = "public/liquidation-orders"
STREAM = "liquidation-orders"
_PAGE = 100
_MOST_PAGES = 10
"""Pages in one reading; more than 1,000 liquidations of a market in a few seconds leave a hole, which is recorded."""

_FRAME = decoder_of(raw.Frame)
_ORDERS = RowReader(raw.LiquidationOrders, "OKX liquidations")
_DETAILS = RowReader(raw.LiquidationDetail, "an OKX liquidation")
_ENCODER = msgspec.json.Encoder()


class _Read(NamedTuple):
    """How far an instrument was read: to which time (ms), and the liquidations of that millisecond and later."""

    until: int
    newest: frozenset[bytes]


class LiquidationReader:
    """Reads the liquidations of every instrument in use; runs as long as the service.

    Args:
        context: what the service lends.
        ask: makes a request for the endpoint from its parameters.
        interval: seconds between readings of one instrument, if the budget allows it.
    """

    def __init__(self, context: Context, ask: Callable[[Mapping[str, str]], Request], interval: float) -> None:
        self._context = context
        self._ask = ask
        self._interval = interval
        self._read: dict[str, _Read] = {}
        self._refused = Recent()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            started = self._context.clock.monotonic()
            await asyncio.gather(*(self.read(instrument) for instrument in self._context.instruments))
            spent = self._context.clock.monotonic() - started
            await self._context.clock.sleep(max(self._interval - spent, 0.05))

    async def read(self, instrument: Instrument) -> None:
        """Read one instrument back to what was read before; the next reading makes up for one that fails."""
        read_before = self._read.setdefault(instrument.name, _Read(self._context.clock.now_ms(), frozenset()))
        since = read_before.until
        try:
            found, reached = await self._pages(instrument, since)
        except (TransientError, PoisonMessage) as error:
            log.warning("Liquidations cannot be read", instrument=instrument.name, error=str(error))
            return
        fresh = [(time, detail) for time, detail in found if bytes(detail) not in read_before.newest]
        if not fresh:
            return
        if reached is not None:
            await self._record_hole(instrument, since, reached)
        order = {"instId": instrument.name, "details": [detail for _, detail in fresh]}
        body = _ENCODER.encode({"code": "0", "msg": "", "data": [order]})
        await self._context.handle(wrap(f"{instrument.name}@{STREAM}", body), STREAM)
        # One that OKX's clock puts a little ahead of ours must not hide those until then.
        until = max(since, min(found[-1][0], self._context.clock.now_ms()))
        self._read[instrument.name] = _Read(until, frozenset(bytes(detail) for time, detail in found if time >= until))

    async def _pages(self, instrument: Instrument, since: int) -> tuple[list[tuple[int, msgspec.Raw]], int | None]:
        """Return what happened since `since` (ms) by time, and back to when it was read (None: to `since`)."""
        name = instrument.name
        query = {"instType": type_of_name(name), "instFamily": family_of(name), "state": "filled", "limit": str(_PAGE)}
        found: dict[bytes, int] = {}
        oldest = self._context.clock.now_ms() + 1
        for _ in range(_MOST_PAGES):
            body = await self._context.rest.fetch(self._ask(query), attempts=1)
            page, rows = self._details_of(body, instrument)
            found |= {bytes(detail): time for detail, time in page if time >= since}
            reached = lowest_of(times_in(time for _, time in page))
            if rows < _PAGE or (reached is not None and reached < since):
                return _sorted(found), None
            if reached is None or reached == oldest:
                break
            oldest = reached
            # A page may end within a millisecond: it is read again, and what is known is not counted twice.
            query["after"] = str(oldest + 1)
        return _sorted(found), oldest

    def _details_of(self, body: bytes, instrument: Instrument) -> tuple[list[tuple[msgspec.Raw, int]], int]:
        """Return the liquidations of an answer that can be true, with their times (ms), and how many rows it has."""
        now = self._context.clock.now_ms()
        report = Report()
        details: list[tuple[msgspec.Raw, int]] = []
        rows = 0
        for order in _ORDERS.read(read(_FRAME, body, "an OKX answer").data, report):
            rows += len(order.details)
            for detail in order.details:
                try:
                    details += [
                        (detail, timely(row.ts, now)) for row in _DETAILS.each([detail], report, instrument.name)
                    ]
                except PoisonMessage as poison:
                    report.refuse(instrument.name, poison.reason, detail)
        self._context.refuse([refusal for refusal in report.refused if self._is_new(refusal)], STREAM)
        return details, rows

    def _is_new(self, refusal: Refusal) -> bool:
        """Whether a row was not refused by an earlier reading; one stays in OKX's list for days."""
        return self._refused.add((refusal.instrument, refusal.row))

    async def _record_hole(self, instrument: Instrument, start: int, end: int) -> None:
        reason = f"more than {_MOST_PAGES * _PAGE} liquidations between two readings"
        log.warning("A hole in liquidations", instrument=instrument.name, start=start, end=end, reason=reason)
        await self._context.publish([Gap(Venue.OKX, instrument.symbol, instrument.name, start, end, STREAM, 0, reason)])


def _sorted(found: Mapping[bytes, int]) -> list[tuple[int, msgspec.Raw]]:
    return sorted(((time, msgspec.Raw(detail)) for detail, time in found.items()), key=lambda pair: pair[0])
