"""Frames as venues send them, spoilt at random: the raw material of the fuzz tests.

`good_frames` are lists of rows of one instrument with times and numbers that are new each time; `spoilt` changes places
or bytes of a frame; `bad_row` makes a row of another instrument that no venue would send.
"""

import math
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import msgspec

from liqheat.domain.events import Event
from liqheat.domain.market import Venue
from tests.support.venue_cases import case_of

NOW = 1_795_000_000_000
OTHER = {
    Venue.BINANCE: "ODDUSDT",
    Venue.BYBIT: "ODDUSDT",
    Venue.OKX: "ODD-USDT-SWAP",
    Venue.HYPERLIQUID: "ODD",
}
"""The instrument of bad rows; of a venue that is not here, its case says it."""
GOOD_SYMBOLS = ("WLD", "FET")
"""The symbols of good rows; no spoilt name is one of them."""
CONTRACT_VALUES = {"WLD-USDT-SWAP": 1.0, "FET-USDT-SWAP": 10.0, "ODD-USDT-SWAP": 1.0}

Json = Any
Rows = list[dict[str, Json]]
Wrap = Callable[[Rows], Json]

_ODD: tuple[Json, ...] = (
    None, True, False, "", " ", "x", "nan", "NaN", "inf", "-Infinity", "-1", "1e400", "-0", "0", 0, -1, 1.5, -2.5,
    10**19, -(10**30), 1e308, 1e-320, "9" * 40, "1_000", "\uff11", [], {}, ["1"], [[]], {"a": 1}, "Buy", "SELL", "BTC",
    "\u0000", "\u5e01", "1e5", "0x10", 1_769_000_000, 1_769_000_000_000_000, 4_102_444_800_001, "1769000000",
    NOW + 10**12, 2**63, 2**64,
)  # fmt: skip
_TOKENS = (b"NaN", b"1e999", b"-", b"null", b"{}", b"[]", b'"', b",", b"}", b"]", b"\\u0000", b"\xff", b"0" * 50, b"\\")


def frames_of(venue: Venue, number: int) -> list[tuple[Rows, Wrap]]:
    """Return good frames of `venue` as rows and how a list of them is wrapped; `number` makes ids and times new."""
    ours = {
        Venue.BINANCE: _binance,
        Venue.BYBIT: _bybit,
        Venue.OKX: _okx,
        Venue.HYPERLIQUID: _hyperliquid,
    }
    return ours[venue](number) if venue in ours else case_of(venue).good_frames(NOW - 10_000_000 + number, number)


def _binance(n: int) -> list[tuple[Rows, Wrap]]:
    t = NOW - 10_000_000 + n
    where = {"s": "WLDUSDT"}
    trade = {"e": "aggTrade", "E": t, "a": n, "p": "1.02", "q": "5", "f": n, "l": n, "T": t, "m": n % 2 == 0, **where}
    mark = {"e": "markPriceUpdate", "E": t, "p": "1.02", "i": "1.0", "r": "0.0001", "T": NOW, **where}
    order = {
        "S": "SELL",
        "o": "LIMIT",
        "q": "9",
        "p": "0.9",
        "ap": "1",
        "X": "FILLED",
        "l": "9",
        "z": "9",
        "T": t,
        **where,
    }
    ticker = {"symbol": "WLDUSDT", "quoteVolume": "100", "closeTime": t}
    premium = {"symbol": "WLDUSDT", "markPrice": "1", "indexPrice": "1", "lastFundingRate": "0", "time": t}
    return [
        ([trade], lambda rows: rows),
        ([trade], lambda rows: {"stream": "x@y", "data": rows}),
        ([mark, {**mark, "s": "FETUSDT"}], lambda rows: rows),
        ([{"e": "forceOrder", "E": t, "o": order}], lambda rows: rows),
        ([ticker], lambda rows: rows),
        ([premium, {**premium, "symbol": "FETUSDT"}], lambda rows: rows),
        ([{"symbol": "WLDUSDT", "openInterest": "7", "time": t}], lambda rows: rows),
        (
            [{"symbol": s, "contractType": "PERPETUAL", "status": "TRADING", "quoteAsset": "USDT", "filters": []}
             for s in ("WLDUSDT", "FETUSDT")],
            lambda rows: {"symbols": rows},
        ),
    ]  # fmt: skip


