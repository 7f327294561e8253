"""OKX v5 swap frames to events: the pure part, used live, in playback and by `liqheat normalise`.

Traps held here: sizes are contracts and their value differs a coin, so it is always read from the venue;
the first liquidation message after subscribing is backlog; margin tiers are cut by contracts, not by USD.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Raw

from ingest.venues.okx import messages as raw
from ingest.venues.okx.history import HISTORY_STREAMS, map_history
from ingest.venues.okx.reference import contract, margin_tiers
from ingest.venues.recent import Recent
from ingest.venues.wire import InstrumentBook, decoder_of, number_or_nan, read
from liqheat.domain.events import NAN, Event, Liquidation, Mark, OpenInterest, Trade, Turnover
from liqheat.domain.instruments import Instrument
from liqheat.domain.margin_tiers import BrokenMarginTiers
from liqheat.domain.market import Side, TakerSide, Venue
from liqheat.platform.errors import PoisonMessage

_FRAME = decoder_of(raw.Frame)
_ITEMS = decoder_of(list[Raw])
_MARKER = decoder_of(raw.Marker)
_TRADES = decoder_of(list[raw.Trade])
_MARKS = decoder_of(list[raw.MarkPrice])
_INDEXES = decoder_of(list[raw.IndexTicker])
_FUNDING = decoder_of(list[raw.FundingRate])
_OPEN_INTEREST = decoder_of(list[raw.OpenInterest])
_LIQUIDATIONS = decoder_of(list[raw.LiquidationOrders])
_TICKERS = decoder_of(list[raw.Ticker])
_INSTRUMENTS = decoder_of(list[raw.Instrument])
_TIERS = decoder_of(list[raw.PositionTier])

# OKX sends a mark every 10 s at least, so an older one is not the mark of now.
_MARK_LASTS_MS = 10_000

_TAKER_SIDES = {"buy": int(TakerSide.BUY), "sell": int(TakerSide.SELL)}


@dataclass(slots=True)
class _MarkState:
    """What is known of a swap's mark beside its price."""

    mark_price: float = NAN
    marked_at: int = 0
    index_price: float = NAN
    funding_rate: float = NAN
    next_funding_time: int = 0


