"""Bybit v5 linear frames to events: the pure part, used live, in playback and by `liqheat normalise`.

Traps held here: tickers come as a snapshot and then deltas, open interest counts both sides unless the
field is the newer single-sided one, and a liquidation's `S` is the side of the position that died.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Raw

from ingest.venues.bars import Bar, marks_of, trades_of
from ingest.venues.bybit import messages as raw
from ingest.venues.bybit.reference import contract, tables_of
from ingest.venues.recent import Recent
from ingest.venues.wire import InstrumentBook, decoder_of, number_or_nan, read
from liqheat.domain.events import NAN, Event, Liquidation, Mark, OpenInterest, Trade, Turnover
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Side, TakerSide, Venue
from liqheat.platform.errors import PoisonMessage

_FRAME = decoder_of(raw.Frame)
_TRADES = decoder_of(list[raw.Trade])
_LIQUIDATIONS = decoder_of(list[raw.Liquidation])
_TICKER = decoder_of(raw.Ticker)
_RESULT = decoder_of(raw.Result)
_MARKER = decoder_of(raw.Marker)
_INSTRUMENT = decoder_of(raw.InstrumentInfo)
_RISK_LIMIT = decoder_of(raw.RiskLimit)
_OPEN_INTEREST = decoder_of(raw.OpenInterestPoint)
_BARS = decoder_of(raw.Bars)
_RECENT_TRADE = decoder_of(raw.RecentTrade)

_TAKER_SIDES = {"Buy": int(TakerSide.BUY), "Sell": int(TakerSide.SELL)}
_POSITION_SIDES = {"Buy": int(Side.LONG), "Sell": int(Side.SHORT)}


@dataclass(slots=True)
class _TickerState:
    """What a symbol's ticker says by now, in the venue's units."""

    mark_price: float = NAN
    index_price: float = NAN
    funding_rate: float = NAN
    next_funding_time: int = 0


class BybitMapper:
    """Maps one Bybit connection; remembers each ticker's snapshot. See `ingest.venues.interface.Mapper`."""

    venue = Venue.BYBIT

    def __init__(
        self,
        instruments: Sequence[Instrument] | None = None,
        contract_values: Mapping[str, float] | None = None,  # noqa: ARG002 - the venue counts in coins
    ) -> None:
        """Map frames of `instruments`, or (None) of every linear perpetual that a frame names."""
        self.duplicates = 0
        self.instruments = InstrumentBook(Venue.BYBIT, instruments)
        self._trades = Recent()
        self._liquidations = Recent()
        self._tickers: dict[str, _TickerState] = {}

    def map(self, frame: bytes, received_at: int) -> Iterator[Event]:
        """Yield the events of a WebSocket frame or REST body; see `ingest.venues.interface.Mapper.map`."""
        message = read(_FRAME, frame, "a Bybit frame")
        topic = message.topic
        if message.stream:
            yield from self._map_request(message, received_at)
        elif not topic:
            yield from self._map_answer(message, received_at)
        elif topic.startswith(("publicTrade.", "trade.")):
            yield from self._map_trades(message.data)
        elif topic.startswith("tickers."):
            yield from self._map_ticker(read(_TICKER, message.data, "a Bybit ticker"), message.ts or received_at)
        elif topic.startswith("allLiquidation."):
            yield from self._map_liquidations(message.data)

    def _map_trades(self, data: Raw) -> Iterator[Event]:
        for trade in read(_TRADES, data, "Bybit trades"):
            yield from self._map_trade(trade.s, trade.T, trade.p, trade.v, trade.S, trade.i)

    def _map_liquidations(self, data: Raw) -> Iterator[Event]:
        for liquidation in read(_LIQUIDATIONS, data, "Bybit liquidations"):
            instrument = self.instruments.get(liquidation.s)
            if instrument is None:
                continue
            if not self._liquidations.add((liquidation.s, liquidation.T, liquidation.S, liquidation.v, liquidation.p)):
                self.duplicates += 1
                continue
            coins = instrument.coins_per_unit
            price = liquidation.p / coins
            yield Liquidation(
                Venue.BYBIT,
                instrument.symbol,
                instrument.name,
                liquidation.T,
                _side(_POSITION_SIDES, liquidation.S),
                price,
                liquidation.v * coins,
                price,
            )

    def _map_ticker(self, ticker: raw.Ticker, event_time: int) -> Iterator[Event]:
        instrument = self.instruments.get(ticker.symbol)
        if instrument is None:
            return
        where = (Venue.BYBIT, instrument.symbol, instrument.name, event_time)
        coins = instrument.coins_per_unit
        if mark := self._updated_mark(ticker):
            next_funding_time = mark.next_funding_time
            yield Mark(*where, mark.mark_price / coins, mark.index_price / coins, mark.funding_rate, next_funding_time)
        quantity = _one_sided(ticker)
        if quantity is not None:
            yield OpenInterest(*where, quantity * coins)
        # A spot ticker is named alike, and has no mark.
        if ticker.turnover_24h is not None and self._tickers[ticker.symbol].mark_price > 0:
            yield Turnover(*where, ticker.turnover_24h)

    def _updated_mark(self, ticker: raw.Ticker) -> _TickerState | None:
        """Return the mark after this ticker; None where the ticker changes nothing of it, or there is none yet."""
        state = self._tickers.setdefault(ticker.symbol, _TickerState())
        changed = False
        if ticker.mark_price is not None:
            state.mark_price, changed = ticker.mark_price, True
        if ticker.index_price is not None:
            state.index_price, changed = ticker.index_price, True
        if ticker.funding_rate is not None:
            state.funding_rate, changed = number_or_nan(ticker.funding_rate), True
        if ticker.next_funding_time is not None:
            state.next_funding_time, changed = ticker.next_funding_time, True
        return state if changed and state.mark_price > 0 else None

    def _map_answer(self, message: raw.Frame, received_at: int) -> Iterator[Event]:
        if message.success is False:
            raise PoisonMessage(f"Bybit refused the operation {message.op!r}: {message.ret_msg}")
        if message.ret_code != 0:
            raise PoisonMessage(f"Bybit answered {message.ret_code}: {message.rest_message}")
        if not len(bytes(message.result)):
            return
        result = read(_RESULT, message.result, "a Bybit result")
        if result.category not in ("", "linear"):
            return
        if not result.items or bytes(result.items[0]).startswith(b"["):
            return  # Klines: rows without names, which the history reader asks for and maps itself.
        at = message.time or received_at
        marker = read(_MARKER, result.items[0], "a Bybit list")
        if marker.contract_type is not None:
            for item in result.items:
                yield from self._map_instrument(read(_INSTRUMENT, item, "a Bybit instrument"), at)
        elif marker.risk_limit_value is not None:
            yield from self._map_risk_limits(result, at)
        elif marker.mark_price is not None:
            for item in result.items:
                yield from self._map_ticker(read(_TICKER, item, "a Bybit ticker"), at)
        elif marker.open_interest is not None:
            yield from self._map_open_interest(result)
        elif marker.execution is not None:
            # Past things come newest first.
            for item in reversed(result.items):
                trade = read(_RECENT_TRADE, item, "a Bybit trade")
                yield from self._map_trade(
                    trade.symbol, trade.time, trade.price, trade.size, trade.side, trade.execution
                )

    def _map_instrument(self, info: raw.InstrumentInfo, event_time: int) -> Iterator[Event]:
        if info.contract_type != "LinearPerpetual":
            self.instruments.ignored[info.symbol] = info.contract_type
        elif (instrument := self.instruments.get(info.symbol)) is not None:
            yield contract(instrument, info, event_time)

    def _map_risk_limits(self, result: raw.Result, event_time: int) -> Iterator[Event]:
        """Yield each symbol's table; a broken one is refused after the others have been read."""
        limits = [read(_RISK_LIMIT, item, "a Bybit risk limit") for item in result.items]
        tables, refused = tables_of([limit for limit in limits if self.instruments.get(limit.symbol)])
        for name, tiers in tables.items():
            instrument = self.instruments.get(name)
            if instrument is not None:
                yield from tiers.to_events(Venue.BYBIT, instrument.symbol, name, event_time)
        if refused:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
            raise PoisonMessage(f"Margin tiers of Bybit contradict themselves: {reasons}")

    def _map_open_interest(self, result: raw.Result) -> Iterator[Event]:
        instrument = self.instruments.get(result.symbol)
        if instrument is None:
            return
        for item in reversed(result.items):
            point = read(_OPEN_INTEREST, item, "Bybit open interest")
            quantity = _one_sided(point)
            if quantity is not None:
                yield OpenInterest(
                    Venue.BYBIT,
                    instrument.symbol,
                    instrument.name,
                    point.timestamp,
                    quantity * instrument.coins_per_unit,
                )

    def _map_trade(
        self, name: str, event_time: int, price: float, size: float, side: str, trade_id: str
    ) -> Iterator[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return
        if trade_id and not self._trades.add(trade_id):
            self.duplicates += 1
            return
        coins = instrument.coins_per_unit
        taker_side = _side(_TAKER_SIDES, side)
        yield Trade(
            Venue.BYBIT, instrument.symbol, instrument.name, event_time, price / coins, size * coins, taker_side
        )

    def _map_request(self, message: raw.Frame, received_at: int) -> Iterator[Event]:
        """Map an answer that the client wrapped with the name of its stream; bars need that name."""
        answer = read(_FRAME, message.data, "a Bybit answer")
        name, _, stream = message.stream.partition("@")
        instrument = self.instruments.get(name) if stream in ("kline", "mark-price-kline") else None
        if instrument is None or answer.ret_code != 0:
            yield from self._map_answer(answer, received_at)
            return
        rows = read(_BARS, answer.result, "Bybit bars").rows
        coins = instrument.coins_per_unit
        for row in reversed(rows):
            bar = Bar(row.start, row.open / coins, row.high / coins, row.low / coins, row.close / coins)
            if stream == "mark-price-kline":
                yield from marks_of(instrument, bar)
            elif row.volume > 0:
                quantity = row.volume * coins
                yield from trades_of(instrument, bar, quantity, row.turnover / quantity)


def _side(sides: dict[str, int], text: str) -> int:
    try:
        return sides[text]
    except KeyError:
        raise PoisonMessage(f"Expected the side Buy or Sell, was {text!r}") from None


def _one_sided(ticker: raw.Ticker | raw.OpenInterestPoint) -> float | None:
    """Return open interest counted once, in quoted units; `openInterest` is the sum of both sides."""
    if ticker.single_open_interest is not None:
        return ticker.single_open_interest
    return None if ticker.open_interest is None else ticker.open_interest / 2
