"""From Binance USD-M's raw frames to events: the WebSocket streams and the REST bodies the feed polls.

Units and sides: sizes are quoted units, so `1000PEPEUSDT` counts thousands; open interest is one-sided; the
side of a forced order is the order's, so SELL is the death of a long; `m` means that the buyer was the maker,
so the taker sold. Frames of other instruments and dated futures yield nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import GenericAlias
from typing import Any

import msgspec

from ingest.venues.binance import messages
from ingest.venues.binance.reference import listings_of, tables_of
from ingest.venues.recent import Recent
from liqheat.domain.events import NAN, Event, Liquidation, Mark, OpenInterest, Trade, Turnover
from liqheat.domain.instruments import Instrument, parse_instrument
from liqheat.domain.market import Side, TakerSide, Venue
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import PoisonMessage, SequenceGap

# Where in its minute each of a mark bar's four prices is put: the open first, the close last.
_MARK_BAR_OFFSETS_MS = (0, MINUTE_MS // 3, 2 * MINUTE_MS // 3, MINUTE_MS - 1)

_ENVELOPE = msgspec.json.Decoder(messages.Envelope)
_BARE = messages.Envelope()
_EVENT = msgspec.json.Decoder(messages.StreamEvent, strict=False)
_EVENTS = msgspec.json.Decoder(list[messages.StreamEvent], strict=False)
_KLINES = msgspec.json.Decoder(list[messages.Kline], strict=False)
_HISTORICAL_TRADES = msgspec.json.Decoder(list[messages.HistoricalTrade], strict=False)

# A REST body says by a field what it is; the first that is found decides. Bodies are one row or a list of them.
_BODIES: tuple[tuple[bytes, Any], ...] = (
    (b'"contractType"', messages.ExchangeInfo),
    (b'"brackets"', messages.LeverageBracket),
    (b'"sumOpenInterest"', messages.OpenInterestHistory),
    (b'"openInterest"', messages.OpenInterestNow),
    (b'"lastFundingRate"', messages.PremiumIndex),
    (b'"quoteVolume"', messages.Ticker),
    (b'"fundingTime"', messages.FundingRate),
)
_ROW_DECODERS = {row: msgspec.json.Decoder(row, strict=False) for _, row in _BODIES}
_LIST_DECODERS = {row: msgspec.json.Decoder(GenericAlias(list, row), strict=False) for _, row in _BODIES}


class BinanceMapper:
    """Maps Binance USD-M frames; keeps the last aggregate id and mark time of each instrument."""

    venue = Venue.BINANCE

    def __init__(
        self,
        instruments: Sequence[Instrument] | None = None,
        contract_values: Mapping[str, float] | None = None,  # noqa: ARG002 - Binance does not count in contracts
    ) -> None:
        """Map frames of `instruments`, or (None) of every linear perpetual that a frame names."""
        self.duplicates = 0
        self._takes_all = instruments is None
        self._instruments: dict[str, Instrument | None] = {item.name: item for item in instruments or ()}
        self._last_trade: dict[str, tuple[int, int]] = {}  # instrument -> aggregate id, trade time
        self._last_mark: dict[str, int] = {}
        self._liquidations = Recent()
        self._by_type: dict[type, Callable[[Any, int], Iterator[Event]]] = {
            messages.AggTrade: self._agg_trade,
            messages.RawTrade: self._raw_trade,
            messages.MarkPriceUpdate: self._mark_price,
            messages.ForceOrder: self._force_order,
            messages.TickerUpdate: self._ticker_update,
            messages.ExchangeInfo: self._exchange_info,
            messages.LeverageBracket: self._leverage_bracket,
            messages.OpenInterestNow: self._open_interest,
            messages.OpenInterestHistory: self._open_interest_history,
            messages.PremiumIndex: self._premium_index,
            messages.Ticker: self._ticker,
            messages.FundingRate: self._funding_rate,
        }
        # Bodies whose rows do not say whose they are come wrapped as `<instrument>@<name>`.
        self._by_stream: dict[str, Callable[[Instrument, bytes], Iterator[Event]]] = {
            "klines": self._klines,
            "markPriceKlines": self._mark_klines,
            "aggTrades": self._historical_trades,
        }

    def map(self, frame: bytes, received_at: int) -> Iterator[Event]:
        """Yield the events of one frame; see `ingest.venues.interface.Mapper`."""
        try:
            # Bare lists and wrapped ones alike; an object may be an envelope, a stream event or a REST body.
            envelope = _BARE if _is_list(frame) else _ENVELOPE.decode(frame)
            body = bytes(envelope.data) if envelope.stream else frame
            if not envelope.stream and _is_control_answer(envelope, frame):
                return
            instrument_name, _, name = envelope.stream.partition("@")
            if reader := self._by_stream.get(name):
                if instrument := self._instrument(instrument_name):
                    yield from reader(instrument, body)
                return
            for message in _read(body):
                yield from self._by_type[type(message)](message, received_at)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PoisonMessage(f"Not a frame that Binance documents: {error}") from error

    def _instrument(self, name: str) -> Instrument | None:
        try:
            return self._instruments[name]
        except KeyError:
            if not self._takes_all:
                return None
        self._instruments[name] = instrument = parse_instrument(Venue.BINANCE, name)
        return instrument

    def _agg_trade(self, message: messages.AggTrade, _: int) -> Iterator[Event]:
        instrument = self._instrument(message.s)
        if instrument is None:
            return
        number = message.a
        last, last_time = self._last_trade.get(message.s, (-1, 0))
        if 0 <= number <= last and last_time >= message.T:
            # A smaller number at a later time means that the venue counts anew, so only older trades are dropped.
            self.duplicates += 1
            return
        self._last_trade[message.s] = (number, message.T)
        coins = instrument.coins_per_unit
        yield Trade(
            Venue.BINANCE,
            instrument.symbol,
            instrument.name,
            message.T,
            message.p / coins,
            message.q * coins,
            -1 if message.m else 1,
            number,
        )
        if 0 <= last < number - 1:
            raise SequenceGap(f"{instrument.name}@aggTrade", last, number)

    def _raw_trade(self, message: messages.RawTrade, _: int) -> Iterator[Event]:
        instrument = self._instrument(message.s)
        if instrument is not None and message.X == "MARKET":
            yield _trade(instrument, message.T, message.p, message.q, message.m, message.t)

    def _mark_price(self, message: messages.MarkPriceUpdate, _: int) -> Iterator[Event]:
        instrument = self._instrument(message.s)
        if instrument is None:
            return
        if self._last_mark.get(message.s, -1) >= message.E:
            self.duplicates += 1
            return
        self._last_mark[message.s] = message.E
        yield _mark(instrument, message.E, message.p, message.i, _optional(message.r), message.T)

    def _force_order(self, message: messages.ForceOrder, _: int) -> Iterator[Event]:
        order = message.o
        instrument = self._instrument(order.s)
        if instrument is None or order.z == 0:
            return
        if order.S not in ("BUY", "SELL"):
            raise PoisonMessage(f"Expected the order side BUY or SELL, was {order.S!r}")
        if not self._liquidations.add((order.s, order.T, order.S, order.z, order.p)):
            self.duplicates += 1
            return
        coins = instrument.coins_per_unit
        yield Liquidation(
            Venue.BINANCE,
            instrument.symbol,
            instrument.name,
            order.T,
            side=Side.LONG if order.S == "SELL" else Side.SHORT,
            price=(order.ap or order.p) / coins,
            quantity=order.z * coins,
            bankruptcy_price=order.p / coins,
        )

    def _ticker_update(self, message: messages.TickerUpdate, _: int) -> Iterator[Event]:
        if instrument := self._instrument(message.s):
            yield Turnover(Venue.BINANCE, instrument.symbol, instrument.name, message.E, message.q)

    def _exchange_info(self, message: messages.ExchangeInfo, received_at: int) -> Iterator[Event]:
        for contract in listings_of(message, received_at).contracts:
            if self._instrument(contract.instrument):
                yield contract

    def _leverage_bracket(self, message: messages.LeverageBracket, received_at: int) -> Iterator[Event]:
        instrument = self._instrument(message.symbol)
        if instrument is None:
            return
        tables, refused = tables_of([message])
        if refused:
            raise PoisonMessage(
                f"The margin tiers of {message.symbol} contradict themselves: {refused[message.symbol]}"
            )
        yield from tables[message.symbol].to_events(Venue.BINANCE, instrument.symbol, instrument.name, received_at)

    def _open_interest(self, message: messages.OpenInterestNow, _: int) -> Iterator[Event]:
        if instrument := self._instrument(message.symbol):
            yield _open_interest(instrument, message.time, message.open_interest)

    def _open_interest_history(self, message: messages.OpenInterestHistory, _: int) -> Iterator[Event]:
        if instrument := self._instrument(message.symbol):
            yield _open_interest(instrument, message.timestamp, message.sum_open_interest)

    def _premium_index(self, message: messages.PremiumIndex, _: int) -> Iterator[Event]:
        if instrument := self._instrument(message.symbol):
            funding_rate = _optional(message.last_funding_rate)
            yield _mark(
                instrument,
                message.time,
                message.mark_price,
                message.index_price,
                funding_rate,
                message.next_funding_time,
            )

    def _ticker(self, message: messages.Ticker, _: int) -> Iterator[Event]:
        if instrument := self._instrument(message.symbol):
            yield Turnover(Venue.BINANCE, instrument.symbol, instrument.name, message.close_time, message.quote_volume)

    def _funding_rate(self, message: messages.FundingRate, _: int) -> Iterator[Event]:
        instrument = self._instrument(message.symbol)
        mark_price = _optional(message.mark_price)
        if instrument is not None and mark_price > 0:
            yield _mark(instrument, message.funding_time, mark_price, NAN, message.funding_rate, 0)

    def _klines(self, instrument: Instrument, body: bytes) -> Iterator[Event]:
        """Turn a bar into one trade a taker side, of that side's volume at its average price, mid-bar."""
        for bar in _KLINES.decode(body):
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
                yield _trade(instrument, middle, price, quantity, is_sell, -1)

    def _mark_klines(self, instrument: Instrument, body: bytes) -> Iterator[Event]:
        """Turn a bar into four marks on the shorter way through its prices: a rising bar sees its low first."""
        for bar in _KLINES.decode(body):
            turns = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
            prices = (bar.open, *turns, bar.close)
            for offset, price in zip(_MARK_BAR_OFFSETS_MS, prices, strict=True):
                yield _mark(instrument, bar.open_time + offset, price, NAN, NAN, 0)

    def _historical_trades(self, instrument: Instrument, body: bytes) -> Iterator[Event]:
        for row in _HISTORICAL_TRADES.decode(body):
            message = messages.AggTrade(instrument.name, row.p, row.q, row.T, row.m, row.a)
            yield from self._agg_trade(message, row.T)


