"""Binance USD-M's raw messages, as documented and recorded; names are the venue's, glossed here.

Only the fields that the mapper reads are declared; msgspec skips the others. Numbers arrive as text and are
parsed by msgspec; what Binance may leave empty is a `Number`. Short names are WebSocket fields, long ones (camel case
on the wire) REST's. Sources: developers.binance.com, USD-M futures, Market Streams and Market Data; shapes recorded in
`tests/data/recorded/binance`.
"""

from typing import Any

import msgspec

from ingest.venues.values import WireId, whole_number
from ingest.venues.wire import Label, Moment, Number, Text, WireLeverage, WirePrice, WireQuantity, WireTime, WireUsd


class AggTrade(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="aggTrade"):
    """`<symbol>@aggTrade`: the fills of one taker order at one price within 100 ms."""

    s: str  # symbol
    p: WirePrice  # price
    q: WireQuantity  # quantity, quoted units
    T: WireTime  # trade time, ms
    m: bool  # the buyer was the maker, so the taker sold
    a: WireId = -1  # aggregate id, consecutive per symbol; older recordings lack it

    def __post_init__(self) -> None:
        """Read the id from text."""
        msgspec.structs.force_setattr(self, "a", whole_number(self.a))


class RawTrade(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="trade"):
    """`<symbol>@trade`: one fill, or a transfer from the insurance fund or by auto-deleveraging."""

    s: str  # symbol
    p: Number  # price; 0 where it is no trade
    q: Number  # quantity, quoted units
    T: WireTime  # trade time, ms
    m: bool  # the buyer was the maker
    t: WireId = -1  # trade id
    X: Label = "MARKET"  # MARKET, INSURANCE_FUND or ADL: only the first is trading

    def __post_init__(self) -> None:
        """Read the id from text."""
        msgspec.structs.force_setattr(self, "t", whole_number(self.t))


class MarkPriceUpdate(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="markPriceUpdate"):
    """`<symbol>@markPrice@1s` or one row of `!markPrice@arr@1s`."""

    s: str  # symbol
    E: WireTime  # event time, ms
    p: WirePrice  # mark price; 0 for delisted contracts
    i: Number = None  # index price; 0 where there is none
    r: Number = None  # funding rate; "" for contracts that have none
    T: Moment = None  # next funding time, ms; 0 where there is none


class ForcedOrder(msgspec.Struct, frozen=True, gc=False):
    """The order that closes a liquidated position."""

    s: str  # symbol
    S: str  # side of the *order*: SELL closes a long
    p: WirePrice  # limit price, which is the bankruptcy price
    z: WireQuantity  # filled so far, quoted units
    T: WireTime  # trade time, ms
    ap: Number = None  # average fill price so far, 0 before the first fill
    q: Number = None  # size of the order, quoted units


class ForceOrder(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="forceOrder"):
    """`<symbol>@forceOrder`: the latest liquidation of the last second, so a sample."""

    o: ForcedOrder


class TickerUpdate(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="24hrTicker"):
    """`<symbol>@ticker`: rolling 24 h statistics."""

    s: str  # symbol
    E: WireTime  # event time, ms
    q: Number = None  # quote volume, USD


StreamEvent = AggTrade | RawTrade | MarkPriceUpdate | ForceOrder | TickerUpdate

EVENT_TYPES = frozenset(str(kind.__struct_config__.tag) for kind in StreamEvent.__args__)
"""The stream events that are read."""
SILENT_TYPES = frozenset(
    {
        "24hrMiniTicker",
        "assetIndexUpdate",
        "bookTicker",
        "compositeIndex",
        "continuous_kline",
        "contractInfo",
        "depthUpdate",
        "kline",
    }
)
"""Documented stream events that say nothing about positions; every other type is a notice."""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """A combined-stream frame, a control answer (`result`, `id`) or an error (`error`, or `code` and `msg`)."""

    stream: Label = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    e: Label = ""  # event type of a bare stream frame
    id: int | str | None = None
    error: msgspec.Raw = msgspec.Raw(b"")
    code: Text = 0
    msg: Text = ""


class OpenInterestNow(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`/fapi/v1/openInterest`: one-sided, in quoted units."""

    symbol: str
    open_interest: Number = None
    time: Moment = None  # ms; answers of 2019 and 2021 may lack it


class OpenInterestHistory(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One row of `/futures/data/openInterestHist`."""

    symbol: str
    timestamp: WireTime
    sum_open_interest: Number = None


class PremiumIndex(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`/fapi/v1/premiumIndex`: mark, index and funding."""

    symbol: str
    mark_price: WirePrice
    time: Moment = None  # ms; answers of 2019 and 2021 may lack it
    index_price: Number = None  # 0 for delisted contracts
    last_funding_rate: Number = None
    next_funding_time: Moment = None


class Ticker(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`/fapi/v1/ticker/24hr`."""

    symbol: str
    close_time: WireTime
    quote_volume: Number = None


class FundingRate(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One row of `/fapi/v1/fundingRate`: a settlement; old rows have no mark price ("")."""

    symbol: str
    funding_rate: Number
    funding_time: WireTime
    mark_price: Number = None


class Kline(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One row of `/fapi/v1/klines`."""

    open_time: WireTime
    open: WirePrice
    high: WirePrice
    low: WirePrice
    close: WirePrice
    volume: WireQuantity  # quoted units
    close_time: WireTime
    quote_volume: WireUsd  # USD
    trades: int
    taker_buy_volume: WireQuantity
    taker_buy_quote_volume: WireUsd


class MarkKline(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One row of `/fapi/v1/markPriceKlines`; what follows the prices means nothing."""

    open_time: WireTime
    open: WirePrice
    high: WirePrice
    low: WirePrice
    close: WirePrice


class HistoricalTrade(msgspec.Struct, frozen=True, gc=False):
    """One row of `/fapi/v1/aggTrades`, fields as in `AggTrade`."""

    a: WireId
    p: WirePrice
    q: WireQuantity
    T: WireTime
    m: bool

    def __post_init__(self) -> None:
        """Read the id from text."""
        msgspec.structs.force_setattr(self, "a", whole_number(self.a))


class OrderBook(msgspec.Struct, frozen=True, gc=False):
    """`/fapi/v1/depth`: levels of price and size (quoted units), best first; it does not say whose it is."""

    bids: msgspec.Raw
    asks: msgspec.Raw
    E: Moment = None  # when it was sent, ms


class ContractInfo(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One contract of `/fapi/v1/exchangeInfo`."""

    symbol: str
    contract_type: Label = ""  # PERPETUAL, CURRENT_QUARTER, TRADIFI_PERPETUAL, ... or ""
    status: Label = ""  # TRADING, SETTLING, PENDING_TRADING, ...
    quote_asset: Label = ""
    filters: Any = ()  # trading rules, by `filterType`: PRICE_FILTER has a tickSize, LOT_SIZE a stepSize


class ExchangeInfo(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """`/fapi/v1/exchangeInfo`; each of `symbols` is a `ContractInfo`."""

    symbols: msgspec.Raw


class Bracket(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One margin tier of `/fapi/v1/leverageBracket`."""

    bracket: int
    initial_leverage: WireLeverage
    notional_floor: WireUsd
    notional_cap: WireUsd
    maint_margin_ratio: WireUsd
    cum: WireUsd  # maintenance amount


class LeverageBracket(msgspec.Struct, frozen=True, gc=False):
    """The margin tiers of one symbol."""

    symbol: str
    brackets: tuple[Bracket, ...]
