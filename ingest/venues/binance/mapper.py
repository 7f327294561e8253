"""From Binance USD-M's raw frames to events: the WebSocket streams and the REST bodies the feed polls.

Units and sides: sizes are quoted units, so `1000PEPEUSDT` counts thousands; open interest is one-sided; the
side of a forced order is the order's, so SELL is the death of a long; `m` means that the buyer was the maker,
so the taker sold. Frames of other instruments and dated futures yield nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ingest.venues.bars import bar_of, check_prices, distinct, marks_of
from ingest.venues.base_mapper import BaseMapper
from ingest.venues.binance import messages
from ingest.venues.binance.events import open_interest_of, trade_of, turnover_of
from ingest.venues.binance.forced_orders import ForcedOrders
from ingest.venues.binance.reference import listings_of, tables_of
from ingest.venues.depth import DEPTH, WireLevel, depth_of, read_book
from ingest.venues.trade_numbers import TradeNumbers
from ingest.venues.values import coin_price_or_nan, part_of, rate_or_nan, traded
from ingest.venues.wire import (
    Moment,
    Number,
    RowReader,
    decoder_of,
    name_in,
    number_or_nan,
    price_or_nan,
    read,
    text_of,
    time_or_zero,
    timely,
)
from liqheat.domain.events import Event, Mark
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import PoisonMessage, SequenceGap
from liqheat.platform.seen import Recent

_WHAT = "a frame that Binance documents"
_ENVELOPE = decoder_of(messages.Envelope)
_BARE = messages.Envelope()
_EVENT_START = b'{"e":'
_NAMED_BY_S = (messages.AggTrade, messages.MarkPriceUpdate)
_EVENT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(messages.StreamEvent, strict=False)
_EVENTS = decoder_of(list[messages.StreamEvent])
_ROWS = decoder_of(list[msgspec.Raw])
_EXCHANGE_INFO = decoder_of(messages.ExchangeInfo)
_LISTED = RowReader(messages.ContractInfo, "a contract that Binance lists")
_KLINES = RowReader(messages.Kline, "a Binance bar")
_MARK_KLINES = RowReader(messages.MarkKline, "a Binance mark bar")
_HISTORICAL_TRADES = RowReader(messages.HistoricalTrade, "a Binance trade")
_ORDER_BOOK = RowReader(messages.OrderBook, "a Binance order book")
_LEVELS = RowReader(WireLevel, "a level of a Binance order book")

# A REST body says by a field what it is; the first that is found decides. Bodies are one row or a list of them.
_BODIES: tuple[tuple[bytes, RowReader[Any]], ...] = tuple(
    (marker, RowReader(kind, what))
    for marker, kind, what in (
        (b'"brackets"', messages.LeverageBracket, "a Binance tier table"),
        (b'"sumOpenInterest"', messages.OpenInterestHistory, "Binance's past open interest"),
        (b'"openInterest"', messages.OpenInterestNow, "Binance's open interest"),
        (b'"lastFundingRate"', messages.PremiumIndex, "a Binance mark"),
        (b'"quoteVolume"', messages.Ticker, "a Binance ticker"),
        (b'"fundingTime"', messages.FundingRate, "a Binance funding settlement"),
    )
)


class BinanceMapper(BaseMapper):
    """Maps Binance USD-M frames; keeps the last aggregate id and the recent mark times of each instrument."""

    venue = Venue.BINANCE

    def __init__(
        self, instruments: Sequence[Instrument] | None = None, contract_values: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(instruments, contract_values)
        self._numbers, self._raw_numbers = TradeNumbers(self.on_late), TradeNumbers(self.on_late)
        self._aggregated: set[str] = set()  # whose trades come as aggregates, so that single ones are the same again
        self._marks = Recent()
        self._forced_orders = ForcedOrders()
        self._by_type: dict[type, Callable[[Any, Instrument, int], Iterable[Event]]] = {
            messages.AggTrade: self._agg_trade,
            messages.RawTrade: self._raw_trade,
            messages.MarkPriceUpdate: self._mark_price,
            messages.ForceOrder: self._force_order,
            messages.TickerUpdate: self._ticker_update,
            messages.LeverageBracket: self._leverage_bracket,
            messages.OpenInterestNow: self._open_interest,
            messages.OpenInterestHistory: self._open_interest_history,
            messages.PremiumIndex: self._premium_index,
            messages.Ticker: self._ticker,
            messages.FundingRate: self._funding_rate,
        }
        # Bodies whose rows do not say whose they are come wrapped as `<instrument>@<name>`.
        self._by_stream: dict[str, tuple[RowReader[Any], Callable[[Any, Instrument, int], Iterable[Event]]]] = {
            "klines": (_KLINES, self._kline),
            "markPriceKlines": (_MARK_KLINES, self._mark_kline),
            "aggTrades": (_HISTORICAL_TRADES, self._historical_trade),
            DEPTH: (_ORDER_BOOK, self._depth),
        }

    def events_of(self, frame: bytes, received_at: int) -> Iterator[Event]:
        """Yield the events of one frame."""
        # Bare lists and wrapped ones alike; an object may be an envelope, a stream event or a REST body.
        envelope = _BARE if _is_list(frame) else read(_ENVELOPE, frame, _WHAT)
        body = bytes(envelope.data) if envelope.stream else frame
        if not envelope.stream and self._is_control_answer(envelope, frame):
            return iter(())
        instrument_name, _, name = (envelope.stream or "").partition("@")
        if by_stream := self._by_stream.get(name):
            if instrument := self.instruments.get(instrument_name):
                reader, events_of = by_stream
                read_rows = reader.read(_as_list(body), self.report, name=instrument_name)
                if name.lower().endswith("klines"):
                    read_rows = distinct(read_rows, lambda bar: bar.open_time)
                elif name == "aggTrades":
                    read_rows.sort(key=lambda row: row.a)
                return self.report.each(
                    read_rows, lambda _: instrument_name, lambda row: events_of(row, instrument, received_at)
                )
            return iter(())
        is_event = body.startswith(_EVENT_START)
        if not is_event and b'"contractType"' in body and b'"symbols"' in body:
            return self._exchange_info(body, received_at)
        rows = self._stream_events(body) if is_event else self._messages(body)
        return self.report.each(rows, _name_of, lambda message: self._events_of(message, received_at))

    def _is_control_answer(self, envelope: messages.Envelope, frame: bytes) -> bool:
        """Whether a frame only acknowledges what we sent; an error answer is poison, for a subscription is lost."""
        if text_of(envelope.code) not in ("0", "") or bytes(envelope.error) not in (b"", b"null"):
            text = frame[:200].decode(errors="replace")
            self.take_refusal(text, f"Binance answered an error: {text}")
            return True
        return envelope.id is not None and not envelope.e

    def _messages(self, body: bytes) -> Sequence[Any]:
        """Decode stream events or REST rows; what cannot be read and what is only a notice is reported."""
        if b'"e"' in body:
            return self._stream_events(body)
        for marker, reader in _BODIES:
            if marker in body:
                return reader.read(_as_list(body), self.report, self.instruments.get)
        if body.strip() == b"[]":
            return ()
        raise PoisonMessage(f"Expected a stream event or a known REST body, was {body[:200].decode(errors='replace')}")

    def _stream_events(self, body: bytes) -> Sequence[Any]:
        try:
            return _EVENTS.decode(body) if _is_list(body) else (_EVENT.decode(body),)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._row_by_row(body)

    def _row_by_row(self, body: bytes) -> list[Any]:
        rows = read(_ROWS, _as_list(body), _WHAT)
        found = []
        for row in rows:
            try:
                kind = read(_ENVELOPE, row, _WHAT).e
                if kind and kind not in messages.EVENT_TYPES:
                    self.report.notice(kind, messages.SILENT_TYPES)
                else:
                    found.append(read(_EVENT, row, _WHAT))
            except PoisonMessage as poison:
                name = name_in(row)
                if not name or self.instruments.get(name):
                    self.report.refuse(name, poison.reason, row)
        return found

    def _events_of(self, message: Any, received_at: int) -> Iterable[Event]:
        instrument = self.instruments.get(_name_of(message))
        return () if instrument is None else self._by_type[type(message)](message, instrument, received_at)

    def _agg_trade(self, message: messages.AggTrade, instrument: Instrument, received_at: int) -> Iterable[Event]:
        timely(message.T, received_at)
        traded(message.p, message.q, instrument.coins_per_unit, instrument.coins_per_unit)
        holes = self._numbers.take(message.s, message.a, message.T)
        if holes is None:
            self.duplicates += 1
            return ()
        self._aggregated.add(message.s)
        self.report.gaps += [SequenceGap(f"{instrument.name}@aggTrade", hole.after, hole.before) for hole in holes]
        return (trade_of(instrument, message.T, message.p, message.q, message.m, message.a),)

    def _raw_trade(self, message: messages.RawTrade, instrument: Instrument, received_at: int) -> Iterable[Event]:
        if (message.X or "MARKET") != "MARKET":
            return ()
        timely(message.T, received_at)
        price, quantity = price_or_nan(message.p), number_or_nan(message.q)
        traded(price, quantity, instrument.coins_per_unit, instrument.coins_per_unit)
        if message.s in self._aggregated or self._raw_numbers.take(message.s, message.t, message.T) is None:
            self.duplicates += 1
            return ()
        return (trade_of(instrument, message.T, price, quantity, message.m, message.t),)

    def _mark_price(
        self, message: messages.MarkPriceUpdate, instrument: Instrument, received_at: int
    ) -> Iterable[Event]:
        mark = self._mark(instrument, timely(message.E, received_at), message.p, message.i, message.r, message.T)
        if not self._marks.add((message.s, message.E)):
            self.duplicates += 1
            return ()
        return (mark,)

    def _force_order(self, message: messages.ForceOrder, instrument: Instrument, received_at: int) -> Iterable[Event]:
        if message.o.z == 0:
            return ()
        timely(message.o.T, received_at)
        liquidation = self._forced_orders.filled(message.o, instrument)
        if liquidation is None:
            self.duplicates += 1
            return ()
        return (liquidation,)

    def _ticker_update(self, row: messages.TickerUpdate, instrument: Instrument, received_at: int) -> Iterable[Event]:
        return turnover_of(instrument, timely(row.E, received_at), row.q)

    def _exchange_info(self, body: bytes, received_at: int) -> Iterator[Event]:
        entries = _LISTED.read(read(_EXCHANGE_INFO, body, "Binance's exchangeInfo").symbols, self.report)
        listings = listings_of(entries, received_at)
        for refusal in listings.refused:
            self.report.refuse(*refusal)
        wanted = [contract for contract in listings.contracts if self.instruments.get(contract.instrument)]
        yield from self.report.each(wanted, lambda contract: contract.instrument, lambda contract: (contract,))

    def _leverage_bracket(
        self, message: messages.LeverageBracket, instrument: Instrument, received_at: int
    ) -> Iterable[Event]:
        tables, refused = tables_of([message])
        if refused:
            raise PoisonMessage(
                f"The margin tiers of {message.symbol} contradict themselves: {refused[message.symbol]}"
            )
        return tables[message.symbol].to_events(Venue.BINANCE, instrument.symbol, instrument.name, received_at)

    def _open_interest(
        self, message: messages.OpenInterestNow, instrument: Instrument, received_at: int
    ) -> Iterable[Event]:
        at = timely(time_or_zero(message.time) or received_at, received_at)
        return open_interest_of(instrument, at, message.open_interest)

    def _open_interest_history(
        self, message: messages.OpenInterestHistory, instrument: Instrument, received_at: int
    ) -> Iterable[Event]:
        return open_interest_of(instrument, timely(message.timestamp, received_at), message.sum_open_interest)

    def _premium_index(
        self, message: messages.PremiumIndex, instrument: Instrument, received_at: int
    ) -> Iterable[Event]:
        at = timely(time_or_zero(message.time) or received_at, received_at)
        rate = message.last_funding_rate
        return (self._mark(instrument, at, message.mark_price, message.index_price, rate, message.next_funding_time),)

    def _ticker(self, message: messages.Ticker, instrument: Instrument, received_at: int) -> Iterable[Event]:
        return turnover_of(instrument, timely(message.close_time, received_at), message.quote_volume)

    def _funding_rate(self, message: messages.FundingRate, instrument: Instrument, received_at: int) -> Iterable[Event]:
        mark_price = price_or_nan(message.mark_price)
        if not mark_price > 0:
            return ()
        at = timely(message.funding_time, received_at)
        return (self._mark(instrument, at, mark_price, None, message.funding_rate, None),)

    def _kline(self, bar: messages.Kline, instrument: Instrument, received_at: int) -> Iterator[Event]:
        """Turn a bar into one trade per taker side, of that side's volume at its average price, mid-bar."""
        # The bar of now closes in a minute.
        timely(bar.open_time, received_at)
        timely(bar.close_time, received_at + MINUTE_MS)
        check_prices(bar.open, bar.high, bar.low, bar.close)
        middle = (bar.open_time + bar.close_time) // 2
        sold = bar.volume - bar.taker_buy_volume
        for quantity, usd, is_sell in (
            (bar.taker_buy_volume, bar.taker_buy_quote_volume, False),
            (sold, bar.quote_volume - bar.taker_buy_quote_volume, True),
        ):
            if quantity <= 0:
                continue
            # Rounding of the sums must not put a trade outside the prices of its bar.
            price = min(max(usd / quantity, bar.low), bar.high)
            yield trade_of(instrument, middle, price, quantity, is_sell, -1)

    def _mark_kline(self, row: messages.MarkKline, instrument: Instrument, received_at: int) -> Iterator[Event]:
        prices = (row.open, row.high, row.low, row.close)
        return marks_of(instrument, bar_of(instrument, row.open_time, prices, received_at))

    def _historical_trade(
        self, row: messages.HistoricalTrade, instrument: Instrument, received_at: int
    ) -> Iterable[Event]:
        message = messages.AggTrade(instrument.name, row.p, row.q, row.T, row.m, row.a)
        return self._agg_trade(message, instrument, received_at)

    def _depth(self, book: messages.OrderBook, instrument: Instrument, received_at: int) -> Iterable[Event]:
        at = timely(time_or_zero(book.E) or received_at, received_at)
        depth = depth_of(instrument, at, [read_book(book.bids, book.asks, _LEVELS, self.report, instrument.name)])
        return () if depth is None else (depth,)

    def _mark(
        self,
        instrument: Instrument,
        event_time: int,
        mark_price: float,
        index_price: Number,
        funding_rate: Number,
        next_funding_time: Moment,
    ) -> Mark:
        name, coins = instrument.name, instrument.coins_per_unit
        return Mark(
            Venue.BINANCE,
            instrument.symbol,
            name,
            event_time,
            coin_price_or_nan(mark_price, coins),
            coin_price_or_nan(index_price, coins),
            rate_or_nan(funding_rate),
            part_of(self.report, name, b"", lambda: time_or_zero(next_funding_time), 0),
        )


def _as_list(body: bytes) -> bytes:
    return body if _is_list(body) else b"[%b]" % body


def _is_list(body: bytes) -> bool:
    first = body[:1]
    return first != b"{" and (first == b"[" or body.lstrip()[:1] == b"[")


def _name_of(message: Any) -> str:
    if isinstance(message, _NAMED_BY_S):
        return message.s
    if isinstance(message, messages.ForceOrder):
        return message.o.s
    name: str = getattr(message, "s", "") or getattr(message, "symbol", "")
    return name
