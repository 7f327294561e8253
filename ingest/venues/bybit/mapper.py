"""Bybit v5 linear frames to events: the pure part, used live, in playback and by `liqheat normalise`.

Traps held here: tickers come as a snapshot and then deltas, open interest counts both sides unless the
field is the newer single-sided one, and a liquidation's `S` is the side of the position that was liquidated.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Raw

from ingest.venues.base_mapper import BaseMapper
from ingest.venues.bybit import messages as raw
from ingest.venues.bybit.history import HISTORY_STREAMS, map_bars
from ingest.venues.bybit.reference import beside_nameless, contract, tables_of, type_of
from ingest.venues.depth import DEPTH, WireLevel, depth_of, read_book
from ingest.venues.latest import Latest
from ingest.venues.values import (
    amount_or_nan,
    around_nameless,
    check_named,
    coin_price_or_nan,
    part_of,
    rate_or_nan,
    traded,
)
from ingest.venues.wire import (
    RowReader,
    Text,
    decoder_of,
    fields_in,
    name_in,
    read,
    rows_of,
    text_of,
    time_or_zero,
    timely,
)
from liqheat.domain.events import NAN, Event, Liquidation, Mark, OpenInterest, Trade, Turnover
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Side, TakerSide, Venue
from liqheat.platform.errors import PoisonMessage
from liqheat.platform.seen import TRADES_REMEMBERED, Recent

_FRAME = decoder_of(raw.Frame)
_RESULT = decoder_of(raw.Result)
_LIST_RESULT = decoder_of(raw.ListResult)
_TRADES = RowReader(raw.Trade, "a Bybit trade")
_LIQUIDATIONS = RowReader(raw.Liquidation, "a Bybit liquidation")
_OLD_LIQUIDATION = decoder_of(raw.OldLiquidation)
_TICKER = decoder_of(raw.Ticker)
_INSTRUMENT = decoder_of(raw.InstrumentInfo)
_RISK_LIMIT = decoder_of(raw.RiskLimit)
_OPEN_INTEREST = decoder_of(raw.OpenInterestPoint)
_RECENT_TRADE = decoder_of(raw.RecentTrade)
_ORDER_BOOK = decoder_of(raw.OrderBook)
_LEVELS = RowReader(WireLevel, "a level of a Bybit order book")

_SILENT_TOPICS = frozenset({"adlAlert", "insurance", "kline", "kline_lt", "orderbook", "priceLimit"})
"""Documented topics that say nothing about positions; others are notices."""
_SAME_LIQUIDATION_MS = 5_000
"""How far apart both topics of liquidations may put the same one."""
_MOST_OLD = 10_000
_KIND_FIELDS = ("contractType", "riskLimitValue", "lastPrice", "markPrice", "execId", "openInterest")
"""Fields that show the kind of a row of a REST list; the first that it has counts."""
_TAKER_SIDES = {"Buy": int(TakerSide.BUY), "Sell": int(TakerSide.SELL)}
_POSITION_SIDES = {"Buy": int(Side.LONG), "Sell": int(Side.SHORT)}


@dataclass(frozen=True, slots=True)
class _TickerState:
    """What a symbol's ticker says by now: USD per coin, a fraction, ms."""

    mark_price: float = NAN
    index_price: float = NAN
    funding_rate: float = NAN
    next_funding_time: int = 0


