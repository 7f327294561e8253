"""Bybit v5's REST answers for linear perpetuals; lists of past things come newest first.

Shapes: bybit-exchange docs v5, market endpoints, and the recorded bodies of the test data.
"""

import uuid
from collections.abc import Callable
from typing import Any

from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.simulator.history import VenueMarket
from liqheat.simulator.wire.base import Payload, Query, RequestRefused, number, optional_int, rows_of, window

_INTERVALS: dict[str, int] = {
    "1": MINUTE_MS,
    "3": 3 * MINUTE_MS,
    "5": 5 * MINUTE_MS,
    "15": 15 * MINUTE_MS,
    "60": HOUR_MS,
}
_RISK_LIMIT_SYMBOLS_A_PAGE = 15


class BybitRest:
    """Answers for the listed instruments."""

    def __init__(self, views: dict[str, VenueMarket]) -> None:
        self._views = views
        self._paths: dict[str, Callable[[Query], dict[str, Any]]] = {
            "/v5/market/time": self._time,
            "/v5/market/instruments-info": self._instruments,
            "/v5/market/risk-limit": self._risk_limit,
            "/v5/market/tickers": self._tickers,
            "/v5/market/open-interest": self._open_interest,
            "/v5/market/orderbook": self._order_book,
            "/v5/market/kline": self._kline,
            "/v5/market/mark-price-kline": self._mark_price_kline,
            "/v5/market/recent-trade": self._recent_trade,
            "/v5/market/funding/history": self._funding_history,
        }

    def answer(self, path: str, query: Query) -> Payload:
        """Return the body for `path`; see `base.Wire.answer`."""
        if path not in self._paths:
            raise RequestRefused(404, {"retCode": 404, "retMsg": "Not found"})
        if path != "/v5/market/time" and query.get("category") != "linear":
            return self._wrap({}, 10001, "params error: category invalid")
        result = self._paths[path](query)
        return self._wrap(result) if result else self._wrap({}, 10001, "params error: symbol invalid")

    def _wrap(self, result: dict[str, Any], code: int = 0, message: str = "OK") -> dict[str, Any]:
        return {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": self._now}

    @property
    def _now(self) -> int:
        return next(iter(self._views.values())).time

    def _chosen(self, query: Query) -> list[VenueMarket]:
        if not query.get("symbol"):
            return list(self._views.values())
        return [self._views[query["symbol"]]] if query["symbol"] in self._views else []

    def _time(self, _: Query) -> dict[str, Any]:
        return {"timeSecond": str(self._now // 1_000), "timeNano": f"{self._now}000000"}

    def _instruments(self, query: Query) -> dict[str, Any]:
        rows = [instrument_info(view) for view in self._chosen(query)]
        return {"category": "linear", "nextPageCursor": "", "list": rows}

    def _risk_limit(self, query: Query) -> dict[str, Any]:
        views = self._chosen(query)
        first = int(query.get("cursor") or 0)
        page = views[first : first + _RISK_LIMIT_SYMBOLS_A_PAGE]
        following = first + len(page)
        rows = [row for view in page for row in risk_limits(view)]
        return {
            "category": "linear",
            "nextPageCursor": str(following) if following < len(views) else "",
            "list": rows,
        }

    def _tickers(self, query: Query) -> dict[str, Any]:
        return {"category": "linear", "list": [ticker(view) for view in self._chosen(query)]}

    def _open_interest(self, query: Query) -> dict[str, Any]:
        """Answer with the 5-minute points; the cursor is the time before which the next page ends."""
        views = self._chosen(query)
        if len(views) != 1 or query.get("intervalTime") != "5min":
            return {}
        end = optional_int(query, "cursor") or optional_int(query, "endTime")
        limit = min(int(query.get("limit", "50")), 200)
        start = optional_int(query, "startTime") or 0
        rows = [row for row in views[0].open_interest_points() if start <= row[0] and (end is None or row[0] <= end)]
        page = rows[-limit:]
        points = [
            {
                "openInterest": number(2 * coins),
                "singleOpenInterest": number(coins),
                "timestamp": str(time),
            }
            for time, coins, _ in reversed(page)
        ]
        cursor = str(page[0][0] - 1) if len(rows) > limit else ""
        return {"symbol": query["symbol"], "category": "linear", "list": points, "nextPageCursor": cursor}

    def _order_book(self, query: Query) -> dict[str, Any]:
        views = self._chosen(query)
        if len(views) != 1:
            return {}
        book = views[0].book(min(int(query.get("limit", 25)), 500))
        bids, asks = ([[price, size] for price, size, _ in rows_of(side)] for side in (book.bids, book.asks))
        rest = {"ts": book.time, "u": book.update_id, "seq": book.update_id, "cts": book.time}
        return {"s": query["symbol"], "b": bids, "a": asks, **rest}

    def _kline(self, query: Query) -> dict[str, Any]:
        return self._bars(query, of_marks=False)

    def _mark_price_kline(self, query: Query) -> dict[str, Any]:
        return self._bars(query, of_marks=True)

    def _bars(self, query: Query, *, of_marks: bool) -> dict[str, Any]:
        views, interval = self._chosen(query), _INTERVALS.get(str(query.get("interval")))
        if len(views) != 1 or interval is None:
            return {}
        limit = min(int(query.get("limit", "200")), 1_000)
        start, end = optional_int(query, "start") or 0, optional_int(query, "end")
        bars = [
            bar
            for bar in views[0].bars(interval, of_marks=of_marks)
            if start <= bar.time and (end is None or bar.time <= end)
        ]
        rows = []
        for bar in reversed(bars[-limit:]):
            row = [str(bar.time), *map(number, (bar.open, bar.high, bar.low, bar.close))]
            rows.append(row if of_marks else [*row, number(bar.volume), number(bar.quote_volume)])
        return {"symbol": query["symbol"], "category": "linear", "list": rows}

    def _recent_trade(self, query: Query) -> dict[str, Any]:
        views = self._chosen(query)
        if len(views) != 1:
            return {}
        name = views[0].listing.instrument
        limit = min(int(query.get("limit", "500")), 1_000)
        rows = views[0].recent_trades(latest=limit)[-limit:]
        return {
            "category": "linear",
            "list": [
                {
                    "execId": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name}:{row.identifier}")),
                    "symbol": name,
                    "price": number(row.price),
                    "size": number(row.quantity),
                    "side": "Buy" if row.taker_side > 0 else "Sell",
                    "time": str(row.time),
                    "isBlockTrade": False,
                    "isRPITrade": False,
                }
                for row in reversed(rows)
            ],
        }

    def _funding_history(self, query: Query) -> dict[str, Any]:
        views = self._chosen(query)
        if len(views) != 1:
            return {}
        limit = min(int(query.get("limit", "200")), 200)
        rows = window(views[0].fundings(), None, optional_int(query, "endTime"), limit)
        start = optional_int(query, "startTime") or 0
        return {
            "category": "linear",
            "list": [
                {
                    "symbol": query["symbol"],
                    "fundingRate": number(row.rate),
                    "fundingRateTimestamp": str(row.time),
                }
                for row in reversed(rows)
                if row.time >= start
            ],
        }


def ticker(view: VenueMarket) -> dict[str, Any]:
    """Return a ticker as a snapshot and `/v5/market/tickers` have it."""
    last, mark = view.last_price, view.mark_price
    bars = view.history.bars[view.number]
    first = bars[0].open if bars else last
    coins = view.open_interest
    return {
        "symbol": view.listing.instrument,
        "tickDirection": "PlusTick" if last >= mark else "MinusTick",
        "price24hPcnt": number(last / first - 1, 6),
        "lastPrice": number(last),
        "prevPrice24h": number(first),
        "markPrice": number(mark),
        "indexPrice": number(view.step.index_price),
        "openInterest": number(2 * coins),
        "openInterestValue": number(2 * coins * mark, 2),
        "singleOpenInterest": number(coins),
        "singleOpenInterestValue": number(coins * mark, 2),
        "turnover24h": number(view.turnover, 4),
        "volume24h": number(view.turnover / last, 4),
        "nextFundingTime": str(view.next_funding_time),
        "fundingRate": number(view.funding_rate),
        "bid1Price": number(last - view.listing.tick_size),
        "bid1Size": number(100 * view.listing.quantity_step),
        "ask1Price": number(last),
        "ask1Size": number(100 * view.listing.quantity_step),
        "fundingIntervalHour": str(view.listing.funding_interval // HOUR_MS),
    }


def instrument_info(view: VenueMarket) -> dict[str, Any]:
    """Return a row of instruments-info."""
    listing = view.listing
    tick, step = number(listing.tick_size), number(listing.quantity_step)
    return {
        "symbol": listing.instrument,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": listing.symbol,
        "quoteCoin": "USDT",
        "launchTime": "1699990000000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(len(tick.partition(".")[2])),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": number(float(listing.tiers.maximum_leverage[0])),
            "leverageStep": "0.01",
        },
        "priceFilter": {"minPrice": tick, "maxPrice": "1999999", "tickSize": tick},
        "lotSizeFilter": {
            "maxOrderQty": "10000000",
            "minOrderQty": step,
            "qtyStep": step,
            "postOnlyMaxOrderQty": "10000000",
            "maxMktOrderQty": "1000000",
            "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": listing.funding_interval // MINUTE_MS,
        "settleCoin": "USDT",
    }


def risk_limits(view: VenueMarket) -> list[dict[str, Any]]:
    """Return the rows of risk-limit of one symbol; the first tier has no deduction."""
    tiers = view.listing.tiers
    return [
        {
            "id": tier,
            "symbol": view.listing.instrument,
            "riskLimitValue": number(cap),
            "maintenanceMargin": number(rate),
            "initialMargin": number(1 / leverage),
            "isLowestRisk": int(tier == 1),
            "maxLeverage": number(leverage, 2),
            "mmDeduction": number(amount) if tier > 1 else "",
        }
        for tier, (_, cap, leverage, rate, amount) in enumerate(tiers.rows(), start=1)
    ]
