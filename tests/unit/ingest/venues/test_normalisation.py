"""One table, one test each: what a side and a size mean at every venue, in the domain's terms."""

import json
from collections.abc import Mapping
from typing import NamedTuple

import pytest

from ingest.venues.registry import mapper_for
from liqheat.domain.events import Event, Liquidation, OpenInterest, Trade
from liqheat.domain.market import Venue


class Rule(NamedTuple):
    """A raw frame, and what it must mean: +1 a long died (or the taker bought), coins, USD per coin."""

    frame: str
    sign: int
    quantity: float
    price: float | None
    contract_values: Mapping[str, float] = {}


def binance_order(side: str) -> str:
    order = {"s": "1000PEPEUSDT", "S": side, "q": "9", "p": "0.020", "ap": "0.021", "z": "3", "T": 1}
    return json.dumps({"stream": "1000pepeusdt@forceOrder", "data": {"e": "forceOrder", "E": 1, "o": order}})


def binance_trade(buyer_is_maker: bool) -> str:
    trade = {"e": "aggTrade", "E": 1, "s": "1000PEPEUSDT", "a": 1, "p": "0.02", "q": "3", "T": 1, "m": buyer_is_maker}
    return json.dumps({"stream": "1000pepeusdt@aggTrade", "data": trade})


def bybit(topic: str, side: str) -> str:
    row = {"T": 1, "s": "1000PEPEUSDT", "S": side, "v": "3", "p": "0.02", "i": "x"}
    return json.dumps({"topic": f"{topic}.1000PEPEUSDT", "type": "snapshot", "ts": 1, "data": [row]})


def bybit_ticker(**fields: str) -> str:
    data = {"symbol": "1000PEPEUSDT", **fields}
    return json.dumps({"topic": "tickers.1000PEPEUSDT", "type": "delta", "ts": 1, "data": data})


def okx(channel: str, **fields: str) -> str:
    row = {"instId": "VIRTUAL-USDT-SWAP", "ts": "1", **fields}
    return json.dumps({"arg": {"channel": channel, "instId": "VIRTUAL-USDT-SWAP"}, "data": [row]})


def okx_liquidation(position_side: str, side: str) -> str:
    detail = {"bkPx": "0.5", "posSide": position_side, "side": side, "sz": "3", "ts": "1"}
    return json.dumps(
        {"arg": {"channel": "liquidation-orders"}, "data": [{"instId": "VIRTUAL-USDT-SWAP", "details": [detail]}]}
    )


def hyperliquid_trade(side: str) -> str:
    row = {"coin": "kPEPE", "side": side, "px": "0.02", "sz": "3", "time": 1, "tid": 1}
    return json.dumps({"channel": "trades", "data": [row]})


def hyperliquid_fill(side: str) -> str:
    row = {"coin": "kPEPE", "side": side, "px": "0.02", "sz": "3", "time": 1, "tid": 1}
    fills = [{**row, "liquidation": {"liquidatedUser": "0xa"}}]
    return json.dumps({"channel": "userFills", "data": {"user": "0xa", "fills": fills}})


HYPERLIQUID_CONTEXT = json.dumps(
    {"channel": "activeAssetCtx", "data": {"coin": "kPEPE", "ctx": {"openInterest": "3", "dayNtlVlm": "1"}}}
)
TEN = {"VIRTUAL-USDT-SWAP": 10.0}

