"""Binance USD-M as the load writes it: combined streams, exchangeInfo, open interest and tickers.

Shapes: developers.binance.com, USD-M Market Streams and Market Data. Marks come once per second (`@1s`), all symbols
together; a forced order is published at most once per symbol and second.
"""

import json
from collections.abc import Iterator, Sequence

import numpy as np

from liqheat.domain.market import Venue
from tests.bench.market.activity import Market
from tests.bench.market.tape import SECOND_MS, Step
from tests.bench.market.venues.base import Framed, Heard, Listing, Query, framed, price_text, size_text

_FUNDING_MS = 8 * 3_600 * SECOND_MS


class BinanceLoad:
    """See `base.VenueWire`."""

    venue = Venue.BINANCE
    socket_path = "/market/stream"
    budget = "2,400 weight per minute; half of it for open interest, 1 per symbol; all tickers in one request of 40"

    def __init__(self, markets: Sequence[Market]) -> None:
        self._markets = markets
        self._listing = Listing(self.venue, markets)
        self._next_id = np.ones(len(markets), np.int64).tolist()
        self._published_at = [0] * len(markets)
        self._trade = {}
        self._mark = {}
        for number, market in self._listing.own:
            name, stream = market.name, market.name.lower()
            price, size = f"%.{market.price_decimals}f", f"%.{market.size_decimals}f"
            self._trade[number] = (
                f"{stream}@aggTrade",
                f'{{"stream":"{stream}@aggTrade","data":{{"e":"aggTrade","E":%d,"a":%d,"s":"{name}","p":"{price}",'
                f'"q":"{size}","f":%d,"l":%d,"T":%d,"m":%s,"st":1}}}}',
                10.0**-market.size_decimals,
            )
            body = (
                f'{{"e":"markPriceUpdate","E":%d,"s":"{name}","p":"{price}","i":"{price}","P":"{price}",'
                '"r":"0.00010000","T":%d,"st":1}'
            )
            topic = f"{stream}@markPrice@1s"
            self._mark[number] = topic, body, f'{{"stream":"{topic}","data":%s}}'
        self._last: Step | None = None

    def frames(self, step: Step) -> Iterator[Framed]:
        """Yield trades, forced orders and marks, the marks both per symbol and as the array of all."""
        self._last = step
        yield from self._trades(step)
        yield from self._forced_orders(step)
        due = [number for number in step.marks.tolist() if number in self._mark]
        if not due:
            return
        funding = (step.now // _FUNDING_MS + 1) * _FUNDING_MS
        rows = []
        for number in due:
            topic, body, wrapped = self._mark[number]
            price = step.prices[number]
            row = body % (step.now, price, price, price, funding)
            rows.append(row)
            yield Framed(topic, framed(wrapped % row))
        topic = "!markPrice@arr@1s"
        yield Framed(topic, framed(f'{{"stream":"{topic}","data":[{",".join(rows)}]}}'))

    def _trades(self, step: Step) -> Iterator[Framed]:
        chosen = np.flatnonzero((step.trade_market >= self._listing.first) & (step.trade_market <= self._listing.last))
        probe = np.flatnonzero(step.trade_market == len(self._markets) - 1)
        rows = np.concatenate((chosen, probe))
        columns = (step.trade_market, step.trade_price, step.trade_size, step.trade_time, step.trade_buys)
        for number, price, size, time, buys in zip(*(column[rows].tolist() for column in columns), strict=True):
            entry = self._trade.get(number)
            if entry is None:
                continue
            topic, template, least = entry
            identifier = self._next_id[number]
            self._next_id[number] = identifier + 1
            sold = "false" if buys else "true"
            numbers = (time, identifier, price, max(size, least), identifier, identifier, time, sold)
            yield Framed(topic, framed(template % numbers))

    def _forced_orders(self, step: Step) -> Iterator[Framed]:
        for row, number in enumerate(step.death_market.tolist()):
            if number not in self._mark or step.now - self._published_at[number] < SECOND_MS:
                continue
            self._published_at[number] = step.now
            market = self._markets[number]
            price, size = price_text(market, step.death_price[row]), size_text(market, step.death_size[row])
            side = "SELL" if step.death_longs[row] else "BUY"
            order = (
                f'{{"s":"{market.name}","S":"{side}","o":"LIMIT","f":"IOC","q":"{size}","p":"{price}","ap":"{price}",'
                f'"X":"FILLED","l":"{size}","z":"{size}","T":{step.now}}}'
            )
            for topic in (f"{market.name.lower()}@forceOrder", "!forceOrder@arr"):
                data = f'{{"e":"forceOrder","E":{step.now},"o":{order}}}'
                yield Framed(topic, framed(f'{{"stream":"{topic}","data":{data}}}'))

    def hear(self, text: str, now: int) -> Heard:
        """Take SUBSCRIBE."""
        message = json.loads(text)
        topics = message["params"] if message["method"] == "SUBSCRIBE" else ()
        return Heard(topics, [json.dumps({"result": None, "id": message.get("id")})])

    def answer(self, path: str, query: Query, now: int) -> bytes | None:
        """Answer the endpoints that the service reads."""
        symbol = query.get("symbol")
        match path:
            case "/fapi/v1/exchangeInfo":
                rows = [_contract(market) for _, market in self._listing.own]
                return json.dumps({"timezone": "UTC", "serverTime": now, "symbols": rows}).encode()
            case "/fapi/v1/openInterest" if symbol in self._listing.by_name:
                number = self._listing.by_name[symbol]
                held = self._last.open_interest[number] if self._last else 1.0
                text = size_text(self._markets[number], held)
                return f'{{"openInterest":"{text}","symbol":"{symbol}","time":{now}}}'.encode()
            case "/fapi/v1/ticker/24hr":
                chosen = [self._listing.by_name[symbol]] if symbol else sorted(self._listing.numbers)
                rows = [_ticker(self._markets[number], now) for number in chosen]
                return json.dumps(rows[0] if symbol else rows).encode()
            case "/fapi/v1/aggTrades" | "/fapi/v1/markPriceKlines":
                # Asked for after a cut, which this load has none of.
                return b"[]"
            case _:
                return None


def _contract(market: Market) -> dict[str, object]:
    tick, step = f"{10.0**-market.price_decimals:.12f}", f"{10.0**-market.size_decimals:.12f}"
    return {
        "symbol": market.name,
        "pair": market.name,
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "baseAsset": market.name.removesuffix("USDT"),
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": tick, "minPrice": tick, "maxPrice": "1000000"},
            {"filterType": "LOT_SIZE", "stepSize": step, "minQty": step, "maxQty": "100000000"},
        ],
    }


def _ticker(market: Market, now: int) -> dict[str, object]:
    price = price_text(market, market.unit_price)
    return {
        "symbol": market.name,
        "priceChange": "0",
        "priceChangePercent": "0.000",
        "weightedAvgPrice": price,
        "lastPrice": price,
        "lastQty": "1",
        "openPrice": price,
        "highPrice": price,
        "lowPrice": price,
        "volume": size_text(market, market.turnover_usd / market.size_usd),
        "quoteVolume": f"{market.turnover_usd:.2f}",
        "openTime": now - 86_400_000,
        "closeTime": now,
        "firstId": 1,
        "lastId": 1,
        "count": round(market.trades_per_second * 86_400),
    }
