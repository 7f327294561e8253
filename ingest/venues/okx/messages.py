"""OKX v5 swaps as they arrive: WebSocket frames and REST bodies, field for field (okx.com/docs-v5).

Sizes are contracts, never coins, unless a name says `Ccy`. OKX writes all numbers as text and leaves what does not
apply as ""; a `Number`, `Moment` or `Text` may also come as a number, as null or not at all.
"""

from typing import Any

from msgspec import Raw, Struct, field

from ingest.venues.values import WireId, plain_or_nan, whole_number
from ingest.venues.wire import (
    Label,
    Moment,
    Number,
    Text,
    WireLeverage,
    WirePrice,
    WireQuantity,
    WireTime,
    WireUsd,
    text_of,
)
from liqheat.domain.market import Side, TakerSide
from liqheat.platform.errors import PoisonMessage

_MOST_SUMMED = 10_000
"""Trades in a row that are believed."""
TAKER_SIDES = {"buy": int(TakerSide.BUY), "sell": int(TakerSide.SELL)}


class Argument(Struct, gc=False):
    """What a subscription asked for."""

    channel: Label = ""
    instrument: Text = field(default="", name="instId")


class Frame(Struct, gc=False):
    """Any frame or body: data of a channel, an event (subscribe, error), or a REST answer."""

    stream: Label = ""  # what the REST client asked, where it wrapped the answer: <instrument>@<name>
    arg: Argument | None = None  # WebSocket only
    data: Raw = field(default_factory=Raw)
    event: Label = ""  # subscribe, unsubscribe, error, notice, channel-conn-count
    code: Text = "0"  # "0" is well
    msg: Text = ""  # why not


class Trade(Struct, gc=False):
    """`trades`, `trades-all` and REST `/market/trades`."""

    instrument: str = field(name="instId")
    px: WirePrice
    sz: WireQuantity  # contracts
    side: str  # taker's: buy or sell
    ts: WireTime  # ms
    trade_id: WireId = field(default=-1, name="tradeId")  # of the last one, where several are summed up
    count: Any = None  # how many; absent in REST

    def __post_init__(self) -> None:
        """Read the id from text."""
        self.trade_id = whole_number(self.trade_id)

    @property
    def covered(self) -> int:
        """How many trades the row sums up, 1 where it does not say."""
        count = plain_or_nan(self.count)
        return int(count) if 1 <= count <= _MOST_SUMMED else 1


class MarkPrice(Struct, gc=False):
    """`mark-price`."""

    instrument: str = field(name="instId")
    mark_price: WirePrice = field(name="markPx")
    ts: Moment = None  # ms


class IndexTicker(Struct, gc=False):
    """`index-tickers`; the instrument is the index, e.g. BTC-USDT."""

    instrument: str = field(name="instId")
    index_price: WirePrice = field(name="idxPx")
    ts: Moment = None  # ms


class FundingRate(Struct, gc=False):
    """`funding-rate`: the rate that settles at `funding_time`."""

    instrument: str = field(name="instId")
    funding_rate: Number = field(default=None, name="fundingRate")
    funding_time: Moment = field(default=None, name="fundingTime")  # this settlement, ms
    next_funding_time: Moment = field(default=None, name="nextFundingTime")  # the one after, ms
    ts: Moment = None  # ms
    realized_rate: Number = field(default=None, name="realizedRate")  # history only


class OpenInterest(Struct, gc=False):
    """`open-interest`, one-sided."""

    instrument: str = field(name="instId")
    oi: Number = None  # contracts
    oi_coins: Number = field(default=None, name="oiCcy")  # coins
    ts: Moment = None  # ms


class LiquidationDetail(Struct, gc=False):
    """One order of `liquidation-orders`."""

    bankruptcy_price: WirePrice = field(name="bkPx")
    sz: WireQuantity  # contracts
    ts: WireTime  # ms
    position_side: Text = field(default="", name="posSide")  # long, short; net or "" in net mode
    side: Text = ""  # of the closing order: buy or sell


class LiquidationOrders(Struct, gc=False):
    """`liquidation-orders`: as a stream a sample, about one per second and contract, in no order; over REST all.

    Each of `details` is a `LiquidationDetail`.
    """

    instrument: str = field(name="instId")
    details: list[Raw]


class Ticker(Struct, gc=False):
    """`tickers` and REST `/market/tickers`."""

    instrument: str = field(name="instId")
    last: Number = None
    volume_coins: Number = field(default=None, name="volCcy24h")  # coins for linear swaps
    ts: Moment = None  # ms


class Instrument(Struct, gc=False):
    """REST `/public/instruments` and the channel `instruments`."""

    instrument: str = field(name="instId")
    instrument_type: Label = field(default="", name="instType")  # SWAP, FUTURES, SPOT, ...
    contract_type: Label = field(default="", name="ctType")  # linear or inverse
    contract_value: Number = field(default=None, name="ctVal")  # value of one contract, in ctValCcy
    contract_multiplier: Number = field(default=None, name="ctMult")
    contract_currency: Label = field(default="", name="ctValCcy")
    tick_size: Any = field(default=None, name="tickSz")
    lot_size: Any = field(default=None, name="lotSz")  # contracts
    rule_type: Label = field(default="", name="ruleType")  # normal, pre_market, xperp, ...
    state: Label = ""  # live, suspend, preopen, test, expired


class PositionTier(Struct, gc=False):
    """REST `/public/position-tiers`: one step, in contracts."""

    tier: int
    minimum_size: WireQuantity = field(name="minSz")
    maximum_size: WireQuantity = field(name="maxSz")
    maintenance_margin_rate: WireUsd = field(name="mmr")
    max_leverage: WireLeverage = field(name="maxLever")
    family: Text = field(default="", name="instFamily")  # e.g. BTC-USDT; "" for margin trading


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


class OrderBook(Struct, gc=False):
    """REST `/market/books-full`: levels best first; it does not say whose it is."""

    bids: Raw
    asks: Raw
    ts: Moment = None  # ms


def side_that_died(detail: LiquidationDetail) -> int:
    """Return the position's side; in net mode it follows from the closing order: a long is closed by selling.

    Raises:
        PoisonMessage: neither says it.
    """
    position, order = text_of(detail.position_side), text_of(detail.side)
    if position in ("long", "short"):
        return int(Side[position.upper()])
    if order not in TAKER_SIDES:
        raise PoisonMessage(f"Expected the side buy or sell, was {detail.side!r}")
    return -TAKER_SIDES[order]