TRADES = [
    pytest.param(Venue.BINANCE, Rule(binance_trade(False), 1, 3_000, 2e-5), id="binance: buyer is taker"),
    pytest.param(Venue.BINANCE, Rule(binance_trade(True), -1, 3_000, 2e-5), id="binance: buyer is maker"),
    pytest.param(Venue.BYBIT, Rule(bybit("publicTrade", "Buy"), 1, 3_000, 2e-5), id="bybit: S is the taker"),
    pytest.param(Venue.BYBIT, Rule(bybit("publicTrade", "Sell"), -1, 3_000, 2e-5), id="bybit: taker sold"),
    pytest.param(Venue.OKX, Rule(okx("trades", px="0.5", sz="3", side="buy"), 1, 30, 0.5, TEN), id="okx: contracts"),
    pytest.param(Venue.OKX, Rule(okx("trades", px="0.5", sz="3", side="sell"), -1, 30, 0.5, TEN), id="okx: taker sold"),
    pytest.param(Venue.HYPERLIQUID, Rule(hyperliquid_trade("B"), 1, 3_000, 2e-5), id="hyperliquid: B bought"),
    pytest.param(Venue.HYPERLIQUID, Rule(hyperliquid_trade("A"), -1, 3_000, 2e-5), id="hyperliquid: A sold"),
]
LIQUIDATIONS = [
    pytest.param(Venue.BINANCE, Rule(binance_order("SELL"), 1, 3_000, 2.1e-5), id="binance: order sells a long"),
    pytest.param(Venue.BINANCE, Rule(binance_order("BUY"), -1, 3_000, 2.1e-5), id="binance: order buys a short"),
    pytest.param(Venue.BYBIT, Rule(bybit("allLiquidation", "Buy"), 1, 3_000, 2e-5), id="bybit: a long, at bankruptcy"),
    pytest.param(Venue.BYBIT, Rule(bybit("allLiquidation", "Sell"), -1, 3_000, 2e-5), id="bybit: a short"),
    pytest.param(Venue.OKX, Rule(okx_liquidation("long", "sell"), 1, 30, 0.5, TEN), id="okx: posSide long"),
    pytest.param(Venue.OKX, Rule(okx_liquidation("short", "buy"), -1, 30, 0.5, TEN), id="okx: posSide short"),
    pytest.param(Venue.OKX, Rule(okx_liquidation("net", "sell"), 1, 30, 0.5, TEN), id="okx: net, sold"),
    pytest.param(Venue.OKX, Rule(okx_liquidation("net", "buy"), -1, 30, 0.5, TEN), id="okx: net, bought"),
    pytest.param(Venue.HYPERLIQUID, Rule(hyperliquid_fill("A"), 1, 3_000, 2e-5), id="hyperliquid: own fill sold"),
    pytest.param(Venue.HYPERLIQUID, Rule(hyperliquid_fill("B"), -1, 3_000, 2e-5), id="hyperliquid: own fill bought"),
]
OPEN_INTERESTS = [
    pytest.param(
        Venue.BINANCE,
        Rule('{"openInterest":"3","symbol":"1000PEPEUSDT","time":1}', 0, 3_000, None),
        id="binance: one-sided",
    ),
    pytest.param(Venue.BYBIT, Rule(bybit_ticker(openInterest="6"), 0, 3_000, None), id="bybit: both sides, halved"),
    pytest.param(
        Venue.BYBIT,
        Rule(bybit_ticker(openInterest="6", singleOpenInterest="3"), 0, 3_000, None),
        id="bybit: single-sided where given",
    ),
    pytest.param(
        Venue.OKX, Rule(okx("open-interest", oi="3", oiCcy="30"), 0, 30, None, TEN), id="okx: contracts, one-sided"
    ),
    pytest.param(Venue.HYPERLIQUID, Rule(HYPERLIQUID_CONTEXT, 0, 3_000, None), id="hyperliquid: one-sided"),
]


def only(venue: Venue, rule: Rule, kind: type[Event]) -> Event:
    mapper = mapper_for(venue, contract_values=rule.contract_values)
    (event,) = [event for event in mapper.map(rule.frame.encode(), 1) if isinstance(event, kind)]
    return event


@pytest.mark.parametrize(("venue", "rule"), TRADES)
def test_a_trades_side_is_the_takers_and_its_size_coins(venue: Venue, rule: Rule) -> None:
    trade = only(venue, rule, Trade)
    assert isinstance(trade, Trade)
    assert trade.taker_side == rule.sign
    assert trade.quantity == pytest.approx(rule.quantity)
    assert trade.price == pytest.approx(rule.price)


@pytest.mark.parametrize(("venue", "rule"), LIQUIDATIONS)
def test_a_liquidations_side_is_the_position_that_died(venue: Venue, rule: Rule) -> None:
    died = only(venue, rule, Liquidation)
    assert isinstance(died, Liquidation)
    assert died.side == rule.sign
    assert died.quantity == pytest.approx(rule.quantity)
    assert died.price == pytest.approx(rule.price)


@pytest.mark.parametrize(("venue", "rule"), OPEN_INTERESTS)
def test_open_interest_is_coins_counted_once(venue: Venue, rule: Rule) -> None:
    open_interest = only(venue, rule, OpenInterest)
    assert isinstance(open_interest, OpenInterest)
    assert open_interest.quantity == pytest.approx(rule.quantity)
