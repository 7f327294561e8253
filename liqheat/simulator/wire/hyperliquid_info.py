"""Hyperliquid's `POST /info` answers and its leaderboard: the one venue whose positions anybody can read.

An account's address is known once a trade or the leaderboard has named it. Shapes: its gitbook, and the
recorded bodies of the test data.
"""

from collections.abc import Callable
from math import floor, log10
from typing import Any

import numpy as np

from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS
from liqheat.simulator.history import TradeRow, VenueMarket
from liqheat.simulator.makers import maker_account
from liqheat.simulator.traders import TraderKind
from liqheat.simulator.truth import account_address
from liqheat.simulator.wire.base import Payload, Query, RequestRefused, number, optional_int, rows_of, window

_INTERVALS: dict[str, int] = {"1m": MINUTE_MS, "5m": 5 * MINUTE_MS, "15m": 15 * MINUTE_MS, "1h": HOUR_MS}
_LEADERS = 100
_BOOK_LEVELS = 20
_MARGIN_TABLES: dict[int, int] = {10: 52, 40: 56}
"""Numbers of the tiered margin tables, by their first leverage; others have one tier and its leverage as number."""
_CROSS_KINDS = (TraderKind.CROSS, TraderKind.HEDGER, TraderKind.MAKER)


class HyperliquidInfo:
    """Answers for the listed coins."""

    def __init__(self, views: dict[str, VenueMarket]) -> None:
        self._views = views
        self._owners: dict[str, tuple[VenueMarket, int]] = {}
        self._types: dict[str, Callable[[Query], Payload]] = {
            "meta": lambda _: meta(list(self._views.values())),
            "metaAndAssetCtxs": lambda _: [meta(list(views.values())), [context(view) for view in views.values()]],
            "allMids": lambda _: {name: number(view.mark_price) for name, view in views.items()},
            "clearinghouseState": self._clearinghouse_state,
            "l2Book": self._book,
            "candleSnapshot": self._candles,
            "recentTrades": self._recent_trades,
            "fundingHistory": self._funding_history,
        }

    def address(self, view: VenueMarket, account: int) -> str:
        """Return the address of an account of `view`, and remember whose it is."""
        address = account_address(view.market.coin.symbol, account)
        self._owners[address] = (view, account)
        return address

    def answer(self, path: str, query: Query) -> Payload:
        """Return the body for `path`; see `base.Wire.answer`."""
        if path.endswith("/leaderboard"):
            return self._leaderboard()
        kind = str(query.get("type", ""))
        if path != "/info" or kind not in self._types:
            raise RequestRefused(422, {"error": "Failed to deserialize the JSON body into the target type"})
        return self._types[kind](query)

    def _view(self, coin: str) -> VenueMarket:
        if coin not in self._views:
            raise RequestRefused(500, {"error": f"unknown coin {coin}"})
        return self._views[coin]

    def _clearinghouse_state(self, query: Query) -> Payload:
        owner = self._owners.get(str(query.get("user", "")).lower())
        if owner is None:
            return account_state(next(iter(self._views.values())).time, [], 0.0, 0.0)
        view, account = owner
        positions, value = _positions_of(view, account)
        cross = [each["position"] for each in positions if each["position"]["leverage"]["type"] == "cross"]
        notionals = [float(position["positionValue"]) for position in cross]
        return account_state(view.time, positions, value, float(view.listing.tiers.maintenance_margin(notionals).sum()))

    def _book(self, query: Query) -> Payload:
        """Answer with 20 levels per side, their prices rounded to `nSigFigs` figures."""
        view = self._view(str(query.get("coin", "")))
        figures = query.get("nSigFigs")
        step = None
        if figures is not None:
            step = max(10.0 ** (floor(log10(view.mark_price)) + 1 - int(figures)), view.listing.tick_size)
        book = view.book(_BOOK_LEVELS, step)
        levels = [
            [{"px": price, "sz": size, "n": orders} for price, size, orders in rows_of(side)]
            for side in (book.bids, book.asks)
        ]
        return {"coin": view.listing.instrument, "time": book.time, "levels": levels}

    def _candles(self, query: Query) -> Payload:
        request = query.get("req") or {}
        view = self._view(str(request.get("coin", "")))
        name = str(request.get("interval", ""))
        if name not in _INTERVALS:
            raise RequestRefused(422, {"error": f"unknown interval {name}"})
        interval = _INTERVALS[name]
        start, end = optional_int(request, "startTime") or 0, optional_int(request, "endTime")
        return [
            {
                "t": bar.time,
                "T": bar.time + interval - 1,
                "s": view.listing.instrument,
                "i": name,
                "o": number(bar.open),
                "c": number(bar.close),
                "h": number(bar.high),
                "l": number(bar.low),
                "v": number(bar.volume),
                "n": bar.trades,
            }
            for bar in window(view.bars(interval), start, end, 5_000)
        ]

    def trade(self, view: VenueMarket, trade: TradeRow) -> dict[str, Any]:
        """Return a trade as streams and answers have it."""
        return {
            "coin": view.listing.instrument,
            "side": "B" if trade.taker_side > 0 else "A",
            "px": number(trade.price),
            "sz": number(trade.quantity),
            "time": trade.time,
            "hash": f"0x{trade.identifier:064x}",
            "tid": trade.identifier,
            "users": [self.address(view, trade.buyer), self.address(view, trade.seller)],
        }

    def _recent_trades(self, query: Query) -> Payload:
        view = self._view(str(query.get("coin", "")))
        return [self.trade(view, trade) for trade in reversed(view.recent_trades(latest=10)[-10:])]

    def _funding_history(self, query: Query) -> Payload:
        view = self._view(str(query.get("coin", "")))
        rows = window(view.fundings(), optional_int(query, "startTime") or 0, optional_int(query, "endTime"), 500)
        return [
            {
                "coin": view.listing.instrument,
                "fundingRate": number(row.rate, 10),
                "premium": number(row.rate, 10),
                "time": row.time,
            }
            for row in rows
        ]

    def _leaderboard(self) -> Payload:
        """Answer with the accounts of the largest value."""
        found: list[tuple[float, str]] = []
        for view in self._views.values():
            table = view.market.positions
            rows = table.open_rows
            rows = rows[table.venue[rows] == view.number]
            largest = rows[np.argsort(-table.margin[rows], kind="stable")][:_LEADERS]
            found += [
                (float(table.margin[row]), self.address(view, int(table.account[row]))) for row in largest.tolist()
            ]
            makers = maker_account(np.arange(view.market.makers.count)).tolist()
            found += [(1e7, self.address(view, account)) for account in makers]
        found.sort(reverse=True)
        return {
            "leaderboardRows": [
                {
                    "ethAddress": address,
                    "accountValue": number(value, 2),
                    "windowPerformances": [["day", {"pnl": "0.0", "roi": "0.0", "vlm": "0.0"}]],
                    "prize": 0,
                    "displayName": None,
                }
                for value, address in found[:_LEADERS]
            ]
        }


