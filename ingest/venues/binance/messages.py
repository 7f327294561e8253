"""Binance USD-M's raw messages, as documented and recorded; names are the venue's, glossed here.

Only the fields that the mapper reads are declared; msgspec skips the others. Numbers arrive as text and are
parsed by msgspec (`strict=False`). Short names are WebSocket fields, long ones (camel case on the wire) REST's.
Sources: developers.binance.com, USD-M futures, Market Streams and Market Data; shapes recorded in
`tests/data/recorded/binance`.
"""

import msgspec


class AggTrade(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="aggTrade"):
    """`<symbol>@aggTrade`: the fills of one taker order at one price within 100 ms."""

    s: str  # symbol
    p: float  # price
    q: float  # quantity, quoted units
    T: int  # trade time, ms
    m: bool  # the buyer was the maker, so the taker sold
    a: int = -1  # aggregate id, consecutive per symbol; older recordings lack it


class RawTrade(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="trade"):
    """`<symbol>@trade`: one fill, or a transfer from the insurance fund or by auto-deleveraging."""

    s: str  # symbol
    p: float  # price
    q: float  # quantity, quoted units
    T: int  # trade time, ms
    m: bool  # the buyer was the maker
    t: int = -1  # trade id
    X: str = "MARKET"  # MARKET, INSURANCE_FUND or ADL: only the first is trading


class MarkPriceUpdate(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="markPriceUpdate"):
    """`<symbol>@markPrice@1s` or one row of `!markPrice@arr@1s`."""

    s: str  # symbol
    E: int  # event time, ms
    p: float  # mark price
    i: float = float("nan")  # index price
    r: float | str = float("nan")  # funding rate; "" for contracts that have none
    T: int = 0  # next funding time, ms; 0 where there is none


class ForcedOrder(msgspec.Struct, frozen=True, gc=False):
    """The order that closes a liquidated position."""

    s: str  # symbol
    S: str  # side of the *order*: SELL closes a long
    p: float  # limit price, which is the bankruptcy price
    ap: float  # average fill price, 0 before the first fill
    z: float  # filled so far, quoted units
    T: int  # trade time, ms


class ForceOrder(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="forceOrder"):
    """`<symbol>@forceOrder`: the latest liquidation of the last second, so a sample."""

    o: ForcedOrder


class TickerUpdate(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="24hrTicker"):
    """`<symbol>@ticker`: rolling 24 h statistics."""

    s: str  # symbol
    E: int  # event time, ms
    q: float  # quote volume, USD


StreamEvent = AggTrade | RawTrade | MarkPriceUpdate | ForceOrder | TickerUpdate

IGNORED_EVENTS = frozenset(
    {
        "24hrMiniTicker",
        "bookTicker",
        "depthUpdate",
        "kline",
        "continuous_kline",
        "compositeIndex",
        "assetIndexUpdate",
        "contractInfo",
    }
)
"""Documented stream events that say nothing about positions."""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """A combined-stream frame, a control answer (`result`, `id`) or an error (`error`, or `code` and `msg`)."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    e: str = ""  # event type of a bare stream frame
    id: int | str | None = None
    error: msgspec.Raw = msgspec.Raw(b"")
    code: int = 0
    msg: str = ""


class OpenInterestNow(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`/fapi/v1/openInterest`: one-sided, in quoted units."""

    symbol: str
    open_interest: float
    time: int


class OpenInterestHistory(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One row of `/futures/data/openInterestHist`."""

    symbol: str
    sum_open_interest: float
    timestamp: int


class PremiumIndex(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`/fapi/v1/premiumIndex`: mark, index and funding."""

    symbol: str
    mark_price: float
    time: int
    index_price: float = float("nan")
    last_funding_rate: float | str = float("nan")
    next_funding_time: int = 0


class Ticker(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`/fapi/v1/ticker/24hr`."""

    symbol: str
    quote_volume: float
    close_time: int


class FundingRate(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One row of `/fapi/v1/fundingRate`: a settlement; old rows have no mark price ("")."""

    symbol: str
    funding_rate: float
    funding_time: int
    mark_price: float | str = ""


class Kline(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One row of `/fapi/v1/klines` or `/fapi/v1/markPriceKlines` (whose volumes mean nothing)."""

    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float  # quoted units
    close_time: int
    quote_volume: float  # USD
    trades: int
    taker_buy_volume: float
    taker_buy_quote_volume: float


class HistoricalTrade(msgspec.Struct, frozen=True, gc=False):
    """One row of `/fapi/v1/aggTrades`, fields as in `AggTrade`."""

    a: int
    p: float
    q: float
    T: int
    m: bool


class OrderBook(msgspec.Struct, frozen=True, gc=False):
    """`/fapi/v1/depth`: levels of price and size (quoted units), best first; it does not say whose it is."""

    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]
    E: int  # when it was sent, ms


class Filter(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One trading rule of a contract."""

    filter_type: str
    tick_size: float = float("nan")  # of PRICE_FILTER
    step_size: float = float("nan")  # of LOT_SIZE


class ContractInfo(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One contract of `/fapi/v1/exchangeInfo`."""

    symbol: str
    contract_type: str  # PERPETUAL, CURRENT_QUARTER, TRADIFI_PERPETUAL, ... or ""
    status: str  # TRADING, SETTLING, PENDING_TRADING, ...
    quote_asset: str
    filters: tuple[Filter, ...] = ()


class ExchangeInfo(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`/fapi/v1/exchangeInfo`."""

    symbols: tuple[ContractInfo, ...]


class Bracket(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One margin tier of `/fapi/v1/leverageBracket`."""

    bracket: int
    initial_leverage: float
    notional_floor: float
    notional_cap: float
    maint_margin_ratio: float
    cum: float  # maintenance amount


class LeverageBracket(msgspec.Struct, frozen=True, gc=False):
    """The margin tiers of one symbol."""

    symbol: str
    brackets: tuple[Bracket, ...]
