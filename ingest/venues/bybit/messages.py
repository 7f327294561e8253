"""Bybit v5 linear as it arrives: WebSocket frames and REST bodies, field for field (bybit-exchange docs, v5).

Bybit writes most numbers as text, and "" for what it does not know; `ingest.venues.wire` types read and check them
while decoding.
"""

from typing import Any

from msgspec import Raw, Struct, field

from ingest.venues.wire import Label, Moment, Number, Text, WireLeverage, WirePrice, WireQuantity, WireTime, WireUsd


class Frame(Struct, gc=False):
    """Any frame or body: a topic, an answer to an operation, or a REST answer."""

    stream: Label = ""  # what the REST client asked, where it wrapped the answer: <instrument>@<name>
    topic: Label = ""  # e.g. publicTrade.BTCUSDT
    type: Text = ""  # snapshot or delta
    ts: Moment = None  # when the system made the frame, ms
    data: Raw = field(default_factory=Raw)
    op: Text = ""  # subscribe, ping, pong
    success: bool | None = None  # of an operation
    ret_msg: Text = ""  # why it failed
    ret_code: Text = field(default=0, name="retCode")  # REST: 0 is well
    rest_message: Text = field(default="", name="retMsg")
    result: Raw = field(default_factory=Raw)  # REST
    time: Moment = None  # REST: the server's time, ms


class Trade(Struct, gc=False):
    """`publicTrade`: one taker order's match at one price."""

    T: WireTime  # when it was filled, ms
    s: str  # symbol
    S: str  # taker's side: Buy or Sell
    v: WireQuantity  # size, quoted units
    p: WirePrice  # price
    i: Text = ""  # trade id


class Liquidation(Struct, gc=False):
    """`allLiquidation`: one liquidated position (all of them, every 500 ms)."""

    T: WireTime  # ms
    s: str  # symbol
    S: str  # side of the *position*: Buy is a long that was liquidated
    v: WireQuantity  # size, quoted units
    p: WirePrice  # bankruptcy price


class OldLiquidation(Struct, gc=False):
    """`liquidation`, of each second the latest; Bybit sent it until `allLiquidation` took its place in 2025."""

    symbol: str
    side: str  # side of the position, as in `Liquidation`
    size: WireQuantity  # quoted units
    price: WirePrice  # bankruptcy price
    time: WireTime = field(name="updatedTime")  # ms


class Ticker(Struct, gc=False):
    """`tickers` and REST `/v5/market/tickers`: in a delta, what is absent has not changed; "" is not known."""

    symbol: str
    mark_price: Number = field(default=None, name="markPrice")
    index_price: Number = field(default=None, name="indexPrice")
    open_interest: Number = field(default=None, name="openInterest")  # both sides, quoted units
    single_open_interest: Number = field(default=None, name="singleOpenInterest")  # since 2026-06-11
    turnover_24h: Number = field(default=None, name="turnover24h")
    funding_rate: Number = field(default=None, name="fundingRate")  # "" for dated futures
    next_funding_time: Moment = field(default=None, name="nextFundingTime")  # ms; "" for dated futures


class Result(Struct, gc=False):
    """The `result` of a REST answer that is a list."""

    items: list[Raw] = field(default_factory=list, name="list")
    symbol: Text = ""  # of open-interest and klines
    category: Text = ""
    next_page: str | None = field(default=None, name="nextPageCursor")  # "" or null on the last page


class ListResult(Result, gc=False):
    """A `Result` whose list is there, as in every answer to a question for rows."""

    items: list[Raw] = field(name="list")


class InstrumentInfo(Struct, gc=False):
    """REST `/v5/market/instruments-info`."""

    symbol: str
    contract_type: Label = field(default="", name="contractType")  # LinearPerpetual, LinearFutures, ...
    status: Label = ""  # Trading, PreLaunch, Settling, Closed, ...
    price_filter: Any = field(default=None, name="priceFilter")  # trading rules with a tickSize
    lot_size_filter: Any = field(default=None, name="lotSizeFilter")  # trading rules with a qtyStep
    funding_interval: Any = field(default=None, name="fundingInterval")  # minutes


class RiskLimit(Struct, gc=False):
    """REST `/v5/market/risk-limit`: one step of a symbol's margin tiers."""

    risk_limit_value: WireUsd = field(name="riskLimitValue")  # cap of the tier, USD, inclusive
    maintenance_margin: WireUsd = field(name="maintenanceMargin")  # fraction, or percent in older answers
    initial_margin: WireUsd = field(name="initialMargin")  # the same unit
    max_leverage: WireLeverage = field(name="maxLeverage")
    deduction: Number = field(default=None, name="mmDeduction")  # USD; "" in the first tier
    is_lowest: Any = field(default=None, name="isLowestRisk")  # 1 in the first tier, 0 in others
    symbol: str | None = None

    @property
    def instrument(self) -> str:
        """The symbol, "" where the row names none."""
        return self.symbol or ""


class OpenInterestPoint(Struct, gc=False):
    """REST `/v5/market/open-interest`: a 5-minute (or longer) point of history."""

    timestamp: WireTime
    open_interest: Number = field(default=None, name="openInterest")  # both sides, quoted units
    single_open_interest: Number = field(default=None, name="singleOpenInterest")


class RecentTrade(Struct, gc=False):
    """REST `/v5/market/recent-trade`, newest first."""

    symbol: str
    price: WirePrice
    size: WireQuantity
    side: str  # taker's: Buy or Sell
    time: WireTime  # ms
    execution: Text = field(default="", name="execId")  # trade id, as on the stream


class BarRow(Struct, gc=False, array_like=True):
    """REST `/v5/market/kline`; `/v5/market/mark-price-kline` has no volumes."""

    start: WireTime  # ms
    open: WirePrice
    high: WirePrice
    low: WirePrice
    close: WirePrice
    volume: WireQuantity = 0.0  # quoted units
    turnover: WireUsd = 0.0  # USD


class Bars(Struct, gc=False):
    """The `result` of a REST answer of bars, newest first; each of `list` is a `BarRow`."""

    rows: Raw = field(name="list")
    symbol: Text = ""


class OrderBook(Struct, gc=False):
    """The `result` of REST `/v5/market/orderbook`: levels of price and size (quoted units), best first."""

    bids: Raw = field(name="b")
    asks: Raw = field(name="a")
    ts: Moment = None  # ms
    symbol: Text = field(default="", name="s")