def account_state(time: int, positions: list[dict[str, Any]], value: float, maintenance: float) -> dict[str, Any]:
    """Return a clearinghouseState body; `maintenance` is the margin that cross positions ask, USD."""
    notional = sum(float(each["position"]["positionValue"]) for each in positions)
    used = sum(float(each["position"]["marginUsed"]) for each in positions)
    summary = {
        "accountValue": number(value, 6),
        "totalNtlPos": number(notional, 6),
        "totalRawUsd": number(value - notional, 6),
        "totalMarginUsed": number(used, 6),
    }
    return {
        "marginSummary": summary,
        "crossMarginSummary": summary,
        "crossMaintenanceMarginUsed": number(maintenance, 6),
        "withdrawable": number(max(value - used, 0.0), 6),
        "assetPositions": positions,
        "time": time,
    }


def _positions_of(view: VenueMarket, account: int) -> tuple[list[dict[str, Any]], float]:
    """Return the account's position, if it has one, and the account's value (USD)."""
    if account < 0:
        lots = int(view.market.makers.lots[view.number, -1 - account])
        size = lots * view.listing.quantity_step
        if not lots:
            return [], 1e7
        return [_position(view, size, view.mark_price, 1e7, 1.0, float("nan"), is_cross=True)], 1e7
    table = view.market.positions
    rows = np.flatnonzero((table.account == account) & (table.venue == view.number) & (table.lots > 0))
    positions, value = [], 0.0
    for row in rows.tolist():
        size = float(table.side[row] * table.lots[row]) * view.listing.quantity_step
        margin, entry = float(table.margin[row]), float(table.entry_price[row])
        value += margin + size * (view.mark_price - entry)
        positions.append(
            _position(
                view,
                size,
                entry,
                margin,
                float(table.leverage[row]),
                float(table.liquidation_price[row]),
                is_cross=int(table.kind[row]) in _CROSS_KINDS,
            )
        )
    return positions, value


