"""OKX's REST history as events: candles, mark candles and open interest, which do not say whose they are."""

from collections.abc import Iterator

from msgspec import Raw

from ingest.venues.bars import Bar, marks_of, trades_of
from ingest.venues.okx import messages as raw
from ingest.venues.wire import decoder_of, read
from liqheat.domain.events import Event, OpenInterest
from liqheat.domain.instruments import Instrument

CANDLES = "history-candles"
MARK_CANDLES = "history-mark-price-candles"
OPEN_INTEREST = "open-interest-history"
HISTORY_STREAMS = frozenset({CANDLES, MARK_CANDLES, OPEN_INTEREST})
"""Names of the streams that `map_history` reads."""

_CANDLES = decoder_of(raw.CandleAnswer)
_MARK_CANDLES = decoder_of(raw.MarkCandleAnswer)
_OPEN_INTEREST = decoder_of(raw.OpenInterestAnswer)


def map_history(stream: str, instrument: Instrument, answer: Raw, coins_a_contract: float) -> Iterator[Event]:
    """Yield the events of a history answer, oldest first.

    Raises:
        PoisonMessage: the answer is not of the shape that OKX documents for `stream`.
    """
    if stream == OPEN_INTEREST:
        for point in reversed(read(_OPEN_INTEREST, answer, "OKX open-interest history").data):
            quantity = point.oi * coins_a_contract
            yield OpenInterest(instrument.venue, instrument.symbol, instrument.name, point.ts, quantity)
    elif stream == MARK_CANDLES:
        for mark in reversed(read(_MARK_CANDLES, answer, "OKX mark candles").data):
            yield from marks_of(instrument, _bar(instrument, mark))
    else:
        for candle in reversed(read(_CANDLES, answer, "OKX candles").data):
            quantity = candle.volume * coins_a_contract
            if quantity > 0:
                yield from trades_of(instrument, _bar(instrument, candle), quantity, candle.volume_quote / quantity)


def _bar(instrument: Instrument, row: raw.CandleRow | raw.MarkCandleRow) -> Bar:
    coins = instrument.coins_per_unit
    return Bar(row.ts, row.open / coins, row.high / coins, row.low / coins, row.close / coins)
