"""Bybit's history by bars: a REST answer of `kline` or `mark-price-kline` as trades or marks. Pure."""

from collections.abc import Iterable, Iterator

from msgspec import Raw

from ingest.venues.bars import Bar, bar_of, distinct, marks_of, trades_of
from ingest.venues.bybit import messages as raw
from ingest.venues.values import check_named
from ingest.venues.wire import Report, RowReader, decoder_of, read
from liqheat.domain.events import Event, Mark
from liqheat.domain.instruments import Instrument

HISTORY_STREAMS = ("kline", "mark-price-kline")

_BARS = decoder_of(raw.Bars)
_BAR_ROWS = RowReader(raw.BarRow, "a Bybit bar")


def map_bars(stream: str, instrument: Instrument, result: Raw, report: Report, received_at: int) -> Iterator[Event]:
    """Yield the events of an answer's bars, oldest first; one that cannot be read goes to `report`.

    Raises:
        PoisonMessage: it holds no bars, or those of another instrument.
    """
    bars = read(_BARS, result, "Bybit bars")
    check_named(instrument.name, bars.symbol)
    rows = _BAR_ROWS.read(bars.rows, report, name=instrument.name)
    events_of = _marks if stream == "mark-price-kline" else _trades
    yield from report.each(
        distinct(rows[::-1], lambda row: row.start),
        lambda _: instrument.name,
        lambda row: events_of(instrument, row, received_at),
    )


def _bar(instrument: Instrument, row: raw.BarRow, received_at: int) -> Bar:
    return bar_of(instrument, row.start, (row.open, row.high, row.low, row.close), received_at)


def _marks(instrument: Instrument, row: raw.BarRow, received_at: int) -> Iterator[Mark]:
    return marks_of(instrument, _bar(instrument, row, received_at))


def _trades(instrument: Instrument, row: raw.BarRow, received_at: int) -> Iterable[Event]:
    bar, quantity = _bar(instrument, row, received_at), row.volume * instrument.coins_per_unit
    return trades_of(instrument, bar, quantity, row.turnover / quantity) if quantity > 0 else ()