def _bybit(n: int) -> list[tuple[Rows, Wrap]]:
    t = NOW - 10_000_000 + n

    def topic(name: str) -> Wrap:
        return lambda rows: {"topic": name, "type": "snapshot", "ts": t, "data": rows}

    def listed(rows: Rows) -> Json:
        return {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rows}, "time": t}

    trade = {"T": t, "s": "WLDUSDT", "S": "Buy", "v": "5", "p": "1.02", "i": str(n)}
    ticker = {
        "symbol": "WLDUSDT", "lastPrice": "1", "markPrice": "1.02", "indexPrice": "1", "openInterest": "9",
        "turnover24h": "5", "fundingRate": "0.0001", "nextFundingTime": str(NOW),
    }  # fmt: skip
    info = {
        "symbol": "WLDUSDT", "contractType": "LinearPerpetual", "status": "Trading",
        "priceFilter": {"tickSize": "0.1"}, "lotSizeFilter": {"qtyStep": "1"}, "fundingInterval": 480,
    }  # fmt: skip
    limit = {"symbol": "WLDUSDT", "riskLimitValue": "5000", "maintenanceMargin": "0.02", "initialMargin": "0.04",
             "maxLeverage": "25", "mmDeduction": ""}  # fmt: skip
    return [
        ([trade, {**trade, "i": f"{n}b"}], topic("publicTrade.WLDUSDT")),
        ([{"T": t, "s": "WLDUSDT", "S": "Sell", "v": str(n), "p": "1.1"}], topic("allLiquidation.WLDUSDT")),
        ([ticker, {**ticker, "symbol": "FETUSDT"}], listed),
        ([info, {**info, "symbol": "FETUSDT"}], listed),
        ([limit, {**limit, "symbol": "FETUSDT"}], listed),
        ([{"symbol": "WLDUSDT", "price": "1", "size": "2", "side": "Buy", "time": t, "execId": f"{n}c"}], listed),
    ]


def _okx(n: int) -> list[tuple[Rows, Wrap]]:
    t = str(NOW - 10_000_000 + n)

    def channel(name: str) -> Wrap:
        return lambda rows: {"arg": {"channel": name, "instId": "WLD-USDT-SWAP"}, "data": rows}

    def answer(rows: Rows) -> Json:
        return {"code": "0", "msg": "", "data": rows}

    where = {"instId": "WLD-USDT-SWAP", "instType": "SWAP"}
    info = {**where, "ctVal": "1", "ctMult": "1", "ctType": "linear", "settleCcy": "USDT", "tickSz": "0.1",
            "lotSz": "1", "state": "live"}  # fmt: skip
    tier = {"instFamily": "WLD-USDT", "tier": "1", "minSz": "0", "maxSz": "9", "mmr": "0.1", "maxLever": "5"}
    detail = {"bkPx": "0.9", "posSide": "long", "side": "sell", "sz": str(n), "ts": t}
    return [
        ([{**where, "tradeId": str(n), "px": "1.02", "sz": "5", "side": "buy", "ts": t}], channel("trades")),
        ([{**where, "markPx": "1.02", "ts": t}], channel("mark-price")),
        ([{**where, "markPx": "1.02", "ts": t}, {"instId": "FET-USDT-SWAP", "markPx": "0.5", "ts": t}], answer),
        ([{**where, "fundingRate": "0.0001", "fundingTime": str(NOW), "nextFundingTime": "", "ts": t}],
         channel("funding-rate")),
        ([{**where, "oi": "9", "oiCcy": "9", "ts": t}], channel("open-interest")),
        ([{**where, "details": [detail]}], channel("liquidation-orders")),
        ([{**where, "last": "1", "volCcy24h": "100", "ts": t}], answer),
        ([info, {**info, "instId": "FET-USDT-SWAP", "ctVal": "10"}], answer),
        ([tier, {**tier, "instFamily": "FET-USDT"}], answer),
    ]  # fmt: skip


def _hyperliquid(n: int) -> list[tuple[Rows, Wrap]]:
    t = NOW - 10_000_000 + n
    trade = {"coin": "WLD", "side": "B", "px": "1.02", "sz": "5", "time": t, "tid": n, "users": ["0xa", "0xb"]}
    context = {"funding": "0.0001", "openInterest": "9", "markPx": "1.02", "oraclePx": "1", "dayNtlVlm": "5"}
    position = {"coin": "WLD", "szi": "5", "entryPx": "1", "positionValue": "5", "liquidationPx": "0.5",
                "marginUsed": "1", "leverage": {"type": "cross", "value": 5}}  # fmt: skip
    fill = {"coin": "WLD", "px": "1", "sz": "5", "side": "A", "time": t, "tid": n, "crossed": True,
            "liquidation": {"liquidatedUser": "0xa"}}  # fmt: skip
    coins = [{"name": "WLD", "maxLeverage": 10, "szDecimals": 1}, {"name": "FET", "maxLeverage": 5, "szDecimals": 0}]
    return [
        ([trade, {**trade, "tid": n + 10**9}], lambda rows: {"channel": "trades", "data": rows}),
        ([{"position": position}], lambda rows: {
            "channel": "clearinghouseState", "user": "0xa", "data": {"time": t, "assetPositions": rows}}),
        ([fill], lambda rows: {"channel": "userFills", "data": {"user": "0xa", "fills": rows}}),
        ([{"coin": "WLD", "ctx": context}], lambda rows: {"channel": "activeAssetCtx", "data": rows[0]}),
        (coins, lambda rows: {"universe": rows, "marginTables": []}),
        (coins, lambda rows: [{"universe": rows, "marginTables": []}, [context] * len(rows)]),
        ([{"t": t, "s": "WLD", "o": "1", "c": "1", "h": "1", "l": "1", "v": "4"}], lambda rows: rows),
    ]  # fmt: skip


