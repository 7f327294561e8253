"""Binance USD-M's REST answers: reference data, open interest, prices, and the history that a backfill reads.

Shapes: developers.binance.com, USD-M Market Data. Numbers are text unless the venue sends them bare.
"""

from collections.abc import Callable
from typing import Any

from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS
from liqheat.simulator.history import Bar, VenueMarket
from liqheat.simulator.wire.base import Payload, Query, RequestRefused, number, optional_int, rows_of, window

INTERVALS: dict[str, int] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "1h": HOUR_MS,
}
_WEIGHTS: dict[str, int] = {"/fapi/v1/aggTrades": 20, "/fapi/v1/klines": 5, "/fapi/v1/markPriceKlines": 5}

_DEPTH_WEIGHTS = ((50, 2), (100, 5), (500, 10), (1_000, 20))
"""Levels of an order book and what they weigh."""


class BinanceRest:
    """Answers for the listed instruments."""

    def __init__(self, views: dict[str, VenueMarket]) -> None:
        self._views = views
        self._paths: dict[str, Callable[[Query], Payload]] = {
            "/fapi/v1/time": lambda _: {"serverTime": self._now},
            "/fapi/v1/exchangeInfo": self._exchange_info,
            "/fapi/v1/openInterest": self._open_interest,
            "/fapi/v1/depth": self._depth,
            "/fapi/v1/premiumIndex": lambda query: self._each(query, premium_index),
            "/fapi/v1/ticker/24hr": lambda query: self._each(query, self._ticker),
            "/fapi/v1/aggTrades": self._agg_trades,
            "/fapi/v1/klines": lambda query: self._klines(query, of_marks=False),
            "/fapi/v1/markPriceKlines": lambda query: self._klines(query, of_marks=True),
            "/fapi/v1/fundingRate": self._funding_rate,
            "/fapi/v1/fundingInfo": lambda _: [],
            "/fapi/v1/leverageBracket": self._leverage_bracket,
            "/futures/data/openInterestHist": self._open_interest_history,
        }

    def answer(self, path: str, query: Query) -> Payload:
        """Return the body for `path`; see `base.Wire.answer`."""
        if path not in self._paths:
            raise RequestRefused(404, {"code": -5000, "msg": f"Path {path} is invalid"})
        return self._paths[path](query)

    def weight(self, path: str, query: Query) -> int:
        """Return the documented weight of a request."""
        if path == "/fapi/v1/ticker/24hr" and "symbol" not in query:
            return 40
        if path == "/fapi/v1/depth":
            return next(weight for limit, weight in _DEPTH_WEIGHTS if int(query.get("limit", 500)) <= limit)
        return _WEIGHTS.get(path, 1)

    @property
    def _now(self) -> int:
        return next(iter(self._views.values())).time

    def _view(self, query: Query) -> VenueMarket:
        if "symbol" not in query:
            raise RequestRefused(400, {"code": -1102, "msg": "Mandatory parameter 'symbol' was not sent."})
        if query["symbol"] not in self._views:
            raise RequestRefused(400, {"code": -1121, "msg": "Invalid symbol."})
        return self._views[query["symbol"]]

    def _each(self, query: Query, row: Callable[[VenueMarket], dict[str, Any]]) -> Payload:
        return row(self._view(query)) if "symbol" in query else [row(view) for view in self._views.values()]

    def _exchange_info(self, _: Query) -> Payload:
        return {
            "timezone": "UTC",
            "serverTime": self._now,
            "futuresType": "U_MARGINED",
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
                {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
            ],
            "exchangeFilters": [],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
            "symbols": [*map(_symbol_info, self._views.values()), self._dated_future()],
        }

    def _dated_future(self) -> dict[str, Any]:
        """List one contract that is no perpetual, as the real venue lists many: readers must leave it out."""
        info = _symbol_info(next(iter(self._views.values())))
        return info | {"symbol": f"{info['symbol']}_301227", "contractType": "CURRENT_QUARTER"}

    def _depth(self, query: Query) -> Payload:
        book = self._view(query).book(int(query.get("limit", 500)))
        bids, asks = ([[price, size] for price, size, _ in rows_of(side)] for side in (book.bids, book.asks))
        return {"lastUpdateId": book.update_id, "E": book.time, "T": book.time, "bids": bids, "asks": asks}

    def _open_interest(self, query: Query) -> Payload:
        view = self._view(query)
        return {
            "openInterest": number(view.open_interest),
            "symbol": view.listing.instrument,
            "time": view.time,
        }

    def _ticker(self, view: VenueMarket) -> dict[str, Any]:
        bars = view.history.bars[view.number]
        last = number(view.last_price)
        first = bars[0].open if bars else view.last_price
        volume = view.turnover / view.last_price
        return {
            "symbol": view.listing.instrument,
            "priceChange": number(view.last_price - first),
            "priceChangePercent": number(100 * (view.last_price / first - 1), 3),
            "weightedAvgPrice": last,
            "lastPrice": last,
            "lastQty": number(view.listing.quantity_step),
            "openPrice": number(first),
            "highPrice": number(max((bar.high for bar in bars), default=first)),
            "lowPrice": number(min((bar.low for bar in bars), default=first)),
            "volume": number(volume, 3),
            "quoteVolume": number(view.turnover, 6),
            "openTime": view.time - DAY_MS,
            "closeTime": view.time,
            "firstId": 1,
            "lastId": 1,
            "count": sum(bar.trades for bar in bars),
        }

    def _agg_trades(self, query: Query) -> Payload:
        view = self._view(query)
        limit = min(int(query.get("limit", "500")), 1_000)
        from_id = optional_int(query, "fromId")
        start, end = optional_int(query, "startTime"), optional_int(query, "endTime")
        if from_id is not None:
            rows = window(view.recent_trades(from_id=from_id), from_id, None, limit)
        elif start is not None or end is not None:
            rows = window(view.recent_trades(since=start), start, end, limit, key=1)
        else:
            rows = view.recent_trades(latest=limit)[-limit:]
        return [
            {
                "a": row.identifier,
                "p": number(row.price),
                "q": number(row.quantity),
                "f": row.identifier,
                "l": row.identifier,
                "T": row.time,
                "m": row.taker_side < 0,
            }
            for row in rows
        ]

    def _klines(self, query: Query, *, of_marks: bool) -> Payload:
        view = self._view(query)
        interval = INTERVALS.get(query.get("interval", ""))
        if interval is None:
            raise RequestRefused(400, {"code": -1120, "msg": "Invalid interval."})
        limit = min(int(query.get("limit", "500")), 1_500)
        bars = view.bars(interval, of_marks=of_marks)
        chosen = window(bars, optional_int(query, "startTime"), optional_int(query, "endTime"), limit)
        return [_kline(bar, interval) for bar in chosen]

    def _funding_rate(self, query: Query) -> Payload:
        view = self._view(query)
        limit = min(int(query.get("limit", "100")), 1_000)
        rows = window(view.fundings(), optional_int(query, "startTime"), optional_int(query, "endTime"), limit)
        return [
            {
                "symbol": view.listing.instrument,
                "fundingTime": row.time,
                "fundingRate": number(row.rate),
                "markPrice": number(row.mark_price),
            }
            for row in rows
        ]

    def _open_interest_history(self, query: Query) -> Payload:
        view = self._view(query)
        limit = min(int(query.get("limit", "30")), 500)
        points = view.open_interest_points()
        rows = window(points, optional_int(query, "startTime"), optional_int(query, "endTime"), limit)
        return [
            {
                "symbol": view.listing.instrument,
                "sumOpenInterest": number(coins),
                "sumOpenInterestValue": number(usd),
                "timestamp": time,
            }
            for time, coins, usd in rows
        ]

    def _leverage_bracket(self, query: Query) -> Payload:
        """Answer a signed request; the signature's presence is checked, not its value."""
        if "signature" not in query or "timestamp" not in query:
            raise RequestRefused(400, {"code": -1102, "msg": "Mandatory parameter 'signature' was not sent."})
        views = [self._view(query)] if "symbol" in query else list(self._views.values())
        return [
            {
                "symbol": view.listing.instrument,
                "brackets": [
                    {
                        "bracket": tier,
                        "initialLeverage": int(row[2]),
                        "notionalCap": row[1],
                        "notionalFloor": row[0],
                        "maintMarginRatio": row[3],
                        "cum": row[4],
                    }
                    for tier, row in enumerate(view.listing.tiers.rows(), start=1)
                ],
            }
            for view in views
        ]