def _is_list(body: bytes) -> bool:
    return body[:1] == b"[" or body.lstrip()[:1] == b"["


def _is_control_answer(envelope: messages.Envelope, frame: bytes) -> bool:
    """Whether a frame only acknowledges what we sent; an error answer is poison, for a subscription is lost."""
    if envelope.code or envelope.error:
        raise PoisonMessage(f"Binance answered an error: {frame[:200].decode(errors='replace')}")
    return envelope.id is not None and not envelope.e


def _read(body: bytes) -> list[Any]:
    """Decode stream events or REST rows; nothing for documented events that say nothing about positions."""
    if b'"e"' in body:
        try:
            return _EVENTS.decode(body) if _is_list(body) else [_EVENT.decode(body)]
        except msgspec.ValidationError:
            if not _is_list(body) and _ENVELOPE.decode(body).e in messages.IGNORED_EVENTS:
                return []
            raise
    for marker, row in _BODIES:
        if marker in body:
            return _LIST_DECODERS[row].decode(body) if _is_list(body) else [_ROW_DECODERS[row].decode(body)]
    if body.strip() == b"[]":
        return []
    raise PoisonMessage(f"Expected a stream event or a known REST body, was {body[:200].decode(errors='replace')}")


def _optional(number: float | str) -> float:
    """Read a number that Binance leaves empty where there is none."""
    if isinstance(number, float):
        return number
    try:
        return float(number) if number else NAN
    except ValueError as error:
        raise PoisonMessage(f"Expected a number, was {number!r}") from error


def _trade(
    instrument: Instrument, event_time: int, price: float, quantity: float, is_sell: bool, trade_id: int
) -> Trade:
    return Trade(
        Venue.BINANCE,
        instrument.symbol,
        instrument.name,
        event_time,
        price=price / instrument.coins_per_unit,
        quantity=quantity * instrument.coins_per_unit,
        taker_side=TakerSide.SELL if is_sell else TakerSide.BUY,
        trade_id=trade_id,
    )


def _mark(
    instrument: Instrument,
    event_time: int,
    mark_price: float,
    index_price: float,
    funding_rate: float,
    next_funding_time: int,
) -> Mark:
    coins = instrument.coins_per_unit
    return Mark(
        Venue.BINANCE,
        instrument.symbol,
        instrument.name,
        event_time,
        mark_price / coins,
        index_price / coins,
        funding_rate,
        next_funding_time,
    )


def _open_interest(instrument: Instrument, event_time: int, units: float) -> OpenInterest:
    quantity = units * instrument.coins_per_unit
    return OpenInterest(Venue.BINANCE, instrument.symbol, instrument.name, event_time, quantity)
