"""OKX v5's REST answers for USDT swaps; sizes are contracts, lists of past things come newest first.

Shapes: okx.com/docs-v5, public data, market data and trading statistics, and the recorded test data.
"""

from collections.abc import Callable, Sequence
from typing import Any

from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.simulator.history import Bar, LiquidationRow, VenueMarket
from liqheat.simulator.wire.base import Payload, Query, RequestRefused, number, optional_int, rows_of

_INTERVALS: dict[str, int] = {"1m": MINUTE_MS, "5m": 5 * MINUTE_MS, "15m": 15 * MINUTE_MS, "1H": HOUR_MS}


class OkxRest:
    """Answers for the listed instruments."""

    def __init__(self, views: dict[str, VenueMarket]) -> None:
        self._views = views
        self._first_marks: dict[str, float] = {name: view.market.coin.price for name, view in views.items()}
        self._paths: dict[str, Callable[[Query], list[Any]]] = {
            "/api/v5/public/time": lambda _: [{"ts": str(next(iter(views.values())).time)}],
            "/api/v5/public/instruments": lambda query: self._each(query, instrument),
            "/api/v5/public/position-tiers": self._position_tiers,
            "/api/v5/public/open-interest": lambda query: self._each(query, open_interest),
            "/api/v5/public/mark-price": lambda query: self._each(query, mark_price),
            "/api/v5/public/funding-rate": lambda query: self._each(query, funding_rate),
            "/api/v5/public/funding-rate-history": self._funding_history,
            "/api/v5/public/liquidation-orders": self._liquidation_orders,
            "/api/v5/market/tickers": lambda query: self._each(query, ticker),
            "/api/v5/market/ticker": lambda query: self._each(query, ticker),
            "/api/v5/market/books-full": self._books,
            "/api/v5/market/trades": self._trades,
            "/api/v5/market/history-trades": self._trades,
            "/api/v5/market/candles": lambda query: self._candles(query, of_marks=False),
            "/api/v5/market/history-candles": lambda query: self._candles(query, of_marks=False),
            "/api/v5/market/mark-price-candles": lambda query: self._candles(query, of_marks=True),
            "/api/v5/market/history-mark-price-candles": lambda query: self._candles(query, of_marks=True),
            "/api/v5/rubik/stat/contracts/open-interest-history": self._open_interest_history,
        }

    def answer(self, path: str, query: Query) -> Payload:
        """Return the body for `path`; see `base.Wire.answer`."""
        if path not in self._paths:
            raise RequestRefused(404, {"code": "404", "data": [], "msg": "Not found"})
        return {"code": "0", "msg": "", "data": self._paths[path](query)}

    def _each(self, query: Query, row: Callable[[VenueMarket], dict[str, Any]]) -> list[Any]:
        if query.get("instType", "SWAP") != "SWAP":
            return []
        return [row(self._view(query))] if query.get("instId") else [row(view) for view in self._views.values()]

    def _view(self, query: Query) -> VenueMarket:
        name = str(query.get("instId", ""))
        if name not in self._views:
            raise RequestRefused(200, {"code": "51001", "data": [], "msg": "Instrument ID doesn't exist."})
        return self._views[name]

    def _liquidation_orders(self, query: Query) -> list[Any]:
        """Answer with all liquidations of a family, newest first; `after` means earlier than."""
        name = f"{query.get('instFamily') or query.get('uly')}-SWAP"
        if name not in self._views:
            raise RequestRefused(200, {"code": "51000", "data": [], "msg": "Parameter instFamily error"})
        view, earlier_than = self._views[name], optional_int(query, "after")
        limit = min(int(query.get("limit", "100")), 100)
        rows: list[LiquidationRow] = []
        for step in reversed(view.history.steps):
            died = reversed(view.liquidations_of(step))
            rows += [row for row in died if earlier_than is None or row.time < earlier_than]
            if len(rows) >= limit:
                break
        return [liquidation_orders(view, rows[:limit])] if rows else []

    def _books(self, query: Query) -> list[Any]:
        view = self._view(query)
        book = view.book(min(int(query.get("sz", 1)), 5_000))
        contracts_per_coin = 1 / view.listing.contract_value
        bids, asks = (
            [[price, size, str(orders)] for price, size, orders in rows_of(side, contracts_per_coin)]
            for side in (book.bids, book.asks)
        )
        return [{"asks": asks, "bids": bids, "ts": str(book.time)}]

    def _position_tiers(self, query: Query) -> list[Any]:
        """Answer with tiers in contracts, as the venue cuts them, from tables that are in USD at the first price."""
        rows: list[Any] = []
        for family in str(query.get("instFamily") or query.get("uly") or "").split(","):
            view = self._views.get(f"{family}-SWAP")
            if view is None:
                continue
            usd = view.listing.contract_value * self._first_marks[view.listing.instrument]
            largest = 0
            for tier, (_, cap, leverage, rate, _amount) in enumerate(view.listing.tiers.rows(), start=1):
                smallest, largest = largest + (tier > 1), round(cap / usd)
                rows.append(
                    {
                        "baseMaxLoan": "",
                        "imr": number(1 / leverage),
                        "instFamily": family,
                        "instId": "",
                        "maxLever": number(leverage),
                        "maxSz": str(largest),
                        "minSz": str(smallest),
                        "mmr": number(rate),
                        "optMgnFactor": "0",
                        "quoteMaxLoan": "",
                        "tier": str(tier),
                        "uly": family,
                    }
                )
        return rows

    def _funding_history(self, query: Query) -> list[Any]:
        view = self._view(query)
        rows = _page(query, view.fundings(), 100)
        return [
            {
                "instType": "SWAP",
                "instId": view.listing.instrument,
                "formulaType": "withRate",
                "method": "current_period",
                "fundingRate": number(row.rate),
                "realizedRate": number(row.rate),
                "fundingTime": str(row.time),
            }
            for row in rows
        ]

    def _trades(self, query: Query) -> list[Any]:
        view = self._view(query)
        limit = min(int(query.get("limit", "100")), 500)
        older_than = optional_int(query, "after")
        if older_than is None:
            rows = view.recent_trades(latest=limit)[-limit:]
        else:
            near = view.recent_trades(from_id=max(older_than - limit, 0))
            rows = [row for row in near if row.identifier < older_than][-limit:]
        return [
            {
                "instId": view.listing.instrument,
                "side": "buy" if row.taker_side > 0 else "sell",
                "sz": contracts(view, row.quantity),
                "px": number(row.price),
                "tradeId": str(row.identifier),
                "ts": str(row.time),
            }
            for row in reversed(rows)
        ]

    def _candles(self, query: Query, *, of_marks: bool) -> list[Any]:
        view, interval = self._view(query), _INTERVALS.get(query.get("bar", "1m"))
        if interval is None:
            raise RequestRefused(200, {"code": "51000", "data": [], "msg": "Parameter bar error"})
        rows: list[Bar] = _page(query, view.bars(interval, of_marks=of_marks), 100)
        return [_candle(view, bar, of_marks=of_marks) for bar in rows]

    def _open_interest_history(self, query: Query) -> list[Any]:
        view = self._view(query)
        begin, end = optional_int(query, "begin") or 0, optional_int(query, "end")
        points = [row for row in view.open_interest_points() if begin <= row[0] and (end is None or row[0] <= end)]
        limit = min(int(query.get("limit", "100")), 100)
        return [
            [str(time), contracts(view, coins), number(coins), number(usd)]
            for time, coins, usd in reversed(points[-limit:])
        ]


