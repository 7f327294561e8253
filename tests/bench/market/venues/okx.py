"""OKX v5 swaps as the load writes it: trades, marks, index prices, open interest, funding, liquidations, listings.

Shapes and rhythms: okx.com/docs-v5. Marks and index prices once per second here; open interest every 3 s, funding
every 60 s, as documented. Sizes are contracts.
"""

import json
from collections.abc import Iterator, Sequence

from liqheat.domain.market import Venue
from tests.bench.market.activity import Market
from tests.bench.market.tape import SECOND_MS, Step
from tests.bench.market.venues.base import Framed, Heard, Listing, Query, framed, price_text, size_text

_OPEN_INTEREST_SECONDS = 3
_FUNDING_SECONDS = 60
_FUNDING_MS = 8 * 3_600_000


class OkxLoad:
    """See `base.VenueWire`."""

    venue = Venue.OKX
    socket_path = "/ws/v5/public"
    budget = "open interest is pushed every 3 s; market/tickers 20 requests per 2 s, one of them for all swaps"

    def __init__(self, markets: Sequence[Market]) -> None:
        self._markets = markets
        self._listing = Listing(self.venue, markets)
        self._next_id = [1] * len(markets)
        self._published_at = [0] * len(markets)
        self._last: Step | None = None
        self._topics = {
            number: {
                channel: (f"{channel}:{market.name}", f'{{"arg":{{"channel":"{channel}","instId":"{market.name}"}},')
                for channel in ("trades", "mark-price", "open-interest", "funding-rate")
            }
            for number, market in self._listing.own
        }

    def frames(self, step: Step) -> Iterator[Framed]:
        """Yield what one step puts on the sockets."""
        self._last = step
        span = (step.trade_market >= self._listing.first) & (step.trade_market <= self._listing.last)
        columns = (step.trade_market, step.trade_price, step.trade_size, step.trade_time, step.trade_buys)
        for number, price, size, time, buys in zip(*(column[span].tolist() for column in columns), strict=True):
            market = self._markets[number]
            identifier = self._next_id[number]
            self._next_id[number] = identifier + 1
            side = "buy" if buys else "sell"
            yield self._framed(
                number,
                "trades",
                f'"instId":"{market.name}","tradeId":"{identifier}","px":"{price_text(market, price)}",'
                f'"sz":"{size_text(market, size)}","side":"{side}","ts":"{time}","count":"1"',
            )
        yield from self._liquidations(step)
        second = step.now // SECOND_MS
        for number in step.marks.tolist():
            if number in self._topics:
                yield from self._prices(number, step, second)

    def _prices(self, number: int, step: Step, second: int) -> Iterator[Framed]:
        market = self._markets[number]
        price = price_text(market, step.prices[number])
        swap = f'"instType":"SWAP","instId":"{market.name}"'
        yield self._framed(number, "mark-price", f'{swap},"markPx":"{price}","ts":"{step.now}"')
        family = market.name.removesuffix("-SWAP")
        yield Framed(
            f"index-tickers:{family}",
            framed(
                f'{{"arg":{{"channel":"index-tickers","instId":"{family}"}},"data":[{{"instId":"{family}",'
                f'"idxPx":"{price}","high24h":"{price}","low24h":"{price}","open24h":"{price}","ts":"{step.now}"}}]}}'
            ),
        )
        if (second + number) % _OPEN_INTEREST_SECONDS == 0:
            held = step.open_interest[number]
            yield self._framed(
                number,
                "open-interest",
                f'{swap},"oi":"{size_text(market, held)}","oiCcy":"{held * market.contract_value:.8f}",'
                f'"oiUsd":"{held * market.size_usd:.2f}","ts":"{step.now}"',
            )
        if (second + number) % _FUNDING_SECONDS == 0:
            settles = (step.now // _FUNDING_MS + 1) * _FUNDING_MS
            yield self._framed(
                number,
                "funding-rate",
                f'{swap},"method":"current_period","fundingRate":"0.0001","nextFundingRate":"",'
                f'"fundingTime":"{settles}","nextFundingTime":"{settles + _FUNDING_MS}","ts":"{step.now}"',
            )

    def _liquidations(self, step: Step) -> Iterator[Framed]:
        """Yield at most one per second and contract, on the one channel for all swaps."""
        for row, number in enumerate(step.death_market.tolist()):
            if number not in self._topics or step.now - self._published_at[number] < SECOND_MS:
                continue
            self._published_at[number] = step.now
            market = self._markets[number]
            side, order = ("long", "sell") if step.death_longs[row] else ("short", "buy")
            price, size = price_text(market, step.death_price[row]), size_text(market, step.death_size[row])
            family = market.name.removesuffix("-SWAP")
            yield Framed(
                "liquidation-orders:SWAP",
                framed(
                    '{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkLoss":"0",'
                    f'"bkPx":"{price}","ccy":"","posSide":"{side}","side":"{order}","sz":"{size}","ts":"{step.now}"}}],'
                    f'"instFamily":"{family}","instId":"{market.name}","instType":"SWAP","uly":"{family}"}}]}}'
                ),
            )

    def _framed(self, number: int, channel: str, fields: str) -> Framed:
        topic, head = self._topics[number][channel]
        return Framed(topic, framed(f'{head}"data":[{{{fields}}}]}}'))

    def hear(self, text: str, now: int) -> Heard:
        """Answer ping and subscribe."""
        if text == "ping":
            return Heard((), ["pong"])
        arguments = json.loads(text)["args"]
        topics = [f"{each['channel']}:{each.get('instId') or each.get('instType', '')}" for each in arguments]
        return Heard(topics, [json.dumps({"event": "subscribe", "arg": each, "connId": "1"}) for each in arguments])

    def answer(self, path: str, query: Query, now: int) -> bytes | None:
        """Answer listings, marks, tiers and tickers."""
        own = [market for _, market in self._listing.own]
        rows: list[dict[str, str]]
        match path:
            case "/api/v5/public/instruments":
                rows = [_instrument(market) for market in own]
            case "/api/v5/public/mark-price":
                rows = [_mark(market, now) for market in own]
            case "/api/v5/public/position-tiers":
                wanted = {f"{family}-SWAP" for family in str(query.get("instFamily", "")).split(",")}
                rows = [row for market in own if market.name in wanted for row in _tiers(market)]
            case "/api/v5/market/tickers":
                rows = [_ticker(market, now) for market in own]
            case "/api/v5/public/open-interest":
                rows = [self._open_interest(number, now) for number, _ in self._listing.own]
            case (
                "/api/v5/market/trades" | "/api/v5/market/history-trades" | "/api/v5/market/history-mark-price-candles"
            ):
                rows = []
            case _:
                return None
        return json.dumps({"code": "0", "msg": "", "data": rows}).encode()

    def _open_interest(self, number: int, now: int) -> dict[str, str]:
        market = self._markets[number]
        held = self._last.open_interest[number] if self._last else 1.0
        return {
            "instType": "SWAP",
            "instId": market.name,
            "oi": size_text(market, held),
            "oiCcy": f"{held * market.contract_value:.8f}",
            "ts": str(now),
        }


def _instrument(market: Market) -> dict[str, str]:
    family = market.name.removesuffix("-SWAP")
    return {
        "instType": "SWAP",
        "instId": market.name,
        "instFamily": family,
        "uly": family,
        "settleCcy": "USDT",
        "ctMult": "1",
        "ctType": "linear",
        "ctVal": f"{market.contract_value:.12f}",
        "ctValCcy": market.symbol,
        "lever": f"{market.tiers.rows()[0][2]:.0f}",
        "lotSz": f"{10.0**-market.size_decimals:.12f}",
        "minSz": f"{10.0**-market.size_decimals:.12f}",
        "tickSz": f"{10.0**-market.price_decimals:.12f}",
        "ruleType": "normal",
        "state": "live",
    }


def _mark(market: Market, now: int) -> dict[str, str]:
    price = price_text(market, market.unit_price)
    return {"instType": "SWAP", "instId": market.name, "markPx": price, "ts": str(now)}


def _ticker(market: Market, now: int) -> dict[str, str]:
    price = price_text(market, market.unit_price)
    coins = market.turnover_usd / market.unit_price
    return {
        "instType": "SWAP",
        "instId": market.name,
        "last": price,
        "lastSz": "1",
        "askPx": price,
        "askSz": "1",
        "bidPx": price,
        "bidSz": "1",
        "open24h": price,
        "high24h": price,
        "low24h": price,
        "volCcy24h": f"{coins:.4f}",
        "vol24h": f"{coins / market.contract_value:.4f}",
        "sodUtc0": price,
        "sodUtc8": price,
        "ts": str(now),
    }


def _tiers(market: Market) -> list[dict[str, str]]:
    """Return steps in contracts, at the price of the start; OKX deducts nothing."""
    rows, largest = [], 0.0
    family = market.name.removesuffix("-SWAP")
    for tier, (_, cap, leverage, rate, _) in enumerate(market.tiers.rows(), start=1):
        smallest, largest = largest, cap / market.size_usd
        rows.append(
            {
                "baseMaxLoan": "",
                "imr": f"{1 / leverage:.6f}",
                "instFamily": family,
                "instId": "",
                "maxLever": f"{leverage:.2f}",
                "maxSz": f"{largest:.6f}",
                "minSz": f"{smallest:.6f}",
                "mmr": f"{rate:.6f}",
                "tier": str(tier),
                "uly": family,
            }
        )
    return rows
