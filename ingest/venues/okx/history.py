"""OKX's REST history as events: candles, mark candles and open interest, which do not say whose they are."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Raw

from ingest.venues.bars import Bar, bar_of, distinct, marks_of, trades_of
from ingest.venues.okx import messages as raw
from ingest.venues.wire import Report, RowReader, timely
from liqheat.domain.events import Event, OpenInterest
from liqheat.domain.instruments import Instrument

CANDLES = "history-candles"
MARK_CANDLES = "history-mark-price-candles"
OPEN_INTEREST = "open-interest-history"
HISTORY_STREAMS = frozenset({CANDLES, MARK_CANDLES, OPEN_INTEREST})
"""Names of the streams that `map_history` reads."""

_ROWS: dict[str, RowReader[Any]] = {
    CANDLES: RowReader(raw.CandleRow, "an OKX candle"),
    MARK_CANDLES: RowReader(raw.MarkCandleRow, "an OKX mark candle"),
    OPEN_INTEREST: RowReader(raw.OpenInterestRow, "a point of OKX's open-interest history"),
}


def map_history(
    stream: str, instrument: Instrument, data: Raw, coins_per_contract: float, report: Report, received_at: int
) -> Iterator[Event]:
    """Yield the events of a history answer's `data`, oldest first; rows that cannot be read go to `report`.

    Raises:
        PoisonMessage: it is no list of rows.
    """

    def events_of(row: Any) -> Iterable[Event]:
        if isinstance(row, raw.OpenInterestRow):
            where = (instrument.venue, instrument.symbol, instrument.name, timely(row.ts, received_at))
            return (OpenInterest(*where, row.oi * coins_per_contract),)
        if isinstance(row, raw.MarkCandleRow):
            return marks_of(instrument, _bar(instrument, row, received_at))
        quantity = row.volume * coins_per_contract
        if not quantity > 0:
            return ()
        return trades_of(instrument, _bar(instrument, row, received_at), quantity, row.volume_quote / quantity)

    rows = distinct(_ROWS[stream].read(data, report, name=instrument.name)[::-1], lambda row: row.ts)
    yield from report.each(rows, lambda _: instrument.name, events_of)


def _bar(instrument: Instrument, row: raw.CandleRow | raw.MarkCandleRow, received_at: int) -> Bar:
    return bar_of(instrument, row.ts, (row.open, row.high, row.low, row.close), received_at)