def spoilt(generator: random.Random, frame: bytes) -> bytes:
    """Return `frame` with one to three places changed, or with some of its bytes."""
    if generator.random() < 0.25:
        return _spoilt_bytes(generator, frame)
    tree = msgspec.json.decode(frame)
    for _ in range(generator.randint(1, 3)):
        tree = _spoilt_place(generator, tree)
    return msgspec.json.encode(tree)


def bad_row(generator: random.Random, venue: Venue, row: dict[str, Json]) -> Json:
    """Return a row of another instrument that is odd in a way of its own; often no row at all."""
    if generator.random() < 0.15:
        return _copied(generator.choice((None, 5, "x", [], [1], {}, True)))
    found: Json = msgspec.json.decode(msgspec.json.encode(row))
    case = case_of(venue)
    _rename(found, OTHER.get(venue) or case.odd_instrument)
    for _ in range(generator.randint(1, 3)):
        found = _spoilt_place(generator, found)
    if isinstance(found, dict):
        # Rows that name no instrument have to be bad for certain.
        for name in case.decisive_fields:
            found.pop(name, None)
    return found


def is_sane(event: Event) -> bool:
    """Whether every number of an event is finite, or not known where that may be, and none below 0 that is a size."""
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if math.isinf(value) or (math.isnan(value) and name not in _MAY_BE_UNKNOWN):
            return False
        if value < 0 and name not in _MAY_BE_NEGATIVE:
            return False
        if name in ("price", "mark_price") and value <= 0:
            return False
    return True


_MAY_BE_UNKNOWN = frozenset(
    {"index_price", "funding_rate", "bankruptcy_price", "entry_price", "leverage", "liquidation_price", "margin",
     "account_value", "tick_size", "quantity_step", "contract_value"}
)  # fmt: skip
_MAY_BE_NEGATIVE = frozenset({"side", "taker_side", "trade_id", "funding_rate", "account_value", "margin"})


def _rename(tree: Json, name: str) -> None:
    """Give everything in `tree` that names an instrument another name."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in ("s", "symbol", "instId", "coin", "name") and isinstance(value, str):
                tree[key] = name
            elif key == "instFamily":
                tree[key] = name.removesuffix("-SWAP")
            else:
                _rename(value, name)
    elif isinstance(tree, list):
        for value in tree:
            _rename(value, name)


def _spoilt_place(generator: random.Random, tree: Json) -> Json:
    holder: Json = None
    key: Json = None
    current = tree
    # A way down at random, a little longer than to the first level.
    while isinstance(current, dict | list) and current:
        holder, key = current, generator.choice(list(current) if isinstance(current, dict) else range(len(current)))
        current = current[key]
        if generator.random() < 0.25:
            break
    if holder is None:
        return _odd(generator)
    way = generator.random()
    if way < 0.6 or (isinstance(holder, list) and way < 0.8):
        holder[key] = _odd(generator)
    elif way < 0.9:
        del holder[key]
    elif isinstance(holder, dict):
        holder[f"{key}X"] = holder.pop(key)
    else:
        holder.append(_copied(current))
    return tree


def _odd(generator: random.Random) -> Json:
    return _copied(generator.choice(_ODD))


def _copied(value: Json) -> Json:
    """Return `value`, a copy where it can be changed later."""
    return deepcopy(value) if isinstance(value, list | dict) else value


def _spoilt_bytes(generator: random.Random, frame: bytes) -> bytes:
    place = generator.randrange(len(frame) or 1)
    way = generator.randrange(5)
    if way == 0:
        return frame[:place]
    if way == 1:
        return frame[:place] + generator.choice(_TOKENS) + frame[place:]
    if way == 2:
        return frame[:place] + bytes([generator.randrange(256)]) + frame[place + 1 :]
    if way == 3:
        end = min(len(frame), place + generator.randrange(1, 40))
        return frame[:place] + frame[end:]
    return frame[:place] + frame[place:] * 2
