"""dYdX v4's indexer to events: the pure part, used live, in playback and by `liqheat normalise`.

Liquidations are public trades of the type LIQUIDATED: the taker is the account that was liquidated, so a SELL
is the death of a long. Marks are the oracle's prices, by which the chain judges margin.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isnan

from msgspec import Raw

from ingest.venues.bars import bar_of, distinct, marks_of, trades_of
from ingest.venues.base_mapper import BaseMapper
from ingest.venues.depth import DEPTH, depth_of, read_book
from ingest.venues.dydx import messages as raw
from ingest.venues.dydx.reference import contract, markets_of, tables_of
from ingest.venues.latest import Latest
from ingest.venues.values import amount_or_nan, check_named, coin_price_or_nan, part_of, rate_or_nan, traded
from ingest.venues.wire import RowReader, decoder_of, read, text_of, timely
from liqheat.domain.events import NAN, Event, Liquidation, Mark, OpenInterest, Trade, Turnover
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import TakerSide, Venue
from liqheat.domain.windows import HOUR_MS, window_start
from liqheat.platform.errors import PoisonMessage
from liqheat.platform.seen import TRADES_REMEMBERED, Recent

BOOK_LEVELS = 100
"""Levels per side that the indexer gives."""

_FRAME = decoder_of(raw.Frame)
_PARTS = decoder_of(list[Raw])
_TRADE_LIST = decoder_of(raw.Trades)
_MARKETS = decoder_of(raw.Markets)
_MARKET = decoder_of(raw.Market)
_ORACLE_PRICE = decoder_of(raw.OraclePrice)
_CANDLE_LIST = decoder_of(raw.Candles)
_SETTLEMENT_LIST = decoder_of(raw.Settlements)
_ORDER_BOOK = decoder_of(raw.OrderBook)
_LEVELS = RowReader(raw.Level, "a level of a dYdX order book")
_TRADES = RowReader(raw.Trade, "a dYdX trade")
_CANDLES = RowReader(raw.Candle, "a dYdX candle")
_SETTLEMENTS = RowReader(raw.Settlement, "a dYdX funding settlement")

_ANSWERS = frozenset({"connected", "subscribed", "unsubscribed", "channel_data", "channel_batch_data"})
_TAKER_SIDES = {"BUY": int(TakerSide.BUY), "SELL": int(TakerSide.SELL)}
_FORCED = frozenset({"LIQUIDATED", "DELEVERAGED"})
"""Trades that close a position for want of margin; of the second, another trader took it over, off the book."""


@dataclass(slots=True)
class _MarketState:
    """What is known of a market's mark: USD per coin, and a fraction."""

    mark_price: float = NAN
    funding_rate: float = NAN


