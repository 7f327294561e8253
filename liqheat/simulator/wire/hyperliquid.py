"""Hyperliquid on the wire: channels by coin and by account; answers of `POST /info` are in `hyperliquid_info`.

Trades name both users, so that wallets can be found; there is no market-wide liquidation feed, only the fills
of a watched account. The first trades message of a coin is backlog. Shapes: its gitbook and recorded data.
"""

import json
from collections.abc import Iterator
from typing import Any

from liqheat.domain.market import Venue
from liqheat.simulator.history import LiquidationRow, VenueMarket
from liqheat.simulator.wire.base import BaseWire, Frame, Payload, Query, RateLimit, Subscriber, dumps, number
from liqheat.simulator.wire.hyperliquid_info import HyperliquidInfo, context

_BACKLOG = 10
_COIN_CHANNELS = ("trades", "activeAssetCtx")
_ACCOUNT_CHANNELS = ("userEvents", "userFills")
_WEIGHTS = {"clearinghouseState": 2, "allMids": 2, "l2Book": 2, "exchangeStatus": 2, "": 0}


class HyperliquidWire(BaseWire):
    """See `base.Wire`."""

    venue = Venue.HYPERLIQUID
    notice = '{"channel":"simulatedNotice","data":{}}'
    socket_paths: tuple[str, ...] = ("/ws",)
    rate_limit = RateLimit(1_200, 60.0)
    silence_limit: float | None = 60.0

    def __init__(self, views: dict[str, VenueMarket]) -> None:
        self._views = views
        self._info = HyperliquidInfo(views)

    def publish(self, view: VenueMarket) -> Iterator[Frame]:
        """Yield the trades and the context of a step, and liquidation fills for who watches their account."""
        coin = view.listing.instrument
        trades = [self._info.trade(view, trade) for trade in view.trades_of(view.step)]
        if trades:
            yield Frame(f"trades:{coin}", {"channel": "trades", "data": trades})
        active = {"coin": coin, "ctx": context(view)}
        yield Frame(f"activeAssetCtx:{coin}", {"channel": "activeAssetCtx", "data": active})
        if view is list(self._views.values())[-1]:
            contexts = [context(each) for each in self._views.values()]
            yield Frame("allDexsAssetCtxs:", {"channel": "allDexsAssetCtxs", "data": {"ctxs": [["", contexts]]}})
        for number_of_fill, row in enumerate(view.liquidations_of(view.step)):
            user = self._info.address(view, row.account)
            fill = liquidation_fill(view, row, user, number_of_fill)
            yield Frame(f"userEvents:{user}", {"channel": "user", "data": {"fills": [fill]}})
            yield Frame(f"userFills:{user}", {"channel": "userFills", "data": {"user": user, "fills": [fill]}})

    def receive(self, text: str, subscriber: Subscriber) -> Iterator[str]:
        """Answer ping, subscribe and unsubscribe; trades begin with a backlog."""
        try:
            message = json.loads(text)
            method = message["method"]
            if method == "ping":
                yield dumps({"channel": "pong"})
                return
            wanted = message["subscription"]
            channel = wanted["type"]
        except (ValueError, KeyError, TypeError):
            yield dumps({"channel": "error", "data": f"Error parsing JSON into valid websocket request: {text[:100]}"})
            return
        name = wanted.get("user" if channel in _ACCOUNT_CHANNELS else "coin", "")
        is_known = channel in _ACCOUNT_CHANNELS or channel == "allDexsAssetCtxs"
        is_known = is_known or (channel in _COIN_CHANNELS and name in self._views)
        if method not in ("subscribe", "unsubscribe") or not is_known:
            yield dumps({"channel": "error", "data": f"Invalid subscription {dumps(wanted)}"})
            return
        topic = f"{channel}:{name}"
        if method == "subscribe":
            subscriber.topics.add(topic)
        else:
            subscriber.topics.discard(topic)
        yield dumps({"channel": "subscriptionResponse", "data": {"method": method, "subscription": wanted}})
        if method == "subscribe" and channel == "trades":
            view = self._views[name]
            backlog = view.recent_trades(latest=_BACKLOG)[-_BACKLOG:]
            yield dumps({"channel": "trades", "data": [self._info.trade(view, trade) for trade in backlog]})

    def answer(self, path: str, query: Query) -> Payload:
        """Answer `/info` and the leaderboard; see `hyperliquid_info`."""
        return self._info.answer(path, query)

    def weight(self, path: str, query: Query) -> int:  # noqa: ARG002 - the type is in the body
        """Return the documented weight of a request; the leaderboard is another host's."""
        return _WEIGHTS.get(str(query.get("type", "")), 20)


def liquidation_fill(view: VenueMarket, row: LiquidationRow, user: str, number_of_fill: int) -> dict[str, Any]:
    """Return the fill that an account sees when it is liquidated: its own order, which takes."""
    signed = row.side * row.quantity
    return {
        "coin": view.listing.instrument,
        "px": number(row.price),
        "sz": number(row.quantity),
        "side": "A" if row.side > 0 else "B",
        "time": row.time,
        "startPosition": number(signed),
        "dir": "Liquidated Isolated Long" if row.side > 0 else "Liquidated Isolated Short",
        "closedPnl": "0.0",
        "hash": f"0x{row.time:064x}",
        "oid": row.time * 100 + number_of_fill,
        "crossed": True,
        "fee": "0.0",
        "tid": row.time * 100 + number_of_fill,
        "liquidation": {"liquidatedUser": user, "markPx": number(row.mark_price), "method": "market"},
        "feeToken": "USDC",
        "twapId": None,
    }