def premium_index(view: VenueMarket) -> dict[str, Any]:
    """Return a premiumIndex row."""
    index = number(view.step.index_price)
    return {
        "symbol": view.listing.instrument,
        "markPrice": number(view.mark_price),
        "indexPrice": index,
        "estimatedSettlePrice": index,
        "lastFundingRate": number(view.funding_rate),
        "interestRate": "0.00010000",
        "nextFundingTime": view.next_funding_time,
        "time": view.time,
    }


def _kline(bar: Bar, interval: int) -> list[Any]:
    return [
        bar.time,
        number(bar.open),
        number(bar.high),
        number(bar.low),
        number(bar.close),
        number(bar.volume),
        bar.time + interval - 1,
        number(bar.quote_volume),
        bar.trades,
        number(bar.taker_buy_volume),
        number(bar.taker_buy_quote_volume),
        "0",
    ]


def _symbol_info(view: VenueMarket) -> dict[str, Any]:
    listing = view.listing
    tick, step = number(listing.tick_size), number(listing.quantity_step)
    return {
        "symbol": listing.instrument,
        "pair": listing.instrument,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "baseAsset": listing.symbol,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": len(tick.partition(".")[2]),
        "quantityPrecision": len(step.partition(".")[2]),
        "underlyingType": "COIN",
        "underlyingSubType": ["AI"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "100000000", "stepSize": step},
        ],
    }
