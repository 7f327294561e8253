"""Bybit v5 linear as it arrives: WebSocket frames and REST bodies, field for field (bybit-exchange docs, v5).

Bybit writes most numbers as text; `ingest.venues.wire` types read and check them while decoding.
"""

from msgspec import Raw, Struct, field

from ingest.venues.wire import WireLeverage, WirePrice, WireQuantity, WireTime, WireUsd


class Frame(Struct, gc=False):
    """Any frame or body: a topic, an answer to an operation, or a REST answer."""

    stream: str = ""  # what the REST client asked, where it wrapped the answer: <instrument>@<name>
    topic: str = ""  # e.g. publicTrade.BTCUSDT
    type: str = ""  # snapshot or delta
    ts: WireTime = 0  # when the system made the frame, ms
    data: Raw = field(default_factory=Raw)
    op: str = ""  # subscribe, ping, pong
    success: bool | None = None  # of an operation
    ret_msg: str = ""  # why it failed
    ret_code: int = field(default=0, name="retCode")  # REST: 0 is well
    rest_message: str = field(default="", name="retMsg")
    result: Raw = field(default_factory=Raw)  # REST
    time: WireTime = 0  # REST: the server's time, ms


class Trade(Struct, gc=False):
    """`publicTrade`: one taker order's match at one price."""

    T: WireTime  # when it was filled, ms
    s: str  # symbol
    S: str  # taker's side: Buy or Sell
    v: WireQuantity  # size, quoted units
    p: WirePrice  # price
    i: str = ""  # trade id


class Liquidation(Struct, gc=False):
    """`allLiquidation`: one liquidated position (all of them, every 500 ms)."""

    T: WireTime  # ms
    s: str  # symbol
    S: str  # side of the *position*: Buy is a long that died
    v: WireQuantity  # size, quoted units
    p: WirePrice  # bankruptcy price


class Ticker(Struct, gc=False):
    """`tickers` and REST `/v5/market/tickers`: in a delta, what is absent has not changed."""

    symbol: str
    mark_price: WirePrice | None = field(default=None, name="markPrice")
    index_price: WirePrice | None = field(default=None, name="indexPrice")
    open_interest: WireQuantity | None = field(default=None, name="openInterest")  # both sides, quoted units
    single_open_interest: WireQuantity | None = field(default=None, name="singleOpenInterest")  # since 2026-06-11
    turnover_24h: WireUsd | None = field(default=None, name="turnover24h")
    funding_rate: str | None = field(default=None, name="fundingRate")  # "" for dated futures
    next_funding_time: WireTime | None = field(default=None, name="nextFundingTime")  # ms


class Marker(Struct, gc=False):
    """One item of a REST list, by the field that only its kind has."""

    contract_type: str | None = field(default=None, name="contractType")  # instruments-info
    risk_limit_value: str | None = field(default=None, name="riskLimitValue")  # risk-limit
    mark_price: str | None = field(default=None, name="markPrice")  # tickers
    open_interest: str | None = field(default=None, name="openInterest")  # open-interest (tickers have it too)
    execution: str | None = field(default=None, name="execId")  # recent-trade


class Result(Struct, gc=False):
    """The `result` of a REST answer that is a list."""

    items: list[Raw] = field(default_factory=list, name="list")
    symbol: str = ""  # of open-interest and klines
    category: str = ""
    next_page: str | None = field(default=None, name="nextPageCursor")  # "" or null on the last page


class PriceFilter(Struct, gc=False):
    """Price steps of an instrument."""

    tick_size: WirePrice = field(name="tickSize")


class LotSizeFilter(Struct, gc=False):
    """Size steps of an instrument."""

    quantity_step: WireQuantity = field(name="qtyStep")


class InstrumentInfo(Struct, gc=False):
    """REST `/v5/market/instruments-info`."""

    symbol: str
    contract_type: str = field(name="contractType")  # LinearPerpetual, LinearFutures, ...
    status: str  # Trading, PreLaunch, Settling, Closed, ...
    price_filter: PriceFilter = field(name="priceFilter")
    lot_size_filter: LotSizeFilter = field(name="lotSizeFilter")
    funding_interval: int = field(default=0, name="fundingInterval")  # minutes


class RiskLimit(Struct, gc=False):
    """REST `/v5/market/risk-limit`: one step of a symbol's margin tiers."""

    symbol: str
    risk_limit_value: WireUsd = field(name="riskLimitValue")  # cap of the tier, USD, inclusive
    maintenance_margin: WireUsd = field(name="maintenanceMargin")  # fraction, or percent in older answers
    initial_margin: WireUsd = field(name="initialMargin")  # the same unit
    max_leverage: WireLeverage = field(name="maxLeverage")
    deduction: str = field(default="", name="mmDeduction")  # USD; "" in the first tier


class OpenInterestPoint(Struct, gc=False):
    """REST `/v5/market/open-interest`: a 5-minute (or longer) point of history."""

    timestamp: WireTime
    open_interest: WireQuantity = field(name="openInterest")  # both sides, quoted units
    single_open_interest: WireQuantity | None = field(default=None, name="singleOpenInterest")


class RecentTrade(Struct, gc=False):
    """REST `/v5/market/recent-trade`, newest first."""

    symbol: str
    price: WirePrice
    size: WireQuantity
    side: str  # taker's: Buy or Sell
    time: WireTime  # ms
    execution: str = field(default="", name="execId")  # trade id, as on the stream


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
    """The `result` of a REST answer of bars, newest first."""

    rows: list[BarRow] = field(name="list")


class OrderBook(Struct, gc=False):
    """The `result` of REST `/v5/market/orderbook`: levels of price and size (quoted units), best first."""

    bids: list[tuple[WirePrice, WireQuantity]] = field(name="b")
    asks: list[tuple[WirePrice, WireQuantity]] = field(name="a")
    ts: WireTime = 0  # ms
