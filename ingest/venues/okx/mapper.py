"""OKX v5 swap frames to events: the pure part, used live, in playback and by `liqheat normalise`.

Traps held here: sizes are contracts and their value is read from the venue; the first liquidations after subscribing
are backlog; margin tiers are cut by contracts, not by USD.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan
from typing import Any

from msgspec import Raw

from ingest.venues.base_mapper import BaseMapper
from ingest.venues.depth import DEPTH, WireLevel, depth_of, read_book
from ingest.venues.latest import Latest
from ingest.venues.okx import messages as raw
from ingest.venues.okx.history import HISTORY_STREAMS, map_history
from ingest.venues.okx.kinds import ANSWERS, KIND_OF_CHANNEL, READERS, SILENT_CHANNELS, kind_of
from ingest.venues.okx.names import Aliases
from ingest.venues.okx.reference import contract, families_of, tables_of, type_of
from ingest.venues.trade_numbers import TradeNumbers
from ingest.venues.values import amount_or_nan, coin_price_or_nan, part_of, rate_or_nan, traded
from ingest.venues.wire import RowReader, decoder_of, number_or_nan, read, text_of, time_or_zero, timely
from liqheat.domain.events import NAN, Event, Liquidation, Mark, OpenInterest, Trade, Turnover
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Venue
from liqheat.platform.errors import PoisonMessage
from liqheat.platform.seen import Recent

_FRAME = decoder_of(raw.Frame)
_ITEMS = decoder_of(list[Raw])
_ORDER_BOOKS = decoder_of(list[raw.OrderBook])
_LEVELS = RowReader(WireLevel, "a level of an OKX order book")
_DETAILS = RowReader(raw.LiquidationDetail, "an OKX liquidation")

# OKX sends a mark every 10 s at least, so an older one is not the mark of now.
_MARK_LASTS_MS = 10_000


@dataclass(slots=True)
class _MarkState:
    """What is known of a swap's mark beside its price."""

    mark_price: float = NAN
    marked_at: int = 0
    index_price: float = NAN
    funding_rate: float = NAN
    next_funding_time: int = 0


