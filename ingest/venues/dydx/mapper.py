"""dYdX v4's indexer to events: the pure part, used live, in playback and by `liqheat normalise`.

Liquidations are public trades of the type LIQUIDATED: the taker is the account that was liquidated, so a SELL
is the death of a long. Marks are the oracle's prices, by which the chain judges margin.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import Raw

from ingest.venues.bars import Bar, marks_of, trades_of
from ingest.venues.depth import DEPTH, Book, depth_of
from ingest.venues.dydx import messages as raw
from ingest.venues.dydx.reference import contract, tables_of
from ingest.venues.recent import Recent
from ingest.venues.wire import InstrumentBook, decoder_of, number_or_nan, read
from liqheat.domain.events import NAN, Event, Liquidation, Mark, OpenInterest, Trade, Turnover
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import TakerSide, Venue
from liqheat.domain.windows import HOUR_MS, window_start
from liqheat.platform.errors import PoisonMessage

BOOK_LEVELS = 100
"""Levels per side that the indexer gives."""

_FRAME = decoder_of(raw.Frame)
_PARTS = decoder_of(list[Raw])
_TRADES = decoder_of(raw.Trades)
_MARKETS = decoder_of(raw.Markets)
_CANDLES = decoder_of(raw.Candles)
_SETTLEMENTS = decoder_of(raw.Settlements)
_ORDER_BOOK = decoder_of(raw.OrderBook)

_TAKER_SIDES = {"BUY": int(TakerSide.BUY), "SELL": int(TakerSide.SELL)}
_FORCED = frozenset({"LIQUIDATED", "DELEVERAGED"})
"""Trades that close a position for want of margin; of the second, another trader took it over, off the book."""


@dataclass(slots=True)
class _MarketState:
    """What is known of a market's mark."""

    mark_price: float = NAN
    funding_rate: float = NAN