def _page(query: Query, rows: list[Any], most: int) -> list[Any]:
    """Return rows older than `after` and newer than `before` (both exclusive), newest first."""
    older_than, newer_than = optional_int(query, "after"), optional_int(query, "before")
    chosen = [
        row
        for row in rows
        if (older_than is None or row.time < older_than) and (newer_than is None or row.time > newer_than)
    ]
    return chosen[-min(int(query.get("limit", most)), most) :][::-1]


def liquidation_orders(view: VenueMarket, rows: Sequence[LiquidationRow]) -> dict[str, Any]:
    """Return orders of liquidation-orders: `posSide` died, at its bankruptcy price, in contracts."""
    family = view.listing.instrument.removesuffix("-SWAP")
    return {
        "details": [
            {
                "bkLoss": "0",
                "bkPx": number(row.bankruptcy_price if row.bankruptcy_price == row.bankruptcy_price else row.price),
                "ccy": "",
                "posSide": "long" if row.side > 0 else "short",
                "side": "sell" if row.side > 0 else "buy",
                "sz": contracts(view, row.quantity),
                "ts": str(row.time),
            }
            for row in rows
        ],
        "instFamily": family,
        "instId": view.listing.instrument,
        "instType": "SWAP",
        "uly": family,
    }


def contracts(view: VenueMarket, coins: float) -> str:
    """Return a quantity as contracts."""
    return number(coins / view.listing.contract_value)