def _position(
    view: VenueMarket, size: float, entry: float, margin: float, leverage: float, liquidation: float, *, is_cross: bool
) -> dict[str, Any]:
    value = abs(size) * view.mark_price
    profit = size * (view.mark_price - entry)
    # Hyperliquid counts an isolated position's profit into its margin; a cross one uses what its leverage asks.
    used = value / leverage if is_cross else margin + profit
    return {
        "type": "oneWay",
        "position": {
            "coin": view.listing.instrument,
            "szi": number(size),
            "leverage": {"type": "cross" if is_cross else "isolated", "value": round(leverage)},
            "entryPx": number(entry),
            "positionValue": number(value, 6),
            "unrealizedPnl": number(profit, 6),
            "returnOnEquity": number(profit / (abs(size) * entry / leverage), 6),
            "liquidationPx": number(liquidation, 10) if liquidation == liquidation else None,
            "marginUsed": number(used, 6),
            "maxLeverage": int(view.listing.tiers.maximum_leverage[0]),
            "cumFunding": {"allTime": "0.0", "sinceOpen": "0.0", "sinceChange": "0.0"},
        },
    }


def context(view: VenueMarket) -> dict[str, Any]:
    """Return the state of one coin's market; funding is the hour's rate."""
    mark = number(view.mark_price)
    bars = view.history.bars[view.number]
    oldest = [bar for bar in list(bars)[:1] if bar.time >= view.time - DAY_MS]
    return {
        "funding": number(view.funding_rate, 10),
        "openInterest": number(view.open_interest),
        "prevDayPx": number(oldest[0].open if oldest else view.mark_price),
        "dayNtlVlm": number(view.turnover, 6),
        "premium": number(view.mark_price / view.step.index_price - 1, 10),
        "oraclePx": number(view.step.index_price),
        "markPx": mark,
        "midPx": mark,
        "impactPxs": [mark, mark],
        "dayBaseVlm": number(view.turnover / view.mark_price, 4),
    }


def meta(views: list[VenueMarket]) -> dict[str, Any]:
    """Return the universe and its margin tables."""
    universe, tables = [], {}
    for view in views:
        tiers = view.listing.tiers
        leverage = int(tiers.maximum_leverage[0])
        table = _MARGIN_TABLES.get(leverage, leverage) if len(tiers) > 1 else leverage
        steps = zip(tiers.notional_floor.tolist(), tiers.maximum_leverage.tolist(), strict=True)
        tables[table] = {
            "description": f"tiered {leverage}x" if len(tiers) > 1 else "",
            "marginTiers": [{"lowerBound": f"{floor:.1f}", "maxLeverage": int(most)} for floor, most in steps],
        }
        universe.append(
            {
                "name": view.listing.instrument,
                "szDecimals": len(number(view.listing.quantity_step).partition(".")[2]),
                "maxLeverage": leverage,
                "marginTableId": table,
            }
        )
    return {"universe": universe, "marginTables": [[key, table] for key, table in tables.items()], "collateralToken": 0}