class OkxMapper(BaseMapper):
    """Maps OKX connections; remembers contract values, marks, and which liquidations it has seen.

    Args:
        instruments: the only ones wanted; None for every linear perpetual that a frame names.
        contract_values: coins per contract by the venue's symbol, for offline use; instruments that pass add to them.
        liquidations: those seen so far, where several mappers hear of the same ones (stream and REST).
    """

    venue = Venue.OKX

    def __init__(
        self,
        instruments: Sequence[Instrument] | None = None,
        contract_values: Mapping[str, float] | None = None,
        liquidations: Recent | None = None,
    ) -> None:
        super().__init__(instruments, contract_values)
        self._numbers = TradeNumbers(self.on_late)
        self._aliases = Aliases(instruments or ())
        self._marks: dict[str, _MarkState] = {}
        self._latest = Latest()
        self._liquidations = Recent() if liquidations is None else liquidations
        self._waiting_tiers: dict[str, tuple[list[raw.PositionTier], int]] = {}
        self._mappers: dict[str, Callable[[Sequence[Any], int], Iterator[Event]]] = {
            "ctVal": self._instruments,
            "mmr": self._tiers,
            "oi": self._each(self._open_interest),
            "markPx": self._each(self._mark_price),
            "idxPx": self._each(self._index_price, self._aliases.name_of),
            "volCcy24h": self._each(self._ticker),
            "tradeId": self._trades,
            "fundingRate": self._each(self._funding),
            "details": self._liquidation_orders,
        }

    def events_of(self, frame: bytes, received_at: int) -> Iterator[Event]:
        """Yield the events of a WebSocket frame or REST body."""
        message = read(_FRAME, frame, "an OKX frame")
        if not self._is_accepted(message):
            return iter(())
        if message.event:
            if message.event not in ANSWERS:
                self.report.notice(message.event)
        elif message.stream:
            return self._map_request(message, received_at)
        elif message.arg is None:
            return self._map_answer(message.data, received_at)
        elif kind := KIND_OF_CHANNEL.get(message.arg.channel or ""):
            rows = READERS[kind].read(message.data, self.report, self._is_wanted)
            return self._mappers[kind](rows, received_at)
        else:
            self.report.notice(message.arg.channel or "a channel without a name", SILENT_CHANNELS)
        return iter(())

    def _is_accepted(self, message: raw.Frame) -> bool:
        # A notice has a code too: it announces that the connection will be closed for maintenance.
        if message.event == "error" or (not message.event and text_of(message.code) not in ("0", "")):
            self.take_refusal(message.msg, f"OKX refused: {message.msg or 'no reason given'} (code {message.code})")
            return False
        return True

    def _map_request(self, message: raw.Frame, received_at: int) -> Iterator[Event]:
        """Map an answer that the client wrapped with the name of its stream; history needs that name."""
        name, _, stream = (message.stream or "").partition("@")
        answer = read(_FRAME, message.data, "an OKX answer")
        if not self._is_accepted(answer):
            return
        if stream == DEPTH:
            yield from self._depth(name, answer.data, received_at)
        elif answer.data == Raw():
            raise PoisonMessage("Expected an OKX answer with data, was one without")
        elif stream not in HISTORY_STREAMS:
            yield from self._map_answer(answer.data, received_at)
        elif (instrument := self.instruments.get(name)) is not None:
            coins = self._coins_per_contract(name)
            yield from map_history(stream, instrument, answer.data, coins, self.report, received_at)

    def _depth(self, name: str, data: Raw, received_at: int) -> Iterator[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return
        # Prices are of one quoted unit, and so is a contract's value here.
        units = self._coins_per_contract(name) / instrument.coins_per_unit

        def events_of(book: raw.OrderBook) -> Iterable[Event]:
            at = timely(time_or_zero(book.ts) or received_at, received_at)
            levels = read_book(book.bids, book.asks, _LEVELS, self.report, name)
            depth = depth_of(instrument, at, [levels], units)
            return () if depth is None else (depth,)

        books = read(_ORDER_BOOKS, data, "OKX order books")
        yield from self.report.each(books, lambda _: name, events_of)

    def _map_answer(self, data: Raw, received_at: int) -> Iterator[Event]:
        """Map a REST answer, whose kind only its rows show: that of most of them."""
        items = read(_ITEMS, data, "an OKX answer") if len(bytes(data)) else []
        # Rows without names are candles, which the history reader asks for and maps itself.
        kinds = Counter(filter(None, map(kind_of, items)))
        if not kinds:
            if items:
                self.report.notice("an answer of another kind")
            return
        ((kind, _),) = kinds.most_common(1)
        rows = READERS[kind].read(data, self.report, self._is_wanted)
        yield from self._mappers[kind](rows, received_at)

    def _is_wanted(self, name: str) -> Instrument | None:
        return self.instruments.get(self._aliases.name_of(name))

    def want(self, instruments: Sequence[Instrument]) -> None:
        """See `BaseMapper.want`; families and indices are theirs too."""
        super().want(instruments)
        self._aliases.see(*instruments)

    def _each(
        self, events_of: Callable[[Any, Instrument, int], Iterable[Event]], name_of: Callable[[str], str] = str
    ) -> Callable[[Sequence[Any], int], Iterator[Event]]:
        """Return a mapper of rows read one by one, each of a wanted instrument by what `name_of` makes of its name."""

        def mapped(rows: Sequence[Any], received_at: int) -> Iterator[Event]:
            def of_row(row: Any) -> Iterable[Event]:
                instrument = self.instruments.get(name_of(row.instrument))
                return () if instrument is None else events_of(row, instrument, received_at)

            return self.report.each(rows, lambda row: row.instrument, of_row)

        return mapped

    def _trades(self, rows: Sequence[raw.Trade], received_at: int) -> Iterator[Event]:
        if len(rows) > 1:
            rows = sorted(rows, key=lambda trade: (trade.ts, trade.trade_id))
        return self.report.each(rows, lambda row: row.instrument, lambda row: self._trade(row, received_at))

    def _trade(self, trade: raw.Trade, received_at: int) -> Iterable[Event]:
        instrument = self.instruments.get(trade.instrument)
        if instrument is None:
            return ()
        side = raw.TAKER_SIDES.get(trade.side)
        if side is None:
            raise PoisonMessage(f"Expected the side buy or sell, was {trade.side!r}")
        coins = instrument.coins_per_unit
        price, quantity = traded(trade.px, trade.sz, coins, self._coins_per_contract(instrument.name))
        timely(trade.ts, received_at)
        # A row may sum up several trades under the id of the last, so that ids left out are no hole.
        if self._numbers.take(trade.instrument, trade.trade_id, trade.ts, trade.covered) is None:
            self.duplicates += 1
            return ()
        return (Trade(Venue.OKX, instrument.symbol, instrument.name, trade.ts, price, quantity, side, trade.trade_id),)

    def _mark_price(self, mark: raw.MarkPrice, instrument: Instrument, received_at: int) -> Iterator[Event]:
        at = timely(time_or_zero(mark.ts) or received_at, received_at)
        price = coin_price_or_nan(mark.mark_price, instrument.coins_per_unit)
        state = self._mark_of(instrument.name)
        self._latest.take(f"{instrument.name} mark", at, received_at)
        state.mark_price, state.marked_at = price, at
        yield self._mark(instrument, at)
        if waiting := self._waiting_tiers.pop(instrument.name, None):
            yield from self._tiers_of(instrument, *waiting)

    def _index_price(self, index: raw.IndexTicker, instrument: Instrument, received_at: int) -> Iterable[Event]:
        """Note an index price; it travels with the next mark. See `okx.names`."""
        at = timely(time_or_zero(index.ts) or received_at, received_at)
        price = coin_price_or_nan(index.index_price, instrument.coins_per_unit)
        self._latest.take(f"{instrument.name} index", at, received_at)
        self._mark_of(instrument.name).index_price = price
        return ()

    def _funding(self, funding: raw.FundingRate, instrument: Instrument, received_at: int) -> Iterable[Event]:
        if funding.realized_rate is not None:
            return ()
        rate = rate_or_nan(funding.funding_rate)
        settles_at, next_at = (
            part_of(self.report, instrument.name, funding, partial(time_or_zero, told), 0)
            for told in (funding.funding_time, funding.next_funding_time)
        )
        told_at = timely(time_or_zero(funding.ts) or received_at, received_at)
        self._latest.take(f"{instrument.name} funding", told_at, received_at)
        state = self._mark_of(instrument.name)
        state.funding_rate = rate
        state.next_funding_time = next_at if settles_at <= told_at and next_at else settles_at
        is_marked = state.mark_price > 0 and abs(told_at - state.marked_at) <= _MARK_LASTS_MS
        return (self._mark(instrument, told_at),) if is_marked else ()

    def _open_interest(self, point: raw.OpenInterest, instrument: Instrument, received_at: int) -> Iterable[Event]:
        coins = self.contract_values.get(instrument.name)
        quantity, contracts = number_or_nan(point.oi_coins), number_or_nan(point.oi)
        if coins is not None and not isnan(contracts):
            quantity = contracts * coins
        if isnan(quantity) and not isnan(contracts):
            quantity = contracts * self._coins_per_contract(instrument.name)
        if not quantity >= 0:
            raise PoisonMessage(f"Expected open interest, was {point.oi!r} contracts, {point.oi_coins!r} coins")
        at = timely(time_or_zero(point.ts) or received_at, received_at)
        return (OpenInterest(Venue.OKX, instrument.symbol, instrument.name, at, quantity),)

    def _liquidation_orders(self, orders: Sequence[raw.LiquidationOrders], received_at: int) -> Iterator[Event]:
        """Yield what is new, oldest first."""
        details: list[tuple[str, raw.LiquidationDetail]] = []
        for order in orders:
            name = order.instrument
            # The details of an order without a name are refused one by one, as those of a wanted one are read.
            if not name or self.instruments.get(name) is not None:
                details += [(name, detail) for detail in _DETAILS.each(order.details, self.report, name)]
        details.sort(key=lambda pair: pair[1].ts)
        return self.report.each(details, lambda pair: pair[0], lambda pair: self._liquidation(*pair, received_at))

    def _liquidation(self, name: str, detail: raw.LiquidationDetail, received_at: int) -> Iterable[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return ()
        side = raw.side_that_died(detail)
        coins = instrument.coins_per_unit
        price, quantity = traded(detail.bankruptcy_price, detail.sz, coins, self._coins_per_contract(name))
        timely(detail.ts, received_at)
        if not self._liquidations.add((name, detail.ts, side, detail.sz, detail.bankruptcy_price)):
            self.duplicates += 1
            return ()
        return (Liquidation(Venue.OKX, instrument.symbol, name, detail.ts, side, price, quantity, price),)

    def _ticker(self, ticker: raw.Ticker, instrument: Instrument, received_at: int) -> Iterable[Event]:
        """Yield turnover: OKX publishes the 24 h volume in coins, so it is valued at the last price."""
        turnover = amount_or_nan(ticker.volume_coins) * amount_or_nan(ticker.last)
        if not turnover >= 0:
            return ()
        at = timely(time_or_zero(ticker.ts) or received_at, received_at)
        return (Turnover(Venue.OKX, instrument.symbol, instrument.name, at, turnover),)

    def _instruments(self, infos: Sequence[raw.Instrument], received_at: int) -> Iterator[Event]:
        return self.report.each(infos, lambda info: info.instrument, lambda info: self._instrument(info, received_at))

    def _instrument(self, info: raw.Instrument, received_at: int) -> Iterable[Event]:
        if (kind := type_of(info)) != "linear":
            self.instruments.ignored[info.instrument] = f"{kind} contract"
            return ()
        instrument = self.instruments.get(info.instrument)
        if instrument is None:
            return ()
        self._aliases.see(instrument)
        listed = contract(instrument, info, received_at)
        self.contract_values[instrument.name] = listed.contract_value
        return (listed,)

    def _tiers(self, rows: Sequence[raw.PositionTier], received_at: int) -> Iterator[Event]:
        """Yield the tables whose mark is known; the others wait for theirs, for USD tiers need a price."""
        tables, incomplete = families_of(rows, self.report)

        def events_of(table: tuple[str, list[raw.PositionTier]]) -> Iterable[Event]:
            family, tiers = table
            instrument = self.instruments.get(self._aliases.name_of(family))
            if instrument is None:
                return ()
            if family in incomplete:
                raise PoisonMessage("A step of its margin tiers cannot be read")
            if refused := tables_of(tiers, {instrument.name: 1.0})[1]:
                raise PoisonMessage(f"Broken margin tiers of {instrument.name}: {refused[instrument.name]}")
            if self._mark_of(instrument.name).mark_price > 0:
                return self._tiers_of(instrument, tiers, received_at)
            self._waiting_tiers[instrument.name] = (tiers, received_at)
            return ()

        yield from self.report.each(tables.items(), lambda table: self._aliases.name_of(table[0]), events_of)

    def _tiers_of(self, instrument: Instrument, tiers: list[raw.PositionTier], event_time: int) -> Iterable[Event]:
        name = instrument.name
        usd = self._coins_per_contract(name) * self._mark_of(name).mark_price
        tables, refused = tables_of(tiers, {name: usd})
        if name in refused:
            raise PoisonMessage(f"Broken margin tiers of {name}: {refused[name]}")
        return tables[name].to_events(Venue.OKX, instrument.symbol, name, event_time)

    def _coins_per_contract(self, name: str) -> float:
        try:
            return self.contract_values[name]
        except KeyError:
            raise PoisonMessage(f"The contract value of {name} is not known: read the instruments first") from None

    def _mark_of(self, name: str) -> _MarkState:
        state = self._marks.get(name)
        if state is None:
            state = self._marks[name] = _MarkState()
        return state

    def _mark(self, instrument: Instrument, event_time: int) -> Mark:
        state = self._marks[instrument.name]
        return Mark(
            Venue.OKX,
            instrument.symbol,
            instrument.name,
            event_time,
            state.mark_price,
            state.index_price,
            state.funding_rate,
            state.next_funding_time,
        )
