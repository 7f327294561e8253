"""Hyperliquid frames to events: the pure part, used live, in playback and by `liqheat normalise`.

The only venue whose positions are public: an account's state becomes absolute positions, and a coin that
left it becomes a position of zero. Builder-deployed exchanges (`xyz:AAPL`) are left out on purpose.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Raw

from ingest.venues.bars import bar_of, distinct, marks_of, trades_of
from ingest.venues.base_mapper import BaseMapper
from ingest.venues.depth import DEPTH, Book, depth_of, read_book
from ingest.venues.hyperliquid import messages as raw
from ingest.venues.hyperliquid.accounts import account_of, position_of, state_of
from ingest.venues.hyperliquid.reference import Universe, contract, tables_of, universe_of
from ingest.venues.values import amount_or_nan, coin_price_or_nan, part_of, rate_or_nan, traded
from ingest.venues.wire import Report, RowReader, decoder_of, fields_in, name_in, read, text_of, timely
from liqheat.domain.events import NAN, Event, Liquidation, Mark, OpenInterest, Position, Trade, Turnover
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Side, Venue
from liqheat.domain.windows import HOUR_MS, window_start
from liqheat.platform.errors import PoisonMessage
from liqheat.platform.seen import TRADES_REMEMBERED, Recent

_FRAME = decoder_of(raw.Frame)
_ITEMS = decoder_of(list[Raw])
_ACTIVE = decoder_of(raw.ActiveContext)
_ALL_CONTEXTS = decoder_of(raw.AllContexts)
_EXCHANGES = RowReader(tuple[str, Raw], "an exchange's Hyperliquid contexts")
_CONTEXT = decoder_of(raw.Context)
_FILL_LIST = decoder_of(raw.Fills)
_TRADES = RowReader(raw.Trade, "a Hyperliquid trade")
_CANDLES = RowReader(raw.Candle, "a Hyperliquid candle")
_FILLS = RowReader(raw.Fill, "a Hyperliquid fill")
_ORDER_BOOK = decoder_of(raw.OrderBook)
_LEVELS = RowReader(raw.BookLevel, "a level of a Hyperliquid order book")

SIGNIFICANT_FIGURES = (2, 3, 4)
"""Aggregations of a book that are read, coarse first: with each figure more, its levels reach a tenth as far."""
LEVELS = 20
"""Levels per side that the venue gives."""
# What lies far from mid changes slowly, but a coarse reading that is older says nothing of now.
_BOOK_LASTS_MS = 120_000

_SILENT_CHANNELS = frozenset(
    {"subscriptionResponse", "pong", "post", "activeSpotAssetCtx", "allMids", "bbo", "candle", "l2Book"}
)
"""Channels that answer what we sent, or say nothing about positions; others that are not read are notices."""
_FIGURES = {str(figures): figures for figures in range(1, 10)}
_GREETING = b"Websocket connection established"


class HyperliquidMapper(BaseMapper):
    """Maps Hyperliquid; remembers the universe, recent trade ids, and which coins each account holds.

    Args:
        instruments: the only ones wanted; None for every perpetual that a frame names.
        traders: gathers the addresses seen in trades with their notional (USD), for the wallet poller to
            take; None where nobody does.
    """

    venue = Venue.HYPERLIQUID

    def __init__(
        self,
        instruments: Sequence[Instrument] | None = None,
        contract_values: Mapping[str, float] | None = None,
        traders: dict[str, float] | None = None,
    ) -> None:
        super().__init__(instruments, contract_values)
        self._wanted = tuple(instruments or ())
        self._traders = traders
        self.universe: list[str] = []
        self._trades = Recent(TRADES_REMEMBERED)
        self._fills = Recent()
        self._books: dict[str, dict[int, tuple[int, Book]]] = {}  # coin -> figures -> time, book
        self._holdings: dict[str, dict[str, int]] = {}
        self._told_at: dict[str, int] = {}  # account -> time of the state that the holdings are of
        self._readers: dict[str, Callable[[Raw, int], Iterator[Event]]] = {
            "trades": self._map_trades,
            "activeAssetCtx": self._map_active,
            "allDexsAssetCtxs": self._map_all_contexts,
            "user": self._map_fills,
            "userFills": self._map_fills,
        }

    def want(self, instruments: Sequence[Instrument]) -> None:
        """Map exactly these instruments from now on, those listed while running among them."""
        if tuple(instruments) != self._wanted:
            self._wanted = tuple(instruments)
            super().want(instruments)

    def events_of(self, frame: bytes, received_at: int) -> Iterator[Event]:
        """Yield the events of a WebSocket frame or answer.

        A `clearinghouseState` answer does not name its account, so it comes wrapped:
        `{"channel": "clearinghouseState", "user": "0x...", "data": {...}}`.
        """
        if frame.lstrip().startswith(b"["):
            return self._map_list(frame, received_at)
        if frame.startswith(_GREETING):
            self.report.notice("greeting")
            return iter(())
        message = read(_FRAME, frame, "a Hyperliquid frame")
        if message.stream and f"@{DEPTH}-" in message.stream:
            return self._depth(message.stream, message.data, received_at)
        if message.stream:
            body = bytes(message.data)
            if not body.lstrip().startswith(b"["):
                raise PoisonMessage(f"Expected a list, was {body[:80].decode(errors='replace')}")
            return self._map_list(body, received_at)
        if reader := self._readers.get(message.channel or ""):
            return reader(message.data, received_at)
        if message.channel == "clearinghouseState":
            return self._map_positions(message, received_at)
        if message.channel == "error":
            text = bytes(message.data).decode(errors="replace")
            self.take_refusal(text, f"Hyperliquid refused: {text}")
        elif len(bytes(message.universe)):
            return self._map_meta(universe_of(frame, self.report), received_at)
        else:
            self.report.notice(message.channel or "an answer of another kind", _SILENT_CHANNELS)
        return iter(())

    def _map_list(self, frame: bytes, received_at: int) -> Iterator[Event]:
        items = read(_ITEMS, frame, "a Hyperliquid answer")
        fields = [fields_in(item) for item in items]
        if not items:
            return
        if "universe" in fields[0]:
            # Either one universe with its contexts, or the universes of all exchanges, the venue's own first.
            universe = universe_of(items[0], self.report)
            yield from self._map_meta(universe, received_at)
            for other, value in zip(items[1:], fields[1:], strict=True):
                if bytes(other).startswith(b"[") and not universe.is_foreign:
                    yield from self._map_contexts(other, received_at)
                elif "universe" in value:
                    for name in universe_of(other, Report()).names:
                        self.instruments.ignored[name] = "a builder-deployed market"
        elif any("tid" in row for row in fields):
            yield from self._map_trades(Raw(frame), received_at)
        elif any("t" in row for row in fields):
            candles = _CANDLES.read(frame, self.report, self.instruments.get)
            bars = distinct(candles, lambda row: (row.s, row.t))
            yield from self.report.each(bars, lambda row: row.s, lambda row: self._candle(row, received_at))
        else:
            self.report.notice("an answer of another kind")

    def _depth(self, stream: str, data: Raw, received_at: int) -> Iterator[Event]:
        """Join the aggregations of one book: coarse ones are kept until the finest comes."""
        book = read(_ORDER_BOOK, data, "a Hyperliquid order book")
        instrument = self.instruments.get(book.coin)
        if instrument is None:
            return
        timely(book.time, received_at)
        figures = _FIGURES.get(stream.rpartition("-")[2])
        if figures is None:
            raise PoisonMessage(f"Expected the significant figures of a book, was {stream[:80]!r}")

        def events_of(book: raw.OrderBook) -> Iterable[Event]:
            reading = read_book(*book.levels, _LEVELS, self.report, book.coin, LEVELS)
            known = self._books.setdefault(book.coin, {})
            known[figures] = (book.time, reading)
            if figures < SIGNIFICANT_FIGURES[-1]:
                return ()
            readings = [known[each] for each in sorted(known, reverse=True)]
            recent = [each for time, each in readings if book.time - time <= _BOOK_LASTS_MS]
            depth = depth_of(instrument, book.time, recent)
            return () if depth is None else (depth,)

        yield from self.report.each((book,), lambda book: book.coin, events_of)

    def _candle(self, candle: raw.Candle, received_at: int) -> Iterator[Event]:
        """Yield a bar of trading as trades and, for the venue keeps no history of marks, as marks too."""
        instrument = self.instruments.get(candle.s)
        if instrument is None:
            return
        bar = bar_of(instrument, candle.t, (candle.o, candle.h, candle.l, candle.c), received_at)
        first, second, third, last = marks_of(instrument, bar)
        yield from (first, second)
        quantity = candle.v * instrument.coins_per_unit
        yield from trades_of(instrument, bar, quantity, (bar.open + bar.high + bar.low + bar.close) / 4)
        yield from (third, last)

    def _map_trades(self, data: Raw, received_at: int) -> Iterator[Event]:
        trades = _TRADES.read(data, self.report, self.instruments.get)
        if len(trades) > 1:
            trades.sort(key=lambda trade: (trade.time, trade.tid))
        return self.report.each(trades, lambda row: row.coin, lambda row: self._trade(row, received_at))

    def _trade(self, trade: raw.Trade, received_at: int) -> Iterable[Event]:
        instrument = self.instruments.get(trade.coin)
        if instrument is None:
            return ()
        side = raw.taker_side(trade.side)
        timely(trade.time, received_at)
        coins = instrument.coins_per_unit
        price, quantity = traded(trade.px, trade.sz, coins, coins)
        # The first message after subscribing is backlog.
        if trade.tid >= 0 and not self._trades.add((trade.coin, trade.tid)):
            self.duplicates += 1
            return ()
        if self._traders is not None:
            for user in trade.users if isinstance(trade.users, list) else ():
                if not isinstance(user, str) or not user:
                    continue
                address = user.lower()
                self._traders[address] = self._traders.get(address, 0.0) + trade.px * trade.sz
        where = (Venue.HYPERLIQUID, instrument.symbol, instrument.name, trade.time)
        return (Trade(*where, price, quantity, side, trade.tid),)

    def _map_active(self, data: Raw, received_at: int) -> Iterator[Event]:
        active = read(_ACTIVE, data, "a Hyperliquid context")
        return self._each_context([(active.coin, active.ctx)], received_at)

    def _map_all_contexts(self, data: Raw, received_at: int) -> Iterator[Event]:
        rows = read(_ALL_CONTEXTS, data, "Hyperliquid contexts").ctxs
        for exchange, contexts in _EXCHANGES.each(rows, self.report):
            if exchange:
                self.instruments.ignored[f"{exchange}:*"] = "builder-deployed markets"
            else:
                yield from self._map_contexts(contexts, received_at)

    def _map_contexts(self, data: Raw, received_at: int) -> Iterator[Event]:
        """Map contexts by their place in the universe, which only grows at its end."""
        contexts = read(_ITEMS, data, "Hyperliquid contexts")
        if contexts and not self.universe:
            raise PoisonMessage("The universe of Hyperliquid is not known: read its meta first")
        if len(contexts) > len(self.universe):
            self.report.notice("contexts of coins past the universe")
        return self._each_context(list(zip(self.universe, contexts, strict=False)), received_at)

    def _each_context(self, contexts: Sequence[tuple[str, Raw]], received_at: int) -> Iterator[Event]:
        return self.report.each(contexts, lambda pair: pair[0], lambda pair: self._context(*pair, received_at))

    def _context(self, name: str, row: Raw, received_at: int) -> Iterator[Event]:
        # A coin of the universe that cannot be read was refused with it.
        instrument = self.instruments.get(name) if name else None
        if instrument is None:
            return
        context = read(_CONTEXT, row, "a Hyperliquid context")
        where = (Venue.HYPERLIQUID, instrument.symbol, instrument.name, received_at)
        coins = instrument.coins_per_unit
        # Funding is paid at every full hour.
        next_funding_time = window_start(received_at, HOUR_MS) + HOUR_MS

        def mark() -> Mark:
            price, oracle = coin_price_or_nan(context.mark_price, coins), coin_price_or_nan(context.oracle_price, coins)
            return Mark(*where, price, oracle, rate_or_nan(context.funding), next_funding_time)

        marked = part_of(self.report, name, row, mark, None)
        open_interest = part_of(self.report, name, row, lambda: amount_or_nan(context.open_interest), NAN)
        turnover = part_of(self.report, name, row, lambda: amount_or_nan(context.day_notional_volume), NAN)
        if marked is not None and marked.mark_price > 0:
            yield marked
        if open_interest >= 0:
            yield OpenInterest(*where, open_interest * coins)
        if turnover >= 0:
            yield Turnover(*where, turnover)

    def _map_meta(self, universe: Universe, received_at: int) -> Iterator[Event]:
        """Yield contracts and margin tiers, none of a foreign universe; a broken table is refused, others are read."""
        if universe.is_foreign:
            self.instruments.ignored |= dict.fromkeys(universe.names, "a builder's or spot market")
            return iter(())
        self.universe = list(universe.names)
        tables, refused = tables_of(universe, universe.names)

        def events_of(coin: raw.Coin) -> Iterator[Event]:
            instrument = self.instruments.get(coin.name)
            if instrument is None:
                return
            yield contract(instrument, coin, received_at)
            if coin.is_delisted:
                return
            if coin.name in refused:
                raise PoisonMessage(f"Broken margin tiers of Hyperliquid: {refused[coin.name]}")
            tiers = tables[coin.name]
            yield from tiers.to_events(Venue.HYPERLIQUID, instrument.symbol, instrument.name, received_at)

        coins = [coin for coin in universe.coins if coin is not None]
        return self.report.each(coins, lambda coin: coin.name, events_of)

    def _map_positions(self, message: raw.Frame, received_at: int) -> Iterator[Event]:
        """Yield the account's positions as they are now, and a zero for each that it no longer holds.

        An account that is seen for the first time may have left any coin while nobody looked, so then every
        wanted one that it does not hold is ended. A position that cannot be read stays as it was.
        """
        if (account := account_of(message)) is None:
            return
        user, data = account
        state = state_of(data, self.report)
        if timely(state.time, received_at) < self._told_at.get(user, 0):
            self.duplicates += 1  # an answer that was overtaken
            return
        held = self._holdings.get(user)
        if held is None:
            held = dict.fromkeys((instrument.name for instrument in self._wanted), int(Side.LONG))
        holding: dict[str, int] = {}

        def events_of(item: raw.AssetPosition) -> Iterable[Event]:
            instrument = self.instruments.get(item.position.coin)
            if instrument is None or item.position.szi == 0:
                return ()
            side = int(Side.LONG if item.position.szi > 0 else Side.SHORT)
            event = position_of(instrument, side, item.position, state, user)
            holding[instrument.name] = side
            return (event,)

        yield from self.report.each(state.asset_positions, lambda item: item.position.coin, events_of)
        unread = {refusal.instrument for refusal in self.report.refused}
        for name, side in held.items():
            if name in holding:
                continue
            instrument = self.instruments.get(name)
            if any(not name_in(refusal.row) for refusal in self.report.refused) or name in unread:
                holding[name] = side
            elif instrument is not None:
                yield Position(Venue.HYPERLIQUID, instrument.symbol, name, state.time, user, side, quantity=0.0)
        self._holdings[user], self._told_at[user] = holding, state.time

    def _map_fills(self, data: Raw, received_at: int) -> Iterator[Event]:
        """Yield liquidations among the fills of watched accounts; there is no market-wide feed."""
        answer = read(_FILL_LIST, data, "Hyperliquid fills")
        if not len(bytes(answer.fills)):
            return iter(())
        fills = _FILLS.read(answer.fills, self.report, self.instruments.get)
        fills.sort(key=lambda each: (each.time, each.tid))
        user = text_of(answer.user).lower()
        return self.report.each(fills, lambda fill: fill.coin, lambda fill: self._fill(fill, user, received_at))

    def _fill(self, fill: raw.Fill, user: str, received_at: int) -> Iterable[Event]:
        instrument = self.instruments.get(fill.coin)
        if fill.liquidation is None or instrument is None:
            return ()
        # The liquidated account's order takes, so where one of both accounts is not named, the taker is it.
        liquidated = (fill.liquidation.liquidated_user or "").lower()
        is_own = user == liquidated if user and liquidated else bool(fill.crossed)
        order_side = raw.taker_side(fill.side) * (1 if is_own else -1)
        timely(fill.time, received_at)
        coins = instrument.coins_per_unit
        price, quantity = traded(fill.px, fill.sz, coins, coins)
        # Both sides of a fill report it, each under its own account.
        if fill.tid >= 0 and not self._fills.add((fill.coin, fill.tid)):
            self.duplicates += 1
            return ()
        where = (Venue.HYPERLIQUID, instrument.symbol, instrument.name, fill.time)
        return (Liquidation(*where, -order_side, price, quantity),)
