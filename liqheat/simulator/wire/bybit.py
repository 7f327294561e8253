"""Bybit v5 linear on the wire: public topics; its REST answers are in `bybit_rest`.

Tickers are a snapshot on subscribing and then only what changed; `openInterest` counts both sides. All
liquidations are published, by the position's side and at its bankruptcy price. Shapes: bybit-exchange docs v5
and the recorded frames of the test data.
"""

import json
import uuid
from collections.abc import Iterator
from typing import Any

from liqheat.domain.market import Venue
from liqheat.simulator.history import TradeRow, VenueMarket
from liqheat.simulator.wire.base import BaseWire, Frame, Payload, Query, RateLimit, Subscriber, dumps, number
from liqheat.simulator.wire.bybit_rest import BybitRest, ticker

_TOPICS = ("publicTrade", "tickers", "allLiquidation")


class BybitWire(BaseWire):
    """See `base.Wire`."""

    venue = Venue.BYBIT
    notice = '{"topic":"simulatedNotice","ts":1,"data":{}}'
    socket_paths: tuple[str, ...] = ("/v5/public/linear",)
    rate_limit = RateLimit(600, 5.0)
    silence_limit: float | None = 600.0

    def __init__(self, views: dict[str, VenueMarket]) -> None:
        self._views = views
        self._rest = BybitRest(views)
        self._tickers: dict[str, dict[str, Any]] = {}

    def publish(self, view: VenueMarket) -> Iterator[Frame]:
        """Yield the trades, the ticker's change and the liquidations of a step."""
        name, time = view.listing.instrument, view.time
        trades = [public_trade(name, trade) for trade in view.trades_of(view.step)]
        if trades:
            topic = f"publicTrade.{name}"
            yield Frame(topic, {"topic": topic, "type": "snapshot", "ts": time, "data": trades})
        known, fresh = self._tickers.get(name, {}), ticker(view)
        changed = {key: value for key, value in fresh.items() if key == "symbol" or known.get(key) != value}
        self._tickers[name] = fresh
        topic = f"tickers.{name}"
        yield Frame(topic, {"topic": topic, "type": "delta", "data": changed, "cs": time, "ts": time})
        died = [
            {
                "T": row.time,
                "s": name,
                "S": "Buy" if row.side > 0 else "Sell",
                "v": number(row.quantity),
                "p": number(row.bankruptcy_price if row.bankruptcy_price == row.bankruptcy_price else row.price),
            }
            for row in view.liquidations_of(view.step)
        ]
        if died:
            topic = f"allLiquidation.{name}"
            yield Frame(topic, {"topic": topic, "type": "snapshot", "ts": time, "data": died})

    def receive(self, text: str, subscriber: Subscriber) -> Iterator[str]:
        """Answer ping, subscribe and unsubscribe; a new ticker begins with its snapshot."""
        try:
            message = json.loads(text)
            operation, topics = message["op"], message.get("args") or []
        except (ValueError, KeyError, TypeError):
            yield dumps({"success": False, "ret_msg": "error:request is no JSON", "conn_id": "simulated", "op": ""})
            return
        answer = {"success": True, "ret_msg": "", "conn_id": "simulated", "req_id": message.get("req_id", "")}
        if operation == "ping":
            yield dumps({**answer, "ret_msg": "pong", "op": "ping"})
            return
        unknown = [topic for topic in topics if not self._is_known(topic)]
        if operation not in ("subscribe", "unsubscribe") or unknown:
            reason = f"Invalid topic: {unknown[0]}" if unknown else f"Invalid operation: {operation}"
            yield dumps({"success": False, "ret_msg": reason, "conn_id": "simulated", "op": operation})
            return
        if operation == "unsubscribe":
            subscriber.topics.difference_update(topics)
            yield dumps({**answer, "op": operation})
            return
        subscriber.topics.update(topics)
        yield dumps({**answer, "op": operation})
        for topic in topics:
            kind, _, name = topic.partition(".")
            if kind == "tickers":
                data = self._tickers.setdefault(name, ticker(self._views[name]))
                time = self._views[name].time
                yield dumps({"topic": topic, "type": "snapshot", "data": data, "cs": time, "ts": time})

    def answer(self, path: str, query: Query) -> Payload:
        """Answer a request; see `bybit_rest`."""
        return self._rest.answer(path, query)

    def _is_known(self, topic: str) -> bool:
        kind, _, name = topic.partition(".")
        return kind in _TOPICS and name in self._views


def execution_id(name: str, trade: TradeRow) -> str:
    """Return the same unique text for a trade on the socket and over REST."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name}:{trade.identifier}"))


def public_trade(name: str, trade: TradeRow) -> dict[str, Any]:
    """Return one row of publicTrade; `S` is the taker's side."""
    return {
        "T": trade.time,
        "s": name,
        "S": "Buy" if trade.taker_side > 0 else "Sell",
        "v": number(trade.quantity),
        "p": number(trade.price),
        "L": "PlusTick" if trade.taker_side > 0 else "MinusTick",
        "i": execution_id(name, trade),
        "BT": False,
        "RPI": False,
    }
