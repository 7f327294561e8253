"""Binance USD-M on the wire: market streams; its REST answers are in `binance_rest`.

Shapes: developers.binance.com, USD-M Market Streams, and the recorded frames of the test data. A forced order
is published at most once per symbol and second, the latest one.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from liqheat.domain.market import Venue
from liqheat.simulator.history import LiquidationRow, TradeRow, VenueMarket
from liqheat.simulator.tape import latest_each_second
from liqheat.simulator.wire.base import BaseWire, Frame, Payload, Query, RateLimit, Subscriber, dumps, number
from liqheat.simulator.wire.binance_rest import BinanceRest


class BinanceWire(BaseWire):
    """See `base.Wire`."""

    venue = Venue.BINANCE
    notice = '{"e":"simulatedNotice","E":1}'
    socket_paths: tuple[str, ...] = ("/market/ws", "/market/stream", "/market/ws/{streams}")
    rate_limit = RateLimit(2_400, 60.0)

    def __init__(self, views: dict[str, VenueMarket]) -> None:
        self._views = views
        self._rest = BinanceRest(views)

    def connect(self, path: str, query: Query) -> Subscriber:
        """Take the streams named in the address: `?streams=a/b` (combined) or `/ws/a/b` (raw)."""
        raw = path.partition("/ws/")[2]
        names = query.get("streams", "") or raw
        topics = {name for name in names.split("/") if name}
        return Subscriber(topics, is_combined=path.endswith("/stream"))

    def publish(self, view: VenueMarket) -> Iterator[Frame]:
        """Yield trades, the forced orders that are let through, and mark price of a step."""
        name = view.listing.instrument
        stream = name.lower()
        step = view.step
        for trade in view.trades_of(step):
            yield Frame(f"{stream}@aggTrade", agg_trade(name, trade))
        liquidations = view.liquidations_of(step)
        latest = latest_each_second(np.array([row.time for row in liquidations], np.int64))
        for row, is_latest in zip(liquidations, latest, strict=True):
            if is_latest:
                payload = force_order(name, row)
                yield Frame(f"{stream}@forceOrder", payload)
                yield Frame("!forceOrder@arr", payload)
        mark = mark_price(view)
        yield Frame(f"{stream}@markPrice@1s", mark)
        yield Frame("!markPrice@arr@1s", [mark])

    def receive(self, text: str, subscriber: Subscriber) -> Iterator[str]:
        """Answer SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS."""
        try:
            message = json.loads(text)
            method, identifier = message["method"], message.get("id")
        except (ValueError, KeyError, TypeError):
            yield dumps({"code": 2, "msg": "Invalid request: unable to parse"})
            return
        streams: Sequence[str] = message.get("params") or []
        result: Any = None
        if method == "SUBSCRIBE":
            subscriber.topics.update(streams)
        elif method == "UNSUBSCRIBE":
            subscriber.topics.difference_update(streams)
        elif method == "LIST_SUBSCRIPTIONS":
            result = sorted(subscriber.topics)
        else:
            yield dumps({"code": 2, "msg": f"Invalid request: unknown method {method}", "id": identifier})
            return
        yield dumps({"result": result, "id": identifier})

    def encode(self, frame: Frame, subscriber: Subscriber) -> str:
        """Wrap the payload with its stream's name on a combined connection."""
        return dumps({"stream": frame.topic, "data": frame.payload} if subscriber.is_combined else frame.payload)

    def answer(self, path: str, query: Query) -> Payload:
        """Answer a request; see `binance_rest`."""
        return self._rest.answer(path, query)

    def weight(self, path: str, query: Query) -> int:
        """Return the documented weight of a request."""
        return self._rest.weight(path, query)


def agg_trade(name: str, trade: TradeRow) -> dict[str, Any]:
    """Return an aggTrade event."""
    return {
        "e": "aggTrade",
        "E": trade.time,
        "a": trade.identifier,
        "s": name,
        "p": number(trade.price),
        "q": number(trade.quantity),
        "f": trade.identifier,
        "l": trade.identifier,
        "T": trade.time,
        "m": trade.taker_side < 0,
        "st": 1,
    }


def force_order(name: str, row: LiquidationRow) -> dict[str, Any]:
    """Return a forceOrder event: the side is the order's, `p` the bankruptcy price, `ap` the fill."""
    # A long whose margin outlasts every price has no bankruptcy price; its order then limits at the fill.
    bankruptcy = row.bankruptcy_price if row.bankruptcy_price == row.bankruptcy_price else row.price
    quantity = number(row.quantity)
    return {
        "e": "forceOrder",
        "E": row.time,
        "o": {
            "s": name,
            "S": "SELL" if row.side > 0 else "BUY",
            "o": "LIMIT",
            "f": "IOC",
            "q": quantity,
            "p": number(bankruptcy),
            "ap": number(row.price),
            "X": "FILLED",
            "l": quantity,
            "z": quantity,
            "T": row.time,
        },
    }


def mark_price(view: VenueMarket) -> dict[str, Any]:
    """Return a markPriceUpdate event."""
    index = number(view.step.index_price)
    return {
        "e": "markPriceUpdate",
        "E": view.time,
        "s": view.listing.instrument,
        "p": number(view.mark_price),
        "i": index,
        "P": index,
        "r": number(view.funding_rate),
        "T": view.next_funding_time,
        "st": 1,
    }
