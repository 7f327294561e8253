"""dYdX v4's public indexer as it arrives: WebSocket frames and REST bodies, field for field.

Sources: docs.dydx.xyz (Indexer API), and `indexer/services/comlink/public` of github.com/dydxprotocol/v4-chain:
websocket-documentation.md and api-documentation.md. Numbers are text, times ISO 8601, sizes coins. The same
shapes travel on both ways: a REST body is what a channel's first message holds in `contents`.
"""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct, field

from ingest.venues.values import WireId, whole_number
from ingest.venues.wire import Label, Number, Text, WirePrice, WireQuantity, WireUsd

Moment = Annotated[datetime, Meta(tz=True)]
"""A time that says its zone; one that does not is refused, for it cannot be compared."""


class Frame(Struct, gc=False):
    """Any frame: of a channel, an answer to a subscription, or a REST body that the client wrapped."""

    stream: Label = ""  # what the REST client asked, where it wrapped the answer: <market>@<name>
    data: Raw = field(default_factory=Raw)  # that answer
    type: Label = ""  # connected, subscribed, channel_data, channel_batch_data, unsubscribed, error
    channel: Label = ""  # v4_trades, v4_markets, ...
    id: Text = ""  # the market, where a channel has one
    contents: Raw = field(default_factory=Raw)
    message: Text = ""  # of an error


class Trade(Struct, gc=False, rename="camel"):
    """`v4_trades` and REST `/v4/trades/perpetualMarket/{market}`, newest first."""

    side: str  # taker's: BUY or SELL
    size: WireQuantity
    price: WirePrice
    created_at: Moment
    type: Text = ""  # LIMIT, MARKET, LIQUIDATED, DELEVERAGED, TWAP_SUBORDER
    liquidation: bool | None = None  # in place of the type, before 2023-08
    id: Text = ""  # of the taker's fill, unique; the oldest answers lack it
    created_at_height: WireId = 0  # block

    def __post_init__(self) -> None:
        """Read the block from text."""
        self.created_at_height = whole_number(self.created_at_height, unknown=0)


class Trades(Struct, gc=False):
    """The trades of one market."""

    trades: Raw


class Market(Struct, gc=False, rename="camel"):
    """One perpetual of `v4_markets` or `/v4/perpetualMarkets`; in an update, what is absent has not changed."""

    status: str | None = None  # ACTIVE, PAUSED, CANCEL_ONLY, POST_ONLY, INITIALIZING, FINAL_SETTLEMENT
    oracle_price: Number = None  # 0 before the first
    next_funding_rate: Number = None  # of one hour, as of now
    open_interest: Number = None  # coins, one-sided
    volume_24h: Number = field(default=None, name="volume24H")  # USD
    initial_margin_fraction: Number = None
    maintenance_margin_fraction: Number = None
    tick_size: Any = None
    step_size: Any = None


class OraclePrice(Struct, gc=False, rename="camel"):
    """One price of a `v4_markets` update; older versions call it `price`."""

    effective_at: Moment
    oracle_price: Number = None
    price: Number = None


class Markets(Struct, gc=False, rename="camel"):
    """`v4_markets`: all markets at first, then what changed of some."""

    markets: dict[str, Raw] | None = None  # Market
    trading: dict[str, Raw] | None = None  # Market
    oracle_prices: dict[str, Raw] | None = None  # OraclePrice


class AllMarkets(Struct, gc=False):
    """REST `/v4/perpetualMarkets`: all markets at once."""

    markets: dict[str, Raw]  # Market


class Candle(Struct, gc=False, rename="camel"):
    """REST `/v4/candles/perpetualMarkets/{market}`, newest first; a minute without trades repeats the last price."""

    started_at: Moment
    low: WirePrice
    high: WirePrice
    open: WirePrice
    close: WirePrice
    base_token_volume: WireQuantity  # coins
    usd_volume: WireUsd
    starting_open_interest: Number = None  # coins
    ticker: Text = ""  # the market


class Candles(Struct, gc=False):
    """The candles of one market."""

    candles: Raw


class Settlement(Struct, gc=False, rename="camel"):
    """REST `/v4/historicalFunding/{market}`, newest first: the rate of the hour that ended."""

    rate: Number
    price: WirePrice  # oracle's
    effective_at: Moment
    ticker: Text = ""  # the market


class Settlements(Struct, gc=False, rename="camel"):
    """The settlements of one market."""

    historical_funding: Raw


class Level(Struct, gc=False):
    """One level of an order book."""

    price: WirePrice
    size: WireQuantity


class OrderBook(Struct, gc=False):
    """REST `/v4/orderbooks/perpetualMarket/{market}`: at most 100 levels per side, best first; it carries no time."""

    bids: Raw  # a list of `Level`
    asks: Raw
