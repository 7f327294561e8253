"""dYdX v4's indexer on the wire: `v4_trades` and `v4_markets`; its REST answers are in `dydx_rest`.

The first message of a channel is what its REST endpoint answers; updates of markets hold only what changed.
Liquidations are trades of the type LIQUIDATED. Shapes: websocket-documentation.md of v4-chain, and the payloads
of the test data.
"""

import json
from collections.abc import Iterator
from typing import Any

from liqheat.domain.market import Venue
from liqheat.simulator.history import VenueMarket
from liqheat.simulator.wire.base import BaseWire, Frame, Payload, Query, RateLimit, Subscriber, dumps, number
from liqheat.simulator.wire.dydx_rest import DydxRest, iso, market, trades_of

_CHANNELS = ("v4_trades", "v4_markets")
_CONNECTION = "00000000-0000-4000-8000-000000000000"


class DydxWire(BaseWire):
    """See `base.Wire`."""

    venue = Venue.DYDX
    notice = '{"type":"simulatedNotice","connection_id":"1","message_id":1}'
    socket_paths: tuple[str, ...] = ("/v4/ws",)
    rate_limit = RateLimit(100, 10.0)

    def __init__(self, views: dict[str, VenueMarket]) -> None:
        self._views = views
        self._rest = DydxRest(views)
        self._published: dict[str, dict[str, Any]] = {}

    def publish(self, view: VenueMarket) -> Iterator[Frame]:
        """Yield the trades of a step, liquidations among them, its oracle price, and what changed of the market."""
        name, step = view.listing.instrument, view.step
        if trades := trades_of(view, step):
            yield self._frame("v4_trades", name, {"trades": trades})
        fresh = market(view)
        known = self._published.get(name, {})
        changed = {key: value for key, value in fresh.items() if known.get(key) != value and key != "oraclePrice"}
        self._published[name] = fresh
        oracle = {
            "oraclePrice": number(view.mark_price),
            "effectiveAt": iso(view.time),
            "effectiveAtHeight": str(view.time // 1_000),
            "marketId": 0,
        }
        contents: dict[str, Any] = {"oraclePrices": {name: oracle}}
        if changed:
            contents["trading"] = {name: changed}
        yield self._frame("v4_markets", "", contents)

    def receive(self, text: str, subscriber: Subscriber) -> Iterator[str]:
        """Answer subscribe and unsubscribe; a channel begins with its present contents."""
        try:
            message = json.loads(text)
            operation, channel, name = message["type"], message["channel"], message.get("id", "")
        except (ValueError, KeyError, TypeError):
            yield _error("Invalid message: could not parse")
            return
        if operation not in ("subscribe", "unsubscribe"):
            yield _error(f"Invalid message type: {operation}")
            return
        if channel not in _CHANNELS or (channel == "v4_trades" and name not in self._views):
            yield _error(f"Invalid subscription id for channel: ({channel}-{name})")
            return
        topic = f"{channel}:{name if channel == 'v4_trades' else ''}"
        about = {"connection_id": _CONNECTION, "message_id": 1, "channel": channel, **({"id": name} if name else {})}
        if operation == "unsubscribe":
            subscriber.topics.discard(topic)
            yield dumps({"type": "unsubscribed", **about})
            return
        subscriber.topics.add(topic)
        path = f"/v4/trades/perpetualMarket/{name}" if channel == "v4_trades" else "/v4/perpetualMarkets"
        yield dumps({"type": "subscribed", **about, "contents": self._rest.answer(path, {"limit": "10"})})

    def answer(self, path: str, query: Query) -> Payload:
        """Answer a request; see `dydx_rest`."""
        return self._rest.answer(path, query)

    def _frame(self, channel: str, name: str, contents: Payload) -> Frame:
        payload = {
            "type": "channel_batch_data",
            "connection_id": _CONNECTION,
            "message_id": 2,
            **({"id": name} if name else {}),
            "channel": channel,
            "version": "1.0.0",
            "contents": [contents],
        }
        return Frame(f"{channel}:{name}", payload)


def _error(reason: str) -> str:
    return dumps({"type": "error", "message": reason, "connection_id": _CONNECTION, "message_id": 1})