class OkxMapper:
    """Maps OKX connections; remembers contract values, marks, and which liquidations it has seen.

    Args:
        instruments: the only ones wanted; None for every linear perpetual that a frame names.
        contract_values: coins of one contract by the venue's symbol, for offline use; instruments that pass
            through add to them.
    """

    venue = Venue.OKX

    def __init__(
        self,
        instruments: Sequence[Instrument] | None = None,
        contract_values: Mapping[str, float] | None = None,
    ) -> None:
        self.duplicates = 0
        self.instruments = InstrumentBook(Venue.OKX, instruments)
        self.contract_values = {item.name: item.contract_value * item.coins_per_unit for item in instruments or ()}
        self.contract_values.update(contract_values or {})
        self._last_trade: dict[str, tuple[int, int]] = {}
        self._marks: dict[str, _MarkState] = {}
        self._liquidations = Recent()
        self._waiting_tiers: dict[str, tuple[list[raw.PositionTier], int]] = {}
        self._readers: dict[str, Callable[[Raw, int], Iterator[Event]]] = {
            "trades": self._map_trades,
            "trades-all": self._map_trades,
            "mark-price": self._map_marks,
            "index-tickers": self._map_indexes,
            "funding-rate": self._map_funding,
            "open-interest": self._map_open_interest,
            "liquidation-orders": self._map_liquidations,
            "tickers": self._map_tickers,
            "instruments": self._map_instruments,
        }

    def map(self, frame: bytes, received_at: int) -> Iterator[Event]:
        """Yield the events of a WebSocket frame or REST body; see `ingest.venues.interface.Mapper.map`."""
        if frame == b"pong":
            return
        message = read(_FRAME, frame, "an OKX frame")
        _check_accepted(message)
        if message.event:
            return
        if message.stream:
            yield from self._map_request(message, received_at)
        elif message.arg is None:
            yield from self._map_answer(message.data, received_at)
        elif reader := self._readers.get(message.arg.channel):
            yield from reader(message.data, received_at)

    def _map_request(self, message: raw.Frame, received_at: int) -> Iterator[Event]:
        """Map an answer that the client wrapped with the name of its stream; history needs that name."""
        name, _, stream = message.stream.partition("@")
        answer = read(_FRAME, message.data, "an OKX answer")
        _check_accepted(answer)
        if stream not in HISTORY_STREAMS:
            yield from self._map_answer(answer.data, received_at)
        elif (instrument := self.instruments.get(name)) is not None:
            yield from map_history(stream, instrument, message.data, self._coins_a_contract(name))

    def _map_answer(self, data: Raw, received_at: int) -> Iterator[Event]:
        """Map a REST answer, whose kind only its items tell."""
        items = read(_ITEMS, data, "an OKX answer") if len(bytes(data)) else []
        if not items or not bytes(items[0]).startswith(b"{"):
            return  # Candles: rows without names, which the history reader asks for and maps itself.
        marker = read(_MARKER, items[0], "an OKX list")
        if marker.contract_value is not None:
            yield from self._map_instruments(data, received_at)
        elif marker.maintenance_margin_rate is not None:
            yield from self._map_tiers(data, received_at)
        elif marker.oi is not None:
            yield from self._map_open_interest(data, received_at)
        elif marker.mark_price is not None:
            yield from self._map_marks(data, received_at)
        elif marker.index_price is not None:
            yield from self._map_indexes(data, received_at)
        elif marker.volume is not None:
            yield from self._map_tickers(data, received_at)
        elif marker.trade_id is not None:
            yield from self._map_trades(data, received_at)
        elif marker.funding_rate is not None:
            yield from self._map_funding(data, received_at)

    def _map_trades(self, data: Raw, _: int) -> Iterator[Event]:
        trades = read(_TRADES, data, "OKX trades")
        if len(trades) > 1:
            trades.sort(key=lambda trade: (trade.ts, trade.trade_id))
        for trade in trades:
            instrument = self.instruments.get(trade.instrument)
            if instrument is None:
                continue
            if self._is_old(trade):
                self.duplicates += 1
                continue
            side = _TAKER_SIDES.get(trade.side)
            if side is None:
                raise PoisonMessage(f"Expected the side buy or sell, was {trade.side!r}")
            yield Trade(
                Venue.OKX,
                instrument.symbol,
                instrument.name,
                trade.ts,
                trade.px / instrument.coins_per_unit,
                trade.sz * self._coins_a_contract(instrument.name),
                side,
                trade.trade_id,
            )

    def _is_old(self, trade: raw.Trade) -> bool:
        """Whether the trade was seen: ids rise; a smaller id at a later time means that OKX counts anew."""
        last_id, last_time = self._last_trade.get(trade.instrument, (-1, 0))
        if 0 <= trade.trade_id <= last_id and trade.ts <= last_time:
            return True
        self._last_trade[trade.instrument] = (trade.trade_id, trade.ts)
        return False

    def _map_marks(self, data: Raw, _: int) -> Iterator[Event]:
        for mark in read(_MARKS, data, "OKX marks"):
            instrument = self.instruments.get(mark.instrument)
            if instrument is None:
                continue
            state = self._mark_of(instrument.name)
            state.mark_price, state.marked_at = mark.mark_price / instrument.coins_per_unit, mark.ts
            yield self._mark(instrument, mark.ts)
            if instrument.name in self._waiting_tiers:
                yield from self._tiers_of(instrument, *self._waiting_tiers.pop(instrument.name))

    def _map_indexes(self, data: Raw, _: int) -> Iterator[Event]:
        """Note index prices; they travel with the next mark. The index BTC-USDT belongs to BTC-USDT-SWAP."""
        for index in read(_INDEXES, data, "OKX index prices"):
            instrument = self.instruments.get(f"{index.instrument}-SWAP")
            if instrument is not None:
                self._mark_of(instrument.name).index_price = index.index_price / instrument.coins_per_unit
        yield from ()

    def _map_funding(self, data: Raw, _: int) -> Iterator[Event]:
        for funding in read(_FUNDING, data, "OKX funding rates"):
            instrument = self.instruments.get(funding.instrument)
            if instrument is None or funding.realized_rate is not None:
                continue
            state = self._mark_of(instrument.name)
            state.funding_rate = number_or_nan(funding.funding_rate)
            state.next_funding_time = funding.funding_time
            if funding.funding_time <= funding.ts and funding.next_funding_time:
                state.next_funding_time = int(number_or_nan(funding.next_funding_time))
            if state.mark_price > 0 and abs(funding.ts - state.marked_at) <= _MARK_LASTS_MS:
                yield self._mark(instrument, funding.ts)

    def _map_open_interest(self, data: Raw, received_at: int) -> Iterator[Event]:
        for point in read(_OPEN_INTEREST, data, "OKX open interest"):
            instrument = self.instruments.get(point.instrument)
            if instrument is None:
                continue
            coins = self.contract_values.get(instrument.name)
            quantity = number_or_nan(point.oi_coins) if coins is None else point.oi * coins
            if not quantity >= 0:
                quantity = point.oi * self._coins_a_contract(instrument.name)
            yield OpenInterest(Venue.OKX, instrument.symbol, instrument.name, point.ts or received_at, quantity)

    def _map_liquidations(self, data: Raw, _: int) -> Iterator[Event]:
        """Yield what is new, oldest first; an instrument whose contract value is unknown is refused after the rest."""
        orders = read(_LIQUIDATIONS, data, "OKX liquidations")
        pairs = [(order.instrument, detail) for order in orders for detail in order.details]
        unknown: set[str] = set()
        for name, detail in sorted(pairs, key=lambda pair: pair[1].ts):
            instrument = self.instruments.get(name)
            if instrument is None:
                continue
            if name not in self.contract_values:
                unknown.add(name)
                continue
            side = _side_that_died(detail)
            if not self._liquidations.add((name, detail.ts, side, detail.sz, detail.bankruptcy_price)):
                self.duplicates += 1
                continue
            price = detail.bankruptcy_price / instrument.coins_per_unit
            quantity = detail.sz * self.contract_values[name]
            yield Liquidation(Venue.OKX, instrument.symbol, name, detail.ts, side, price, quantity, price)
        for name in sorted(unknown):
            self._coins_a_contract(name)

    def _map_tickers(self, data: Raw, received_at: int) -> Iterator[Event]:
        """Yield turnovers: OKX publishes the 24 h volume in coins, so it is valued at the last price."""
        for ticker in read(_TICKERS, data, "OKX tickers"):
            instrument = self.instruments.get(ticker.instrument)
            if instrument is None:
                continue
            turnover = number_or_nan(ticker.volume_coins) * number_or_nan(ticker.last)
            if turnover >= 0:
                at = ticker.ts or received_at
                yield Turnover(Venue.OKX, instrument.symbol, instrument.name, at, turnover)

    def _map_instruments(self, data: Raw, received_at: int) -> Iterator[Event]:
        for info in read(_INSTRUMENTS, data, "OKX instruments"):
            if info.contract_type != "linear":
                self.instruments.ignored[info.instrument] = f"{info.contract_type or info.instrument_type} contract"
            elif (instrument := self.instruments.get(info.instrument)) is not None:
                listed = contract(instrument, info, received_at)
                self.contract_values[instrument.name] = listed.contract_value
                yield listed

    def _map_tiers(self, data: Raw, received_at: int) -> Iterator[Event]:
        """Yield the tables whose mark is known; the others wait for theirs, for USD tiers need a price."""
        tables: dict[str, list[raw.PositionTier]] = {}
        for tier in read(_TIERS, data, "OKX position tiers"):
            if tier.family:
                tables.setdefault(f"{tier.family}-SWAP", []).append(tier)
        for name, tiers in tables.items():
            instrument = self.instruments.get(name)
            if instrument is None:
                continue
            if self._mark_of(name).mark_price > 0:
                yield from self._tiers_of(instrument, tiers, received_at)
            else:
                self._waiting_tiers[name] = (tiers, received_at)

    def _tiers_of(self, instrument: Instrument, tiers: list[raw.PositionTier], event_time: int) -> Iterator[Event]:
        usd = self._coins_a_contract(instrument.name) * self._mark_of(instrument.name).mark_price
        try:
            table = margin_tiers(tiers, usd)
        except BrokenMarginTiers as error:
            raise PoisonMessage(f"Broken margin tiers of {instrument.name}: {error}") from error
        yield from table.to_events(Venue.OKX, instrument.symbol, instrument.name, event_time)

    def _coins_a_contract(self, name: str) -> float:
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


def _check_accepted(message: raw.Frame) -> None:
    # A notice has a code too: it announces that the connection will be closed for maintenance.
    if message.event == "error" or (not message.event and message.code != "0"):
        raise PoisonMessage(f"OKX refused: {message.msg or 'no reason given'} (code {message.code})")


def _side_that_died(detail: raw.LiquidationDetail) -> int:
    """Return the position's side; in net mode the closing order tells: a long is closed by selling."""
    if detail.position_side in ("long", "short"):
        return int(Side[detail.position_side.upper()])
    if detail.side not in _TAKER_SIDES:
        raise PoisonMessage(f"Expected the side buy or sell, was {detail.side!r}")
    return -_TAKER_SIDES[detail.side]