class BybitMapper(BaseMapper):
    """Maps one Bybit connection; remembers each ticker's snapshot. See `ingest.venues.interface.Mapper`."""

    venue = Venue.BYBIT

    def __init__(
        self, instruments: Sequence[Instrument] | None = None, contract_values: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(instruments, contract_values)
        self._trades = Recent(TRADES_REMEMBERED)
        self._liquidations = Recent()
        self._sent_in_full: set[str] = set()
        """Symbols of which all liquidations are sent, so that the old topic says nothing more of them."""
        self._old_liquidations: dict[tuple[str, str, float, float], int] = {}
        self._tickers: dict[str, _TickerState] = {}
        self._latest = Latest()

    def events_of(self, frame: bytes, received_at: int) -> Iterator[Event]:
        """Yield the events of a WebSocket frame or REST body."""
        message = read(_FRAME, frame, "a Bybit frame")
        topic = message.topic
        if message.stream:
            return self._map_request(message, received_at)
        if not topic:
            return self._map_answer(message, received_at)
        if topic.startswith(("publicTrade.", "trade.")):
            trades = _TRADES.read(message.data, self.report, self.instruments.get)
            return self.report.each(
                trades,
                lambda row: row.s,
                lambda row: self._trade(row.s, row.T, row.p, row.v, row.S, row.i, received_at),
            )
        if topic.startswith("tickers."):
            at = time_or_zero(message.ts) or received_at
            rows = rows_of(message.data, "a Bybit ticker")
            return self.report.each(rows, name_in, lambda row: self._ticker(row, at, received_at))
        if topic.startswith("allLiquidation."):
            liquidations = _LIQUIDATIONS.read(message.data, self.report, self.instruments.get)
            self._sent_in_full.update(row.s for row in liquidations)
            return self.report.each(liquidations, lambda row: row.s, lambda row: self._liquidation(row, received_at))
        if topic.startswith("liquidation."):
            rows = rows_of(message.data, "an old Bybit liquidation")
            return self.report.each(rows, name_in, lambda row: self._old_liquidation(row, received_at))
        self.report.notice(topic.partition(".")[0], _SILENT_TOPICS)
        return iter(())

    def _trade(
        self, name: str, event_time: int, price: float, size: float, side: str, trade_id: Text, received_at: int
    ) -> Iterable[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return ()
        taker_side = _side(_TAKER_SIDES, side)
        timely(event_time, received_at)
        coins = instrument.coins_per_unit
        terms = traded(price, size, coins, coins)
        if trade_id and not self._trades.add((name, trade_id)):
            self.duplicates += 1
            return ()
        return (Trade(Venue.BYBIT, instrument.symbol, instrument.name, event_time, *terms, taker_side),)

    def _old_liquidation(self, row: Raw, received_at: int) -> Iterable[Event]:
        """Read the topic of old recordings, unless the newer one comes for the same symbol too."""
        old = read(_OLD_LIQUIDATION, row, "an old Bybit liquidation")
        if old.symbol in self._sent_in_full:
            return ()
        events = self._liquidation(raw.Liquidation(old.time, old.symbol, old.side, old.size, old.price), received_at)
        if events and len(self._old_liquidations) < _MOST_OLD:
            self._old_liquidations[old.symbol, old.side, old.size, old.price] = old.time
        return events

    def _liquidation(self, row: raw.Liquidation, received_at: int) -> Iterable[Event]:
        instrument = self.instruments.get(row.s)
        if instrument is None:
            return ()
        side = _side(_POSITION_SIDES, row.S)
        timely(row.T, received_at)
        coins = instrument.coins_per_unit
        price, quantity = traded(row.p, row.v, coins, coins)
        is_same = False
        if self._old_liquidations and row.s in self._sent_in_full:
            sent_at = self._old_liquidations.pop((row.s, row.S, row.v, row.p), 0)
            is_same = abs(row.T - sent_at) <= _SAME_LIQUIDATION_MS
        if not self._liquidations.add((row.s, row.T, row.S, row.v, row.p)) or is_same:
            self.duplicates += 1
            return ()
        where = (Venue.BYBIT, instrument.symbol, instrument.name, row.T)
        return (Liquidation(*where, side, price, quantity, price),)

    def _ticker(self, row: Raw, event_time: int, received_at: int) -> Iterator[Event]:
        ticker = read(_TICKER, row, "a Bybit ticker")
        instrument = self.instruments.get(ticker.symbol)
        if instrument is None:
            return
        at = self._latest.take(ticker.symbol, timely(event_time, received_at), received_at)
        where = (Venue.BYBIT, instrument.symbol, instrument.name, at)
        coins = instrument.coins_per_unit
        report, name = self.report, instrument.name
        mark = part_of(report, name, row, lambda: self._updated_mark(ticker, coins, row), None)
        quantity = part_of(report, name, row, lambda: _one_sided(ticker), NAN)
        turnover = part_of(report, name, row, lambda: amount_or_nan(ticker.turnover_24h), NAN)
        if mark:
            yield Mark(*where, mark.mark_price, mark.index_price, mark.funding_rate, mark.next_funding_time)
        if quantity >= 0:
            yield OpenInterest(*where, quantity * coins)
        # A spot ticker is named alike, and has no mark.
        if turnover >= 0 and self._tickers.get(name, _TickerState()).mark_price > 0:
            yield Turnover(*where, turnover)

    def _updated_mark(self, ticker: raw.Ticker, coins: float, row: Raw) -> _TickerState | None:
        """Return the mark after this ticker; None where the ticker changes nothing of it, or there is none yet."""
        name = ticker.symbol
        known = self._tickers.get(name, _TickerState())
        settles_at = known.next_funding_time
        if (told := ticker.next_funding_time) is not None:
            settles_at = part_of(self.report, name, row, lambda: time_or_zero(told), settles_at)
        state = _TickerState(
            known.mark_price if ticker.mark_price is None else coin_price_or_nan(ticker.mark_price, coins),
            known.index_price if ticker.index_price is None else coin_price_or_nan(ticker.index_price, coins),
            known.funding_rate if ticker.funding_rate is None else rate_or_nan(ticker.funding_rate),
            settles_at,
        )
        fields = (ticker.mark_price, ticker.index_price, ticker.funding_rate, told)
        self._tickers[name] = state
        return state if any(value is not None for value in fields) and state.mark_price > 0 else None

    def _map_answer(self, message: raw.Frame, received_at: int, name: str = "") -> Iterator[Event]:
        """Map a REST answer; `name` is the instrument that was asked for, where the answer may not say it."""
        # An answer may be well as a whole and refuse some topics.
        failed = [] if message.success is None else fields_in(message.data).get("failTopics")
        if message.success is False or failed:
            what = f"{message.ret_msg} {failed or ''}".strip()
            self.take_refusal(message.ret_msg, f"Bybit refused the operation {message.op or message.type!r}: {what}")
            return
        if text_of(message.ret_code) not in ("0", ""):
            raise PoisonMessage(f"Bybit answered {message.ret_code}: {message.rest_message}")
        if not len(bytes(message.result)):
            return
        result = read(_RESULT, message.result, "a Bybit result")
        if text_of(result.category) not in ("", "linear"):
            return

        def told_at() -> int:
            return timely(time_or_zero(message.time) or received_at, received_at)

        limits: list[raw.RiskLimit] = []
        rows = [(row, _kind_of(row)) for row in result.items]
        if not any(kind for _, kind in rows):
            self.report.notice("an answer of another kind")
            return
        if any(kind in ("execId", "openInterest") for _, kind in rows):
            # Past things come newest first.
            rows.reverse()

        def events_of(item: tuple[Raw, str]) -> Iterable[Event]:
            row, kind = item
            if kind == "contractType":
                return self._instrument(row, told_at())
            if kind in ("lastPrice", "markPrice"):
                return self._ticker(row, told_at(), received_at)
            if kind == "execId":
                trade = read(_RECENT_TRADE, row, "a Bybit trade")
                trade_id = trade.execution
                return self._trade(trade.symbol, trade.time, trade.price, trade.size, trade.side, trade_id, received_at)
            if kind == "openInterest":
                return self._open_interest(row, text_of(result.symbol) or name, received_at)
            if kind != "riskLimitValue":
                raise PoisonMessage(f"Not a row that Bybit documents: {bytes(row)[:80].decode(errors='replace')}")
            limits.append(read(_RISK_LIMIT, row, "a Bybit risk limit"))
            if not limits[-1].instrument:
                raise PoisonMessage("Expected the symbol of a risk limit, there was none")
            return ()

        yield from self.report.each(rows, lambda item: name_in(item[0]), events_of, self.instruments.get)
        if limits:
            unread = {refusal.instrument for refusal in self.report.refused}
            unread |= around_nameless([name_in(row) for row, _ in rows]) | beside_nameless(limits)
            yield from self._risk_limits(limits, unread, told_at())

    def _instrument(self, row: Raw, event_time: int) -> Iterable[Event]:
        info = read(_INSTRUMENT, row, "a Bybit instrument")
        if (kind := type_of(info)) != "LinearPerpetual":
            self.instruments.ignored[info.symbol] = kind
            return ()
        instrument = self.instruments.get(info.symbol)
        return () if instrument is None else (contract(instrument, info, event_time),)

    def _risk_limits(self, limits: list[raw.RiskLimit], incomplete: set[str], event_time: int) -> Iterator[Event]:
        """Yield each symbol's table; a broken one is refused, the others are read."""
        named = [limit for limit in limits if limit.instrument and self.instruments.get(limit.instrument)]
        tables, refused = tables_of(named, incomplete)
        for name, tiers in tables.items():
            if instrument := self.instruments.get(name):
                yield from tiers.to_events(Venue.BYBIT, instrument.symbol, name, event_time)
        for name, reason in refused.items():
            self.report.refuse(name, f"The margin tiers of Bybit contradict themselves: {reason}")
        if not tables:
            self.report.nothing_read()

    def _open_interest(self, row: Raw, name: str, received_at: int) -> Iterable[Event]:
        if not name:
            raise PoisonMessage("Expected the symbol of open interest, there was none")
        instrument = self.instruments.get(name)
        if instrument is None:
            return ()
        point = read(_OPEN_INTEREST, row, "Bybit open interest")
        quantity = _one_sided(point)
        if not quantity >= 0:
            return ()
        where = (Venue.BYBIT, instrument.symbol, instrument.name, timely(point.timestamp, received_at))
        return (OpenInterest(*where, quantity * instrument.coins_per_unit),)

    def _map_request(self, message: raw.Frame, received_at: int) -> Iterator[Event]:
        """Map an answer that the client wrapped with the name of its stream; bars need that name."""
        answer = read(_FRAME, message.data, "a Bybit answer")
        name, _, stream = (message.stream or "").partition("@")
        if stream == DEPTH:
            yield from self._depth(name, answer, received_at)
            return
        instrument = self.instruments.get(name) if stream in HISTORY_STREAMS else None
        if instrument is None or text_of(answer.ret_code) not in ("0", ""):
            if text_of(answer.ret_code) in ("0", ""):
                read(_LIST_RESULT, answer.result, "a Bybit result")
            yield from self._map_answer(answer, received_at, name)
            return
        yield from map_bars(stream, instrument, answer.result, self.report, received_at)

    def _depth(self, name: str, answer: raw.Frame, received_at: int) -> Iterator[Event]:
        instrument = self.instruments.get(name)
        if text_of(answer.ret_code) not in ("0", "") or instrument is None:
            yield from self._map_answer(answer, received_at)
            return
        book = read(_ORDER_BOOK, answer.result, "a Bybit order book")
        check_named(name, book.symbol)
        at = timely(time_or_zero(book.ts) or received_at, received_at)

        def events_of(book: raw.OrderBook) -> Iterable[Event]:
            depth = depth_of(instrument, at, [read_book(book.bids, book.asks, _LEVELS, self.report, name)])
            return () if depth is None else (depth,)

        yield from self.report.each((book,), lambda _: name, events_of)


def _kind_of(row: Raw) -> str:
    """Return the field that shows what kind of row it is; "" where none does, as in bars."""
    fields = fields_in(row)
    return next((field for field in _KIND_FIELDS if field in fields), "")


def _side(sides: dict[str, int], text: str) -> int:
    try:
        return sides[text]
    except KeyError:
        raise PoisonMessage(f"Expected the side Buy or Sell, was {text!r}") from None


def _one_sided(ticker: raw.Ticker | raw.OpenInterestPoint) -> float:
    """Return open interest counted once, in quoted units, NaN where unknown; `openInterest` sums both sides."""
    quantity = amount_or_nan(ticker.single_open_interest)
    return quantity if quantity >= 0 else amount_or_nan(ticker.open_interest) / 2