class DydxMapper(BaseMapper):
    """Maps dYdX's indexer; remembers marks and recent trades. See `ingest.venues.base_mapper.BaseMapper`."""

    venue = Venue.DYDX

    def __init__(
        self, instruments: Sequence[Instrument] | None = None, contract_values: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(instruments, contract_values)
        self._seen = Recent(TRADES_REMEMBERED)
        self._markets: dict[str, _MarketState] = {}
        self._latest = Latest()
        self._readers: dict[str, Callable[[str, Raw, int], Iterator[Event]]] = {
            "v4_trades": self._trades,
            "v4_markets": self._market_updates,
            "trades": self._trades,
            "perpetualMarkets": self._reference,
            "candles": self._candles,
            "historicalFunding": self._settlements,
            DEPTH: self._depth,
        }

    def events_of(self, frame: bytes, received_at: int) -> Iterator[Event]:
        """Yield the events of a WebSocket frame or wrapped REST body."""
        message = read(_FRAME, frame, "a dYdX frame")
        if message.type == "error":
            self.take_refusal(message.message, f"dYdX refused: {message.message}")
            return
        if message.stream:
            name, _, kind = message.stream.partition("@")
            parts = [message.data]
        else:
            if message.type not in _ANSWERS:
                self.report.notice(message.type or "an answer of another kind")
            name, kind = text_of(message.id), message.channel or ""
            is_batch = message.type == "channel_batch_data"
            parts = read(_PARTS, message.contents, "a dYdX batch") if is_batch else [message.contents]
        if reader := self._readers.get(kind):
            for part in parts:
                try:
                    if len(bytes(part)):
                        yield from reader(name, part, received_at)
                except PoisonMessage as poison:
                    if len(parts) == 1:
                        raise
                    self.report.refuse(name, poison.reason, part)

    def _trades(self, name: str, data: Raw, received_at: int) -> Iterator[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return
        trades = _TRADES.read(read(_TRADE_LIST, data, "dYdX trades").trades, self.report, name=name)
        # Pages and first messages come newest first, updates in the order of matching; sorting keeps either.
        trades.sort(key=lambda trade: trade.created_at)
        yield from self.report.each(trades, lambda _: name, lambda row: self._trade(row, instrument, received_at))

    def _trade(self, trade: raw.Trade, instrument: Instrument, received_at: int) -> Iterable[Event]:
        side = _TAKER_SIDES.get(trade.side)
        if side is None:
            raise PoisonMessage(f"Expected the side BUY or SELL, was {trade.side!r}")
        at = timely(_ms(trade.created_at), received_at)
        coins = instrument.coins_per_unit
        price, quantity = traded(trade.price, trade.size, coins, coins)
        # The first message after subscribing is backlog.
        if trade.id and not self._seen.add((instrument.name, trade.id)):
            self.duplicates += 1
            return
        where = (Venue.DYDX, instrument.symbol, instrument.name, at)
        if trade.type != "DELEVERAGED":
            yield Trade(*where, price, quantity, side)
        if trade.liquidation or trade.type in _FORCED:
            yield Liquidation(*where, -side, price, quantity)

    def _market_updates(self, _: str, data: Raw, received_at: int) -> Iterator[Event]:
        message = read(_MARKETS, data, "dYdX markets")
        markets = [*(message.markets or {}).items(), *(message.trading or {}).items()]
        yield from self.report.each(markets, lambda row: row[0], lambda row: self._market(*row, received_at))
        prices = (message.oracle_prices or {}).items()
        yield from self.report.each(prices, lambda row: row[0], lambda row: self._oracle_price(*row, received_at))

    def _oracle_price(self, name: str, row: Raw, received_at: int) -> Iterable[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return ()
        oracle = read(_ORACLE_PRICE, row, "a dYdX oracle price")
        told = oracle.price if oracle.oracle_price is None else oracle.oracle_price
        price = coin_price_or_nan(told, instrument.coins_per_unit)
        at = timely(_ms(oracle.effective_at), received_at)
        if not price > 0:
            return ()
        self._latest.take(name, at)
        self._state_of(name).mark_price = price
        return (self._mark(instrument, at),)

    def _market(self, name: str, row: Raw, received_at: int) -> Iterator[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return
        market = read(_MARKET, row, "a dYdX market")
        coins = instrument.coins_per_unit

        def told() -> tuple[float, float]:
            return coin_price_or_nan(market.oracle_price, coins), rate_or_nan(market.next_funding_rate)

        price, rate = part_of(self.report, name, row, told, (NAN, NAN))
        open_interest = part_of(self.report, name, row, lambda: amount_or_nan(market.open_interest), NAN)
        turnover = part_of(self.report, name, row, lambda: amount_or_nan(market.volume_24h), NAN)
        state = self._state_of(name)
        if price > 0:
            state.mark_price = price
        if not isnan(rate):
            state.funding_rate = rate
        if (price > 0 or not isnan(rate)) and state.mark_price > 0:
            yield self._mark(instrument, received_at)
        where = (Venue.DYDX, instrument.symbol, instrument.name, received_at)
        if open_interest >= 0:
            yield OpenInterest(*where, open_interest * coins)
        if turnover >= 0:
            yield Turnover(*where, turnover)

    def _reference(self, name: str, data: Raw, received_at: int) -> Iterator[Event]:
        """Yield contracts and margin tiers, then the state of each market; a broken table is refused."""
        markets = markets_of(data, self.report)
        tables, refused = tables_of(markets, markets)

        def listed(row: tuple[str, raw.Market]) -> Iterator[Event]:
            instrument = self.instruments.get(row[0])
            if instrument is None:
                return
            yield contract(instrument, row[1], received_at)
            if row[0] in refused:
                raise PoisonMessage(f"Broken margin tiers of dYdX: {refused[row[0]]}")
            yield from tables[row[0]].to_events(Venue.DYDX, instrument.symbol, instrument.name, received_at)

        yield from self.report.each(markets.items(), lambda row: row[0], listed)
        yield from self._market_updates(name, data, received_at)

    def _candles(self, name: str, data: Raw, received_at: int) -> Iterator[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return
        candles = _CANDLES.read(read(_CANDLE_LIST, data, "dYdX candles").candles, self.report, name=name)
        candles = distinct(candles, lambda candle: candle.started_at)
        yield from self.report.each(
            reversed(candles), lambda _: name, lambda row: _candle(row, instrument, received_at)
        )

    def _settlements(self, name: str, data: Raw, received_at: int) -> Iterator[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return
        rows = _SETTLEMENTS.read(
            read(_SETTLEMENT_LIST, data, "dYdX settlements").historical_funding, self.report, name=name
        )
        yield from self.report.each(
            reversed(rows), lambda _: name, lambda row: _settlement(row, instrument, received_at)
        )

    def _depth(self, name: str, data: Raw, received_at: int) -> Iterator[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return
        book = read(_ORDER_BOOK, data, "a dYdX order book")

        def events_of(book: raw.OrderBook) -> Iterable[Event]:
            reading = read_book(book.bids, book.asks, _LEVELS, self.report, name, BOOK_LEVELS)
            depth = depth_of(instrument, received_at, [reading])
            return () if depth is None else (depth,)

        yield from self.report.each((book,), lambda _: name, events_of)

    def _state_of(self, name: str) -> _MarketState:
        return self._markets.setdefault(name, _MarketState())

    def _mark(self, instrument: Instrument, event_time: int) -> Mark:
        state = self._state_of(instrument.name)
        # Funding is paid at every full hour.
        return Mark(
            Venue.DYDX,
            instrument.symbol,
            instrument.name,
            event_time,
            state.mark_price,
            NAN,
            state.funding_rate,
            window_start(event_time, HOUR_MS) + HOUR_MS,
        )


def _settlement(row: raw.Settlement, instrument: Instrument, received_at: int) -> Iterator[Event]:
    check_named(instrument.name, row.ticker)
    price, at = row.price / instrument.coins_per_unit, timely(_ms(row.effective_at), received_at)
    yield Mark(Venue.DYDX, instrument.symbol, instrument.name, at, price, NAN, rate_or_nan(row.rate))


def _candle(candle: raw.Candle, instrument: Instrument, received_at: int) -> Iterator[Event]:
    """Yield a bar of trading as trades and, for the venue keeps no history of marks, as marks too."""
    check_named(instrument.name, candle.ticker)
    coins = instrument.coins_per_unit
    prices = (candle.open, candle.high, candle.low, candle.close)
    bar = bar_of(instrument, _ms(candle.started_at), prices, received_at)
    open_interest = amount_or_nan(candle.starting_open_interest)
    if open_interest >= 0:
        yield OpenInterest(Venue.DYDX, instrument.symbol, instrument.name, bar.start, open_interest * coins)
    first, second, third, last = marks_of(instrument, bar)
    yield from (first, second)
    if candle.base_token_volume > 0:
        quantity = candle.base_token_volume * coins
        yield from trades_of(instrument, bar, quantity, candle.usd_volume / quantity)
    yield from (third, last)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000)