def _candle(view: VenueMarket, bar: Bar, *, of_marks: bool) -> list[str]:
    row = [str(bar.time), *map(number, (bar.open, bar.high, bar.low, bar.close))]
    if of_marks:
        return [*row, "1"]
    return [*row, contracts(view, bar.volume), number(bar.volume), number(bar.quote_volume), "1"]


def open_interest(view: VenueMarket) -> dict[str, Any]:
    """Return one-sided open interest: contracts, coins and USD."""
    coins = view.open_interest
    return {
        "instId": view.listing.instrument,
        "instType": "SWAP",
        "oi": contracts(view, coins),
        "oiCcy": number(coins),
        "oiUsd": number(coins * view.mark_price, 2),
        "ts": str(view.time),
    }


def mark_price(view: VenueMarket) -> dict[str, Any]:
    """Return a mark price."""
    return {
        "instType": "SWAP",
        "instId": view.listing.instrument,
        "markPx": number(view.mark_price),
        "ts": str(view.time),
    }


def funding_rate(view: VenueMarket) -> dict[str, Any]:
    """Return the rate that settles next; `fundingTime` is that settlement."""
    return {
        "instType": "SWAP",
        "instId": view.listing.instrument,
        "formulaType": "withRate",
        "method": "current_period",
        "fundingRate": number(view.funding_rate),
        "nextFundingRate": "",
        "fundingTime": str(view.next_funding_time),
        "nextFundingTime": str(view.next_funding_time + view.listing.funding_interval),
        "ts": str(view.time),
    }


def ticker(view: VenueMarket) -> dict[str, Any]:
    """Return a ticker; `vol24h` counts contracts, `volCcy24h` coins."""
    last = view.last_price
    bars = view.history.bars[view.number]
    first = bars[0].open if bars else last
    coins = view.turnover / last
    return {
        "instType": "SWAP",
        "instId": view.listing.instrument,
        "last": number(last),
        "lastSz": "1",
        "askPx": number(last),
        "askSz": "100",
        "bidPx": number(last - view.listing.tick_size),
        "bidSz": "100",
        "open24h": number(first),
        "high24h": number(max(first, last)),
        "low24h": number(min(first, last)),
        "volCcy24h": number(coins, 4),
        "vol24h": contracts(view, coins),
        "sodUtc0": number(first),
        "sodUtc8": number(first),
        "ts": str(view.time),
    }


def instrument(view: VenueMarket) -> dict[str, Any]:
    """Return a row of instruments; the lot is one contract."""
    listing = view.listing
    family = listing.instrument.removesuffix("-SWAP")
    return {
        "instType": "SWAP",
        "instId": listing.instrument,
        "instFamily": family,
        "uly": family,
        "baseCcy": "",
        "quoteCcy": "",
        "settleCcy": "USDT",
        "category": "1",
        "ctMult": "1",
        "ctType": "linear",
        "ctVal": number(listing.contract_value),
        "ctValCcy": listing.symbol,
        "expTime": "",
        "lever": number(float(listing.tiers.maximum_leverage[0])),
        "listTime": "1573557408000",
        "lotSz": "1",
        "minSz": "1",
        "tickSz": number(listing.tick_size),
        "ruleType": "normal",
        "state": "live",
    }
