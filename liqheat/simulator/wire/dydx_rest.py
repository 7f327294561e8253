"""dYdX v4's indexer over REST: markets, trades, candles, settlements and books; past things come newest first.

Shapes: api-documentation.md of v4-chain (`indexer/services/comlink/public`), and the payloads of the test data.
"""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.simulator.history import VenueMarket
from liqheat.simulator.tape import Step
from liqheat.simulator.wire.base import Payload, Query, RequestRefused, number, rows_of

_RESOLUTIONS: dict[str, int] = {"1MIN": MINUTE_MS, "5MINS": 5 * MINUTE_MS, "15MINS": 15 * MINUTE_MS, "1HOUR": HOUR_MS}
_MOST_ROWS = 1_000
_BOOK_LEVELS = 100


class DydxRest:
    """Answers for the listed markets."""

    def __init__(self, views: dict[str, VenueMarket]) -> None:
        self._views = views
        self._paths: dict[str, Callable[[VenueMarket, Query], dict[str, Any]]] = {
            "trades/perpetualMarket": self._trades,
            "candles/perpetualMarkets": self._candles,
            "historicalFunding": self._settlements,
            "orderbooks/perpetualMarket": self._order_book,
        }

    def answer(self, path: str, query: Query) -> Payload:
        """Return the body for `path`; see `base.Wire.answer`."""
        endpoint = path.removeprefix("/v4/")
        if endpoint == "perpetualMarkets":
            return {"markets": {name: market(view) for name, view in self._views.items()}}
        kind, _, name = endpoint.rpartition("/")
        if kind not in self._paths:
            raise RequestRefused(404, {"errors": [{"msg": "Not Found"}]})
        if name not in self._views:
            error = {"msg": "ticker must be a valid ticker (BTC-USD, etc)", "param": "ticker", "location": "params"}
            raise RequestRefused(400, {"errors": [error]})
        return self._paths[kind](self._views[name], query)

    def _trades(self, view: VenueMarket, query: Query) -> dict[str, Any]:
        limit, end = _limit(query), _time(query, "createdBeforeOrAt")
        last_block = query.get("createdBeforeOrAtHeight")
        last = end if last_block is None else (int(last_block) + 1) * 1_000 - 1
        rows: list[dict[str, str]] = []
        for step in reversed(view.history.steps):
            rows += reversed(trades_of(view, step, until=last))
            if len(rows) >= limit:
                break
        return {"trades": rows[:limit]}

    def _candles(self, view: VenueMarket, query: Query) -> dict[str, Any]:
        resolution = str(query.get("resolution", ""))
        if resolution not in _RESOLUTIONS:
            raise RequestRefused(400, {"errors": [{"msg": "resolution must be a valid Candle Resolution"}]})
        start, end = _time(query, "fromISO") or 0, _time(query, "toISO")
        points = view.open_interest_points()
        rows = [
            {
                "startedAt": iso(bar.time),
                "ticker": view.listing.instrument,
                "resolution": resolution,
                "low": number(bar.low),
                "high": number(bar.high),
                "open": number(bar.open),
                "close": number(bar.close),
                "baseTokenVolume": number(bar.volume),
                "usdVolume": number(bar.quote_volume),
                "trades": bar.trades,
                "startingOpenInterest": number(
                    next((coins for time, coins, _ in reversed(points) if time <= bar.time), view.open_interest)
                ),
            }
            for bar in view.bars(_RESOLUTIONS[resolution])
            if start <= bar.time and (end is None or bar.time < end)
        ]
        return {"candles": rows[::-1][: _limit(query)]}

    def _settlements(self, view: VenueMarket, query: Query) -> dict[str, Any]:
        end = _time(query, "effectiveBeforeOrAt")
        rows = [
            {
                "ticker": view.listing.instrument,
                "rate": number(row.rate, 10),
                "price": number(row.mark_price),
                "effectiveAt": iso(row.time),
                "effectiveAtHeight": str(row.time // 1_000),
            }
            for row in view.fundings()
            if end is None or row.time <= end
        ]
        return {"historicalFunding": rows[::-1][: _limit(query)]}

    def _order_book(self, view: VenueMarket, _: Query) -> dict[str, Any]:
        book = view.book(_BOOK_LEVELS)
        return {
            side: [{"price": price, "size": size} for price, size, _ in rows_of(levels)]
            for side, levels in (("bids", book.bids), ("asks", book.asks))
        }


def market(view: VenueMarket) -> dict[str, Any]:
    """Return one market of `/v4/perpetualMarkets`."""
    leverage, rate = view.listing.tiers.rows()[0][2:4]
    return {
        "clobPairId": "0",
        "ticker": view.listing.instrument,
        "status": "ACTIVE",
        "oraclePrice": number(view.mark_price),
        "priceChange24H": "0",
        "volume24H": number(view.turnover, 4),
        "trades24H": 0,
        "nextFundingRate": number(view.funding_rate, 10),
        "initialMarginFraction": number(1 / leverage),
        "maintenanceMarginFraction": number(rate),
        "openInterest": number(view.open_interest),
        "atomicResolution": -6,
        "quantumConversionExponent": -9,
        "tickSize": number(view.listing.tick_size),
        "stepSize": number(view.listing.quantity_step),
        "stepBaseQuantums": 1_000_000,
        "subticksPerTick": 100_000,
        "marketType": "CROSS",
        "openInterestLowerCap": "0",
        "openInterestUpperCap": "0",
        "baseOpenInterest": number(view.open_interest),
        "defaultFundingRate1H": "0",
    }


def trades_of(view: VenueMarket, step: Step, until: int | None = None) -> list[dict[str, str]]:
    """Return the trades of a step, oldest first; one that closed a liquidated position says so in its type.

    `side` is the taker's; a forced order takes, against the side of its position.
    """
    forced = {(row.account, -row.side, row.quantity) for row in view.liquidations_of(step)}
    rows = []
    for trade in view.trades_of(step):
        if until is not None and trade.time > until:
            continue
        taker = trade.buyer if trade.taker_side > 0 else trade.seller
        is_forced = (taker, trade.taker_side, trade.quantity) in forced
        rows.append(
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{view.listing.instrument}:{trade.identifier}")),
                "side": "BUY" if trade.taker_side > 0 else "SELL",
                "size": number(trade.quantity),
                "price": number(trade.price),
                "type": "LIQUIDATED" if is_forced else "LIMIT",
                "createdAt": iso(trade.time),
                "createdAtHeight": str(trade.time // 1_000),
            }
        )
    return rows


def iso(time: int) -> str:
    """Return a time (ms) as the indexer writes it."""
    return datetime.fromtimestamp(time / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(query: Query, name: str) -> int | None:
    text = str(query.get(name) or "")
    return round(datetime.fromisoformat(text).timestamp() * 1_000) if text else None


def _limit(query: Query) -> int:
    return min(int(query.get("limit") or _MOST_ROWS), _MOST_ROWS)
