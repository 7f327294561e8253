"""Hyperliquid as the load writes it: trades with both accounts, contexts, wallets and the leaderboard.

Shapes: its gitbook. A context per second and coin carries mark, open interest and turnover; a wallet holds one to
eight positions on coins near the top of the ranking.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from liqheat.domain.market import Venue
from tests.bench.market.activity import Market
from tests.bench.market.tape import SECOND_MS, Step
from tests.bench.market.venues.base import Framed, Heard, Listing, Query, framed, price_text, size_text

WALLETS = 20_000
"""Accounts that trade; the busiest coins show the first of them most often."""
LEADERS = 2_000
_MOST_POSITIONS = 8
_TOP_LEVERAGE = 40


class HyperliquidLoad:
    """See `base.VenueWire`."""

    venue = Venue.HYPERLIQUID
    socket_path = "/ws"
    budget = "1,200 weight per minute; 15 wallets of weight 2 every 2 s; open interest comes with the contexts"

    def __init__(self, markets: Sequence[Market], seed: int = 1) -> None:
        self._markets = markets
        self._listing = Listing(self.venue, markets)
        self._random = np.random.default_rng(seed)
        self._next_id = 1
        self._last: Step | None = None

    def frames(self, step: Step) -> Iterator[Framed]:
        """Yield the trades of each coin in one frame, and contexts, alone and those of all coins together."""
        self._last = step
        span = (step.trade_market >= self._listing.first) & (step.trade_market <= self._listing.last)
        columns = (step.trade_market, step.trade_price, step.trade_size, step.trade_time, step.trade_buys)
        users = (self._random.pareto(1.0, (int(span.sum()), 2)) * 50).astype(np.int64) % WALLETS
        rows = zip(*(column[span].tolist() for column in columns), users.tolist(), strict=True)
        for number, group in groupby(rows, key=itemgetter(0)):
            market = self._markets[number]
            trades = ",".join(self._trade(market, *row[1:]) for row in group)
            yield Framed(f"trades:{market.name}", framed(f'{{"channel":"trades","data":[{trades}]}}'))
        for number in step.marks.tolist():
            if number in self._listing.numbers:
                name = self._markets[number].name
                data = f'{{"coin":"{name}","ctx":{self._context(number, step)}}}'
                yield Framed(f"activeAssetCtx:{name}", framed(f'{{"channel":"activeAssetCtx","data":{data}}}'))
        if step.now % SECOND_MS < 100:
            contexts = ",".join(self._context(number, step) for number, _ in self._listing.own)
            payload = f'{{"channel":"allDexsAssetCtxs","data":{{"ctxs":[["",[{contexts}]]]}}}}'
            yield Framed("allDexsAssetCtxs:", framed(payload))

    def _trade(self, market: Market, price: float, size: float, time: int, buys: int, users: list[int]) -> str:
        self._next_id += 1
        return (
            f'{{"coin":"{market.name}","side":"{"B" if buys else "A"}","px":"{price_text(market, price)}",'
            f'"sz":"{size_text(market, size)}","time":{time},"hash":"0x{self._next_id:064x}","tid":{self._next_id},'
            f'"users":["{address(users[0])}","{address(users[1])}"]}}'
        )

    def _context(self, number: int, step: Step) -> str:
        market = self._markets[number]
        price = price_text(market, step.prices[number])
        return (
            f'{{"funding":"0.0000125","openInterest":"{size_text(market, step.open_interest[number])}",'
            f'"prevDayPx":"{price}","dayNtlVlm":"{step.turnover[number]:.6f}","premium":"0.0001","oraclePx":"{price}",'
            f'"markPx":"{price}","midPx":"{price}","impactPxs":["{price}","{price}"],'
            f'"dayBaseVlm":"{step.turnover[number] / market.unit_price:.4f}"}}'
        )

    def hear(self, text: str, now: int) -> Heard:
        """Answer ping and subscribe."""
        message = json.loads(text)
        if message["method"] == "ping":
            return Heard((), ['{"channel":"pong"}'])
        wanted = message["subscription"]
        answer = {"channel": "subscriptionResponse", "data": {"method": "subscribe", "subscription": wanted}}
        return Heard([f"{wanted['type']}:{wanted.get('coin', '')}"], [json.dumps(answer)])

    def answer(self, path: str, query: Query, now: int) -> bytes | None:
        """Answer `/info` and the leaderboard."""
        if path.endswith("/leaderboard"):
            rows = [
                {"ethAddress": address(number), "accountValue": f"{1e7 / (number + 1):.2f}"}
                for number in range(LEADERS)
            ]
            return json.dumps({"leaderboardRows": rows}).encode()
        match query.get("type"):
            case "meta":
                return json.dumps(self._meta()).encode()
            case "metaAndAssetCtxs" if self._last is not None:
                contexts = ",".join(self._context(number, self._last) for number, _ in self._listing.own)
                return f"[{json.dumps(self._meta())},[{contexts}]]".encode()
            case "clearinghouseState":
                return json.dumps(self._account(str(query.get("user", "")), now)).encode()
            case "recentTrades":
                return b"[]"
            case _:
                return None

    def _meta(self) -> dict[str, Any]:
        universe = []
        for _, market in self._listing.own:
            leverage = _leverage(market)
            row = {"name": market.name, "szDecimals": min(market.size_decimals, 8), "maxLeverage": leverage}
            universe.append(row | {"marginTableId": leverage})
        return {"universe": universe, "marginTables": [], "collateralToken": 0}

    def _account(self, user: str, now: int) -> dict[str, Any]:
        """Return a wallet's state; which coins it holds and how large depends on its address only."""
        random = np.random.default_rng(int(user, 16) if user.startswith("0x") else 0)
        count = min(int(random.integers(1, _MOST_POSITIONS + 1)), len(self._listing.own))
        places = np.unique((random.pareto(1.0, count) * 5).astype(np.int64) % len(self._listing.own))
        positions = [self._position(self._listing.own[place][0], random) for place in places.tolist()]
        value = sum(float(each["position"]["positionValue"]) for each in positions)
        summary = {"accountValue": f"{value / 4:.6f}", "totalNtlPos": f"{value:.6f}", "totalRawUsd": "0.0"}
        return {
            "marginSummary": summary,
            "crossMarginSummary": summary,
            "crossMaintenanceMarginUsed": f"{value / 80:.6f}",
            "withdrawable": "0.0",
            "assetPositions": positions,
            "time": now,
        }

    def _position(self, number: int, random: np.random.Generator) -> dict[str, Any]:
        market = self._markets[number]
        price = float(self._last.prices[number]) if self._last else market.unit_price
        side = 1 if random.random() < 0.5 else -1
        size = float(random.lognormal(np.log(3_000), 1.5)) / market.unit_price
        leverage = min(int(random.integers(2, 20)), _leverage(market))
        entry = market.unit_price * float(np.exp(random.normal(0, 0.02)))
        return {
            "type": "oneWay",
            "position": {
                "coin": market.name,
                "szi": f"{'-' if side < 0 else ''}{size_text(market, size)}",
                "leverage": {"type": "cross", "value": leverage},
                "entryPx": price_text(market, entry),
                "positionValue": f"{size * price:.6f}",
                "unrealizedPnl": "0.0",
                "returnOnEquity": "0.0",
                "liquidationPx": price_text(market, entry * (1 - side * 0.9 / leverage)),
                "marginUsed": f"{size * price / leverage:.6f}",
                "maxLeverage": _leverage(market),
                "cumFunding": {"allTime": "0.0", "sinceOpen": "0.0", "sinceChange": "0.0"},
            },
        }


def address(number: int) -> str:
    """Return the address of a wallet."""
    return f"0x{number + 1:040x}"


def _leverage(market: Market) -> int:
    return min(int(market.tiers.rows()[0][2]), _TOP_LEVERAGE)
