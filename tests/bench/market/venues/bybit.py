"""Bybit v5 linear as the load writes it: trades, tickers (snapshot, then deltas), liquidations, listings, risk limits.

Shapes: bybit-exchange docs, v5. One ticker delta per second and market here, with the mark, and with open interest
and turnover where trades changed them; bid and ask alone, which the venue pushes up to ten times per second, are left
out, for nothing of liqheat reads them.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from liqheat.domain.market import Venue
from tests.bench.market.activity import Market
from tests.bench.market.tape import Step
from tests.bench.market.venues.base import Framed, Heard, Listing, Query, framed, price_text, size_text

_FUNDING_MS = 8 * 3_600_000


class BybitLoad:
    """See `base.VenueWire`."""

    venue = Venue.BYBIT
    socket_path = "/v5/public/linear"
    budget = "600 requests per 5 s; open interest and turnover come with the tickers, nothing is polled"

    def __init__(self, markets: Sequence[Market]) -> None:
        self._markets = markets
        self._listing = Listing(self.venue, markets)
        self._next_id = 1
        self._traded: set[int] = set()
        """Markets that traded since their last ticker: only theirs say open interest and turnover."""
        self._last: Step | None = None

    def frames(self, step: Step) -> Iterator[Framed]:
        """Yield the trades of each symbol in one frame, its liquidations, and a ticker per second."""
        self._last = step
        own = self._listing.numbers
        span = (step.trade_market >= self._listing.first) & (step.trade_market <= self._listing.last)
        columns = (step.trade_market, step.trade_price, step.trade_size, step.trade_time, step.trade_buys)
        rows = zip(*(column[span].tolist() for column in columns), strict=True)
        for number, group in groupby(rows, key=itemgetter(0)):
            market = self._markets[number]
            self._traded.add(number)
            topic = f"publicTrade.{market.name}"
            trades = ",".join(self._trade(market, *row[1:]) for row in group)
            yield Framed(
                topic, framed(f'{{"topic":"{topic}","type":"snapshot","ts":{step.now},"data":[{trades}]}}')
            )  # fmt: skip
        yield from self._liquidations(step)
        for number in step.marks.tolist():
            if number in own:
                market = self._markets[number]
                topic = f"tickers.{market.name}"
                data = self._ticker(number, step, number in self._traded, is_whole=False)
                self._traded.discard(number)
                yield Framed(
                    topic,
                    framed(f'{{"topic":"{topic}","type":"delta","data":{data},"cs":{step.now},"ts":{step.now}}}'),
                )

    def _trade(self, market: Market, price: float, size: float, time: int, buys: int) -> str:
        self._next_id += 1
        side, tick = ("Buy", "PlusTick") if buys else ("Sell", "MinusTick")
        return (
            f'{{"T":{time},"s":"{market.name}","S":"{side}","v":"{size_text(market, size)}",'
            f'"p":"{price_text(market, price)}","L":"{tick}",'
            f'"i":"{self._next_id:08x}-2c5b-5d1e-9a3b-0123456789ab","BT":false,"RPI":false}}'
        )

    def _liquidations(self, step: Step) -> Iterator[Framed]:
        for row, number in enumerate(step.death_market.tolist()):
            if number in self._listing.numbers:
                market = self._markets[number]
                topic = f"allLiquidation.{market.name}"
                side = "Buy" if step.death_longs[row] else "Sell"
                price, size = price_text(market, step.death_price[row]), size_text(market, step.death_size[row])
                data = f'{{"T":{step.now},"s":"{market.name}","S":"{side}","v":"{size}","p":"{price}"}}'
                yield Framed(
                    topic, framed(f'{{"topic":"{topic}","type":"snapshot","ts":{step.now},"data":[{data}]}}')
                )  # fmt: skip

    def _ticker(self, number: int, step: Step, has_traded: bool, *, is_whole: bool) -> str:
        market = self._markets[number]
        price = price_text(market, step.prices[number])
        changed = f'{{"symbol":"{market.name}","markPrice":"{price}","indexPrice":"{price}"'
        if has_traded or is_whole:
            held = step.open_interest[number]
            changed += (
                f',"lastPrice":"{price}","openInterest":"{size_text(market, 2 * held)}",'
                f'"singleOpenInterest":"{size_text(market, held)}","turnover24h":"{step.turnover[number]:.4f}"'
            )
        if not is_whole:
            return changed + "}"
        funding = (step.now // _FUNDING_MS + 1) * _FUNDING_MS
        return changed + f',"fundingRate":"0.0001","nextFundingTime":"{funding}","fundingIntervalHour":"8"}}'

    def hear(self, text: str, now: int) -> Heard:
        """Answer ping and subscribe; a new ticker begins with its snapshot."""
        message = json.loads(text)
        if message["op"] == "ping":
            return Heard((), ['{"success":true,"ret_msg":"pong","conn_id":"load","op":"ping"}'])
        topics = message.get("args") or []
        answers = [json.dumps({"success": True, "ret_msg": "", "req_id": message.get("req_id", ""), "op": "subscribe"})]
        for topic in topics:
            kind, _, name = topic.partition(".")
            if kind == "tickers" and self._last is not None and name in self._listing.by_name:
                data = self._ticker(self._listing.by_name[name], self._last, has_traded=True, is_whole=True)
                answers.append(f'{{"topic":"{topic}","type":"snapshot","data":{data},"cs":{now},"ts":{now}}}')
        return Heard(topics, answers)

    def answer(self, path: str, query: Query, now: int) -> bytes | None:
        """Answer instruments-info (one page) and risk-limit of one symbol."""
        own = dict(self._listing.own)
        number = self._listing.by_name.get(str(query.get("symbol", "")))
        rows: list[dict[str, object]]
        match path:
            case "/v5/market/instruments-info":
                rows = [_instrument(market) for market in own.values()]
            case "/v5/market/risk-limit":
                chosen = own.values() if number is None else [own[number]]
                rows = [row for market in chosen for row in _risk_limits(market)]
            case "/v5/market/recent-trade" | "/v5/market/mark-price-kline":
                rows = []
            case _:
                return None
        result = {"category": "linear", "nextPageCursor": "", "list": rows}
        return json.dumps({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now}).encode()


def _instrument(market: Market) -> dict[str, object]:
    return {
        "symbol": market.name,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": market.name.removesuffix("USDT"),
        "quoteCoin": "USDT",
        "fundingInterval": 480,
        "priceFilter": {"tickSize": f"{10.0**-market.price_decimals:.12f}"},
        "lotSizeFilter": {"qtyStep": f"{10.0**-market.size_decimals:.12f}"},
    }


def _risk_limits(market: Market) -> list[dict[str, object]]:
    return [
        {
            "id": number,
            "symbol": market.name,
            "riskLimitValue": f"{cap:.2f}",
            "maintenanceMargin": f"{rate:.6f}",
            "initialMargin": f"{1 / leverage:.6f}",
            "isLowestRisk": int(number == 1),
            "maxLeverage": f"{leverage:.2f}",
            "mmDeduction": f"{amount:.4f}" if number > 1 else "",
        }
        for number, (_, cap, leverage, rate, amount) in enumerate(market.tiers.rows(), start=1)
    ]
