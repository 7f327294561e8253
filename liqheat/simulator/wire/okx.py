"""OKX v5 swaps on the wire: public channels; its REST answers are in `okx_rest`.

Sizes are contracts. Liquidations are subscribed by instrument type, begin with a backlog, and are a sample.
A socket on which nothing moves for 30 s is cut. Shapes: okx.com/docs-v5 and the recorded test data.
"""

import json
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from liqheat.domain.market import Venue
from liqheat.simulator.history import VenueMarket
from liqheat.simulator.tape import latest_each_second
from liqheat.simulator.wire.base import BaseWire, Frame, Payload, Query, RateLimit, Subscriber, dumps, number
from liqheat.simulator.wire.okx_rest import (
    OkxRest,
    contracts,
    funding_rate,
    liquidation_orders,
    mark_price,
    open_interest,
    ticker,
)

_LIQUIDATIONS = "liquidation-orders"
_CHANNELS = (
    "trades",
    "trades-all",
    "mark-price",
    "funding-rate",
    "open-interest",
    "tickers",
    "index-tickers",
    _LIQUIDATIONS,
)
_BACKLOG = 20


class OkxWire(BaseWire):
    """See `base.Wire`."""

    venue = Venue.OKX
    notice = '{"event":"simulatedNotice","code":"64008","msg":"will be closed for an upgrade"}'
    socket_paths: tuple[str, ...] = ("/ws/v5/public", "/ws/v5/business")
    rate_limit = RateLimit(20, 2.0, is_by_path=True)
    silence_limit: float | None = 30.0

    def __init__(self, views: dict[str, VenueMarket]) -> None:
        self._views = views
        self._rest = OkxRest(views)
        self._past: deque[dict[str, Any]] = deque(maxlen=_BACKLOG)

    def publish(self, view: VenueMarket) -> Iterator[Frame]:
        """Yield the trades, prices, funding, open interest and let-through liquidations of a step."""
        name, time = view.listing.instrument, str(view.time)
        trades = [
            {
                "instId": name,
                "tradeId": str(trade.identifier),
                "px": number(trade.price),
                "sz": contracts(view, trade.quantity),
                "side": "buy" if trade.taker_side > 0 else "sell",
                "ts": str(trade.time),
                "count": "1",
            }
            for trade in view.trades_of(view.step)
        ]
        for trade in trades:
            yield _frame("trades", name, [trade])
            yield _frame("trades-all", name, [trade])
        yield _frame("mark-price", name, [mark_price(view)])
        index = {"instId": name.removesuffix("-SWAP"), "idxPx": number(view.step.index_price), "ts": time}
        yield _frame("index-tickers", index["instId"], [index])
        yield _frame("open-interest", name, [open_interest(view)])
        yield _frame("tickers", name, [ticker(view)])
        yield _frame("funding-rate", name, [funding_rate(view)])
        liquidations = view.liquidations_of(view.step)
        latest = latest_each_second(np.array([row.time for row in liquidations], np.int64))
        for row, is_latest in zip(liquidations, latest, strict=True):
            if is_latest:
                order = liquidation_orders(view, [row])
                self._past.append(order)
                yield Frame(f"{_LIQUIDATIONS}:SWAP", _liquidations([order]))

    def receive(self, text: str, subscriber: Subscriber) -> Iterator[str]:
        """Answer ping, subscribe and unsubscribe; liquidations begin with what is past."""
        if text == "ping":
            yield "pong"
            return
        try:
            message = json.loads(text)
            operation, arguments = message["op"], message["args"]
        except (ValueError, KeyError, TypeError):
            yield _error("60012", f"Illegal request: {text[:100]}")
            return
        if operation not in ("subscribe", "unsubscribe"):
            yield _error("60012", f"Illegal request: {text[:100]}")
            return
        for argument in arguments:
            channel = argument.get("channel", "")
            name = argument.get("instType" if channel == _LIQUIDATIONS else "instId", "")
            if channel not in _CHANNELS or not self._is_known(channel, name):
                yield _error("60018", f"channel:{channel},instId:{name} doesn't exist")
                continue
            topic = f"{channel}:{name}"
            if operation == "subscribe":
                subscriber.topics.add(topic)
            else:
                subscriber.topics.discard(topic)
            yield dumps({"event": operation, "arg": argument, "connId": "5a1f00d5"})
            if operation == "subscribe" and channel == _LIQUIDATIONS and self._past:
                yield dumps(_liquidations(list(self._past)))

    def answer(self, path: str, query: Query) -> Payload:
        """Answer a request; see `okx_rest`."""
        return self._rest.answer(path, query)

    def weight(self, path: str, query: Query) -> int:
        """Return what a request costs: open-interest history and full books are allowed 10 in 2 s, all else 20."""
        is_scarce = any(part in path for part in ("/rubik/", "/books-full"))
        return 2 if is_scarce else super().weight(path, query)

    def _is_known(self, channel: str, name: str) -> bool:
        if channel == _LIQUIDATIONS:
            return name == "SWAP"
        return (f"{name}-SWAP" if channel == "index-tickers" else name) in self._views


def _frame(channel: str, name: str, data: list[Any]) -> Frame:
    return Frame(f"{channel}:{name}", {"arg": {"channel": channel, "instId": name}, "data": data})


def _liquidations(orders: list[dict[str, Any]]) -> dict[str, Any]:
    return {"arg": {"channel": _LIQUIDATIONS, "instType": "SWAP"}, "data": orders}


def _error(code: str, message: str) -> str:
    return dumps({"event": "error", "code": code, "msg": message, "connId": "5a1f00d5"})