class DydxMapper:
    """Maps dYdX's indexer; remembers marks and recent trades. See `ingest.venues.interface.Mapper`.

    Args:
        instruments: the only ones wanted; None for every perpetual that a frame names.
        contract_values: not needed, for the venue counts in coins.
    """

    venue = Venue.DYDX

    def __init__(
        self,
        instruments: Sequence[Instrument] | None = None,
        contract_values: Mapping[str, float] | None = None,  # noqa: ARG002 - the venue counts in coins
    ) -> None:
        self.duplicates = 0
        self.instruments = InstrumentBook(Venue.DYDX, instruments)
        self._trades = Recent()
        self._markets: dict[str, _MarketState] = {}
        self._readers: dict[str, Callable[[str, Raw, int], Iterator[Event]]] = {
            "v4_trades": self._map_trades,
            "v4_markets": self._map_markets,
            "trades": self._map_trades,
            "perpetualMarkets": self._map_reference,
            "candles": self._map_candles,
            "historicalFunding": self._map_settlements,
            DEPTH: self._map_depth,
        }

    def map(self, frame: bytes, received_at: int) -> Iterator[Event]:
        """Yield the events of a WebSocket frame or wrapped REST body; see `ingest.venues.interface.Mapper.map`."""
        message = read(_FRAME, frame, "a dYdX frame")
        if message.type == "error":
            raise PoisonMessage(f"dYdX refused: {message.message}")
        if message.stream:
            name, _, kind = message.stream.partition("@")
            parts = [message.data]
        else:
            name, kind = message.id, message.channel
            is_batch = message.type == "channel_batch_data"
            parts = read(_PARTS, message.contents, "dYdX batch") if is_batch else [message.contents]
        reader = self._readers.get(kind)
        for part in parts if reader else ():
            if len(bytes(part)):
                yield from reader(name, part, received_at)  # type: ignore[misc]  # there are no parts without it

    def _map_trades(self, name: str, data: Raw, _: int) -> Iterator[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return
        trades = read(_TRADES, data, "dYdX trades").trades
        # Pages and first messages come newest first, updates in the order of matching; sorting keeps either.
        for trade in sorted(trades, key=lambda each: each.created_at):
            # The first message after subscribing is backlog.
            if trade.id and not self._trades.add(trade.id):
                self.duplicates += 1
                continue
            yield from self._map_trade(instrument, trade)

    def _map_trade(self, instrument: Instrument, trade: raw.Trade) -> Iterator[Event]:
        side = _TAKER_SIDES.get(trade.side)
        if side is None:
            raise PoisonMessage(f"Expected the side BUY or SELL, was {trade.side!r}")
        where = (Venue.DYDX, instrument.symbol, instrument.name, _ms(trade.created_at))
        coins = instrument.coins_per_unit
        price, quantity = trade.price / coins, trade.size * coins
        if trade.type != "DELEVERAGED":
            yield Trade(*where, price, quantity, side)
        if trade.liquidation or trade.type in _FORCED:
            yield Liquidation(*where, -side, price, quantity)

    def _map_markets(self, _: str, data: Raw, received_at: int) -> Iterator[Event]:
        message = read(_MARKETS, data, "dYdX markets")
        for name, market in (*message.markets.items(), *message.trading.items()):
            yield from self._map_market(name, market, received_at)
        for name, oracle in message.oracle_prices.items():
            instrument = self.instruments.get(name)
            price = oracle.price if oracle.oracle_price is None else oracle.oracle_price
            if instrument is not None and price is not None:
                self._state_of(name).mark_price = price
                yield self._mark(instrument, _ms(oracle.effective_at))

    def _map_market(self, name: str, market: raw.Market, received_at: int) -> Iterator[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return
        state = self._state_of(name)
        price, rate = number_or_nan(market.oracle_price), number_or_nan(market.next_funding_rate)
        if price > 0:
            state.mark_price = price
        if rate == rate:
            state.funding_rate = rate
        if (price > 0 or rate == rate) and state.mark_price > 0:
            yield self._mark(instrument, received_at)
        where = (Venue.DYDX, instrument.symbol, instrument.name, received_at)
        if market.open_interest is not None:
            yield OpenInterest(*where, market.open_interest * instrument.coins_per_unit)
        if market.volume_24h is not None:
            yield Turnover(*where, market.volume_24h)

    def _map_reference(self, name: str, data: Raw, received_at: int) -> Iterator[Event]:
        """Yield contracts and margin tiers, then the state of each market; a broken table is refused at the end."""
        markets = read(_MARKETS, data, "dYdX markets").markets
        tables, refused = tables_of(markets, markets)
        for market_name, market in markets.items():
            instrument = self.instruments.get(market_name)
            if instrument is None:
                continue
            yield contract(instrument, market, received_at)
            if tiers := tables.get(market_name):
                yield from tiers.to_events(Venue.DYDX, instrument.symbol, instrument.name, received_at)
        yield from self._map_markets(name, data, received_at)
        broken = [f"{name}: {reason}" for name, reason in refused.items() if self.instruments.get(name)]
        if broken:
            raise PoisonMessage(f"Broken margin tiers of dYdX: {'; '.join(broken)}")

    def _map_candles(self, name: str, data: Raw, _: int) -> Iterator[Event]:
        """Yield bars of trading as trades and, for the venue keeps no history of marks, as marks too."""
        instrument = self.instruments.get(name)
        if instrument is None:
            return
        coins = instrument.coins_per_unit
        for candle in reversed(read(_CANDLES, data, "dYdX candles").candles):
            start = _ms(candle.started_at)
            bar = Bar(start, candle.open / coins, candle.high / coins, candle.low / coins, candle.close / coins)
            if candle.starting_open_interest is not None:
                quantity = candle.starting_open_interest * coins
                yield OpenInterest(Venue.DYDX, instrument.symbol, instrument.name, start, quantity)
            first, second, third, last = marks_of(instrument, bar)
            yield from (first, second)
            if candle.base_token_volume > 0:
                quantity = candle.base_token_volume * coins
                yield from trades_of(instrument, bar, quantity, candle.usd_volume / quantity)
            yield from (third, last)

    def _map_settlements(self, name: str, data: Raw, _: int) -> Iterator[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return
        for settlement in reversed(read(_SETTLEMENTS, data, "dYdX settlements").historical_funding):
            price = settlement.price / instrument.coins_per_unit
            at = _ms(settlement.effective_at)
            yield Mark(Venue.DYDX, instrument.symbol, instrument.name, at, price, NAN, settlement.rate)

    def _map_depth(self, name: str, data: Raw, received_at: int) -> Iterator[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return
        book = read(_ORDER_BOOK, data, "a dYdX order book")
        bids, asks = ([(level.price, level.size) for level in side] for side in (book.bids, book.asks))
        if depth := depth_of(instrument, received_at, [Book(bids, asks, BOOK_LEVELS)]):
            yield depth

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
            state.mark_price / instrument.coins_per_unit,
            NAN,
            state.funding_rate,
            window_start(event_time, HOUR_MS) + HOUR_MS,
        )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000)
