"""Hyperliquid frames to events: the pure part, used live, in playback and by `liqheat normalise`.

The only venue whose positions are public: an account's state becomes absolute positions, and a coin that
left it becomes a position of zero. Builder-deployed exchanges (`xyz:AAPL`) are left out on purpose.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Raw

from ingest.venues.bars import Bar, marks_of, trades_of
from ingest.venues.hyperliquid import messages as raw
from ingest.venues.hyperliquid.reference import contract, margin_tiers
from ingest.venues.recent import Recent
from ingest.venues.wire import InstrumentBook, decoder_of, number_or_nan, read
from liqheat.domain.events import NAN, Event, Liquidation, Mark, OpenInterest, Position, Trade, Turnover
from liqheat.domain.instruments import Instrument
from liqheat.domain.margin_tiers import BrokenMarginTiers
from liqheat.domain.market import Side, TakerSide, Venue
from liqheat.domain.windows import HOUR_MS, window_start
from liqheat.platform.errors import PoisonMessage

_FRAME = decoder_of(raw.Frame)
_ITEMS = decoder_of(list[Raw])
_MARKER = decoder_of(raw.Marker)
_TRADES = decoder_of(list[raw.Trade])
_ACTIVE = decoder_of(raw.ActiveContext)
_ALL_CONTEXTS = decoder_of(raw.AllContexts)
_CONTEXTS = decoder_of(list[raw.Context])
_META = decoder_of(raw.Meta)
_STATE = decoder_of(raw.ClearinghouseState)
_CANDLES = decoder_of(list[raw.Candle])
_FILLS = decoder_of(raw.Fills)

_TAKER_SIDES = {"B": int(TakerSide.BUY), "A": int(TakerSide.SELL)}


class HyperliquidMapper:
    """Maps Hyperliquid; remembers the universe, recent trade ids, and which coins each account holds.

    Args:
        instruments: the only ones wanted; None for every perpetual that a frame names.
        traders: gathers the addresses seen in trades with their notional (USD), for whoever polls wallets to
            take; None where nobody does.
    """

    venue = Venue.HYPERLIQUID

    def __init__(
        self,
        instruments: Sequence[Instrument] | None = None,
        contract_values: Mapping[str, float] | None = None,  # noqa: ARG002 - the venue counts in coins
        traders: dict[str, float] | None = None,
    ) -> None:
        self.duplicates = 0
        self.instruments = InstrumentBook(Venue.HYPERLIQUID, instruments)
        self._wanted = tuple(instruments or ())
        self._traders = traders
        self.universe: list[str] = []
        self._trades = Recent()
        self._fills = Recent()
        self._holdings: dict[str, dict[str, int]] = {}
        self._readers: dict[str, Callable[[Raw, int], Iterator[Event]]] = {
            "trades": self._map_trades,
            "activeAssetCtx": self._map_active,
            "allDexsAssetCtxs": self._map_all_contexts,
            "user": self._map_fills,
            "userFills": self._map_fills,
        }

    def want(self, instruments: Sequence[Instrument]) -> None:
        """Map these instruments from now on, those listed while running among them."""
        if tuple(instruments) != self._wanted:
            self._wanted = tuple(instruments)
            self.instruments = InstrumentBook(Venue.HYPERLIQUID, instruments)

    def map(self, frame: bytes, received_at: int) -> Iterator[Event]:
        """Yield the events of a WebSocket frame or answer; see `ingest.venues.interface.Mapper.map`.

        A `clearinghouseState` answer does not name its account, so it comes wrapped:
        `{"channel": "clearinghouseState", "user": "0x...", "data": {...}}`.
        """
        if frame.lstrip().startswith(b"["):
            yield from self._map_list(frame, received_at)
            return
        message = read(_FRAME, frame, "a Hyperliquid frame")
        if message.stream:
            yield from self.map(bytes(message.data), received_at)
        elif reader := self._readers.get(message.channel):
            yield from reader(message.data, received_at)
        elif message.channel == "clearinghouseState":
            yield from self._map_positions(message)
        elif message.channel == "error":
            raise PoisonMessage(f"Hyperliquid refused: {bytes(message.data).decode(errors='replace')}")
        elif len(bytes(message.universe)):
            yield from self._map_meta(read(_META, frame, "a Hyperliquid universe"), received_at)

    def _map_list(self, frame: bytes, received_at: int) -> Iterator[Event]:
        items = read(_ITEMS, frame, "a Hyperliquid answer")
        if not items or not bytes(items[0]).startswith(b"{"):
            return
        marker = read(_MARKER, items[0], "a Hyperliquid list")
        if marker.candle is not None:
            yield from self._map_candles(frame)
        elif marker.tid is not None:
            yield from self._map_trades(Raw(frame), received_at)
        elif len(bytes(marker.universe)):
            # Either one universe with its contexts, or the universes of all exchanges, the venue's own first.
            yield from self._map_meta(read(_META, items[0], "a Hyperliquid universe"), received_at)
            for other in items[1:]:
                if bytes(other).startswith(b"["):
                    yield from self._map_contexts(read(_CONTEXTS, other, "Hyperliquid contexts"), received_at)
                else:
                    for coin in read(_META, other, "a Hyperliquid universe").universe:
                        self.instruments.ignored[coin.name] = "a builder-deployed market"

    def _map_candles(self, frame: bytes) -> Iterator[Event]:
        """Yield bars of trading as trades and, for the venue keeps no history of marks, as marks too."""
        for candle in read(_CANDLES, frame, "Hyperliquid candles"):
            instrument = self.instruments.get(candle.s)
            if instrument is None:
                continue
            coins = instrument.coins_per_unit
            bar = Bar(candle.t, candle.o / coins, candle.h / coins, candle.l / coins, candle.c / coins)
            first, second, third, last = marks_of(instrument, bar)
            yield from (first, second)
            yield from trades_of(instrument, bar, candle.v * coins, (bar.open + bar.high + bar.low + bar.close) / 4)
            yield from (third, last)

    def _map_trades(self, data: Raw, _: int) -> Iterator[Event]:
        trades = read(_TRADES, data, "Hyperliquid trades")
        if len(trades) > 1:
            trades.sort(key=lambda trade: (trade.time, trade.tid))
        for trade in trades:
            instrument = self.instruments.get(trade.coin)
            if instrument is None:
                continue
            # The first message after subscribing is backlog.
            if trade.tid >= 0 and not self._trades.add((trade.coin, trade.tid)):
                self.duplicates += 1
                continue
            coins = instrument.coins_per_unit
            if self._traders is not None:
                for user in trade.users or ():
                    self._traders[user] = self._traders.get(user, 0.0) + trade.px * trade.sz
            yield Trade(
                Venue.HYPERLIQUID,
                instrument.symbol,
                instrument.name,
                trade.time,
                trade.px / coins,
                trade.sz * coins,
                _taker_side(trade.side),
                trade.tid,
            )

    def _map_active(self, data: Raw, received_at: int) -> Iterator[Event]:
        active = read(_ACTIVE, data, "a Hyperliquid context")
        yield from self._map_context(active.coin, active.ctx, received_at)

    def _map_all_contexts(self, data: Raw, received_at: int) -> Iterator[Event]:
        for exchange, contexts in read(_ALL_CONTEXTS, data, "Hyperliquid contexts").ctxs:
            if exchange:
                self.instruments.ignored[f"{exchange}:*"] = "builder-deployed markets"
            else:
                yield from self._map_contexts(contexts, received_at)

    def _map_contexts(self, contexts: list[raw.Context], received_at: int) -> Iterator[Event]:
        """Map contexts by their place in the universe, which only grows at its end."""
        if contexts and not self.universe:
            raise PoisonMessage("The universe of Hyperliquid is not known: read its meta first")
        for name, context in zip(self.universe, contexts, strict=False):
            yield from self._map_context(name, context, received_at)

    def _map_context(self, name: str, context: raw.Context, received_at: int) -> Iterator[Event]:
        instrument = self.instruments.get(name)
        if instrument is None:
            return
        where = (Venue.HYPERLIQUID, instrument.symbol, instrument.name, received_at)
        coins = instrument.coins_per_unit
        mark_price = number_or_nan(context.mark_price)
        if mark_price > 0:
            oracle_price = number_or_nan(context.oracle_price)
            # Funding is paid at every full hour.
            next_funding_time = window_start(received_at, HOUR_MS) + HOUR_MS
            index_price = oracle_price / coins if oracle_price > 0 else NAN
            yield Mark(*where, mark_price / coins, index_price, number_or_nan(context.funding), next_funding_time)
        yield OpenInterest(*where, context.open_interest * coins)
        yield Turnover(*where, context.day_notional_volume)

    def _map_meta(self, meta: raw.Meta, received_at: int) -> Iterator[Event]:
        """Yield contracts and margin tiers; a broken table is refused after the others have been read."""
        self.universe = [coin.name for coin in meta.universe]
        tables = dict(meta.margin_tables)
        broken: list[str] = []
        for coin in meta.universe:
            instrument = self.instruments.get(coin.name)
            if instrument is None:
                continue
            yield contract(instrument, coin, received_at)
            if coin.is_delisted:
                continue
            try:
                tiers = margin_tiers(coin, tables)
            except BrokenMarginTiers as error:
                broken.append(f"{coin.name}: {error}")
                continue
            yield from tiers.to_events(Venue.HYPERLIQUID, instrument.symbol, instrument.name, received_at)
        if broken:
            raise PoisonMessage(f"Broken margin tiers of Hyperliquid: {'; '.join(broken)}")

    def _map_positions(self, message: raw.Frame) -> Iterator[Event]:
        """Yield the account's positions as they are now, and a zero for each that it no longer holds.

        An account that is seen for the first time may have left any coin while nobody looked, so then every
        wanted one that it does not hold is ended.
        """
        if not message.user:
            raise PoisonMessage("Expected the user of a clearinghouse state beside it")
        state = read(_STATE, message.data, "a Hyperliquid account")
        held = self._holdings.get(message.user)
        if held is None:
            held = dict.fromkeys((instrument.name for instrument in self._wanted), int(Side.LONG))
        holding: dict[str, int] = {}
        for item in state.asset_positions:
            position = item.position
            instrument = self.instruments.get(position.coin)
            if instrument is None or position.szi == 0:
                continue
            side = int(Side.LONG if position.szi > 0 else Side.SHORT)
            holding[instrument.name] = side
            yield _position(instrument, side, position, state, message.user)
        for name, side in held.items():
            instrument = self.instruments.get(name)
            if name not in holding and instrument is not None:
                yield Position(Venue.HYPERLIQUID, instrument.symbol, name, state.time, message.user, side, quantity=0.0)
        self._holdings[message.user] = holding

    def _map_fills(self, data: Raw, _: int) -> Iterator[Event]:
        """Yield liquidations among the fills of watched accounts; there is no market-wide feed."""
        fills = read(_FILLS, data, "Hyperliquid fills")
        for fill in sorted(fills.fills, key=lambda each: (each.time, each.tid)):
            instrument = self.instruments.get(fill.coin)
            if fill.liquidation is None or instrument is None or not self._fills.add((fill.coin, fill.tid)):
                continue
            # The liquidated account's order takes, so where the account of the fill is not named, taking tells.
            is_own = fills.user == fill.liquidation.liquidated_user if fills.user else fill.crossed
            order_side = _taker_side(fill.side) * (1 if is_own else -1)
            yield Liquidation(
                Venue.HYPERLIQUID,
                instrument.symbol,
                instrument.name,
                fill.time,
                -order_side,
                fill.px / instrument.coins_per_unit,
                fill.sz * instrument.coins_per_unit,
            )


def _taker_side(text: str) -> int:
    try:
        return _TAKER_SIDES[text]
    except KeyError:
        raise PoisonMessage(f"Expected the side A or B, was {text!r}") from None


def _position(
    instrument: Instrument, side: int, position: raw.PositionDetail, state: raw.ClearinghouseState, user: str
) -> Position:
    coins = instrument.coins_per_unit
    return Position(
        Venue.HYPERLIQUID,
        instrument.symbol,
        instrument.name,
        state.time,
        user,
        side,
        abs(position.szi) * coins,
        number_or_nan(position.entry_price) / coins,
        position.leverage.value,
        position.leverage.type == "cross",
        number_or_nan(position.liquidation_price) / coins,
        number_or_nan(position.margin_used),
        number_or_nan(state.margin_summary.account_value or state.cross_margin_summary.account_value),
    )
