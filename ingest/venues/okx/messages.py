"""OKX v5 swaps as they arrive: WebSocket frames and REST bodies, field for field (okx.com/docs-v5).

Sizes are contracts, never coins, unless a name says `Ccy`. OKX writes all numbers as text and leaves what
does not apply as "".
"""

from msgspec import Raw, Struct, field

from ingest.venues.wire import WireLeverage, WirePrice, WireQuantity, WireTime, WireUsd


class Argument(Struct, gc=False):
    """What a subscription asked for."""

    channel: str = ""
    instrument: str = field(default="", name="instId")


class Frame(Struct, gc=False):
    """Any frame or body: data of a channel, an event (subscribe, error), or a REST answer."""

    stream: str = ""  # what the REST client asked, where it wrapped the answer: <instrument>@<name>
    arg: Argument | None = None  # WebSocket only
    data: Raw = field(default_factory=Raw)
    event: str = ""  # subscribe, unsubscribe, error, notice, channel-conn-count
    code: str = "0"  # "0" is well
    msg: str = ""  # why not


class Trade(Struct, gc=False):
    """`trades`, `trades-all` and REST `/market/trades`."""

    instrument: str = field(name="instId")
    px: WirePrice
    sz: WireQuantity  # contracts
    side: str  # taker's: buy or sell
    ts: WireTime  # ms
    trade_id: int = field(default=-1, name="tradeId")


class MarkPrice(Struct, gc=False):
    """`mark-price`."""

    instrument: str = field(name="instId")
    mark_price: WirePrice = field(name="markPx")
    ts: WireTime  # ms


class IndexTicker(Struct, gc=False):
    """`index-tickers`; the instrument is the index, e.g. BTC-USDT."""

    instrument: str = field(name="instId")
    index_price: WirePrice = field(name="idxPx")
    ts: WireTime  # ms


class FundingRate(Struct, gc=False):
    """`funding-rate`: the rate that settles at `funding_time`."""

    instrument: str = field(name="instId")
    funding_rate: str = field(default="", name="fundingRate")
    funding_time: WireTime = field(default=0, name="fundingTime")  # this settlement, ms
    next_funding_time: str = field(default="", name="nextFundingTime")  # the one after, ms
    ts: WireTime = 0  # ms
    realized_rate: str | None = field(default=None, name="realizedRate")  # history only


class OpenInterest(Struct, gc=False):
    """`open-interest`, one-sided."""

    instrument: str = field(name="instId")
    oi: WireQuantity  # contracts
    oi_coins: str = field(default="", name="oiCcy")  # coins
    ts: WireTime = 0  # ms


class LiquidationDetail(Struct, gc=False):
    """One order of `liquidation-orders`."""

    bankruptcy_price: WirePrice = field(name="bkPx")
    position_side: str = field(default="", name="posSide")  # long, short; net or "" in net mode
    side: str = ""  # of the closing order: buy or sell
    sz: WireQuantity = 0.0  # contracts
    ts: WireTime = 0  # ms


class LiquidationOrders(Struct, gc=False):
    """`liquidation-orders`: a sample, about one a second a contract, in no order."""

    instrument: str = field(name="instId")
    details: list[LiquidationDetail]


class Ticker(Struct, gc=False):
    """`tickers` and REST `/market/tickers`."""

    instrument: str = field(name="instId")
    last: str = ""
    volume_coins: str = field(default="", name="volCcy24h")  # coins for linear swaps
    ts: WireTime = 0  # ms


class Instrument(Struct, gc=False):
    """REST `/public/instruments` and the channel `instruments`."""

    instrument: str = field(name="instId")
    instrument_type: str = field(default="", name="instType")  # SWAP, FUTURES, SPOT, ...
    contract_type: str = field(default="", name="ctType")  # linear or inverse
    contract_value: str = field(default="", name="ctVal")  # value of one contract, in `contract_currency`
    contract_multiplier: str = field(default="", name="ctMult")
    contract_currency: str = field(default="", name="ctValCcy")
    settle_currency: str = field(default="", name="settleCcy")
    tick_size: str = field(default="", name="tickSz")
    lot_size: str = field(default="", name="lotSz")  # contracts
    state: str = ""  # live, suspend, preopen, test, expired


class PositionTier(Struct, gc=False):
    """REST `/public/position-tiers`: one step, in contracts."""

    tier: int
    minimum_size: WireQuantity = field(name="minSz")
    maximum_size: WireQuantity = field(name="maxSz")
    maintenance_margin_rate: WireUsd = field(name="mmr")
    max_leverage: WireLeverage = field(name="maxLever")
    family: str = field(default="", name="instFamily")  # e.g. BTC-USDT; "" for margin trading


class Marker(Struct, gc=False):
    """One item of a REST answer, by the field that only its kind has."""

    contract_value: str | None = field(default=None, name="ctVal")  # instruments
    maintenance_margin_rate: str | None = field(default=None, name="mmr")  # position-tiers
    oi: str | None = None  # open-interest
    mark_price: str | None = field(default=None, name="markPx")  # mark-price
    index_price: str | None = field(default=None, name="idxPx")  # index-tickers
    volume: str | None = field(default=None, name="volCcy24h")  # tickers
    trade_id: str | None = field(default=None, name="tradeId")  # trades
    funding_rate: str | None = field(default=None, name="fundingRate")  # funding-rate


class CandleRow(Struct, gc=False, array_like=True):
    """REST `/market/history-candles`, newest first."""

    ts: WireTime  # start, ms
    open: WirePrice
    high: WirePrice
    low: WirePrice
    close: WirePrice
    volume: WireQuantity  # contracts
    volume_coins: WireQuantity
    volume_quote: WireUsd  # USD


class MarkCandleRow(Struct, gc=False, array_like=True):
    """REST `/market/history-mark-price-candles`, newest first."""

    ts: WireTime  # start, ms
    open: WirePrice
    high: WirePrice
    low: WirePrice
    close: WirePrice


class OpenInterestRow(Struct, gc=False, array_like=True):
    """REST `/rubik/stat/contracts/open-interest-history`, newest first."""

    ts: WireTime  # ms
    oi: WireQuantity  # contracts
    oi_coins: WireQuantity


class CandleAnswer(Struct, gc=False):
    """A REST answer of candles."""

    data: list[CandleRow]


class MarkCandleAnswer(Struct, gc=False):
    """A REST answer of mark candles."""

    data: list[MarkCandleRow]


class OpenInterestAnswer(Struct, gc=False):
    """A REST answer of open-interest history."""

    data: list[OpenInterestRow]


class BookRow(Struct, gc=False, array_like=True):
    """One level of an order book; `/market/books` has a column more before the orders."""

    price: WirePrice
    size: WireQuantity  # contracts


class OrderBook(Struct, gc=False):
    """REST `/market/books-full`: rows of price, contracts and orders, best first; it does not say whose it is."""

    bids: list[BookRow]
    asks: list[BookRow]
    ts: WireTime = 0  # ms


class OrderBookAnswer(Struct, gc=False):
    """A REST answer of one order book."""

    data: list[OrderBook]
