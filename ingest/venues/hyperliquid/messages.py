"""Hyperliquid as it arrives: WebSocket frames and answers of `POST /info`, field for field (its gitbook, API).

Sizes are coins of the quoted unit (kPEPE is a thousand). Most numbers are text; contexts carry no time.
"""

from typing import Any

from msgspec import Raw, Struct, field

from ingest.venues.values import WireId, whole_number
from ingest.venues.wire import (
    Label,
    Number,
    Text,
    WireDecimals,
    WireLeverage,
    WirePrice,
    WireQuantity,
    WireTime,
    WireUsd,
)
from liqheat.domain.market import TakerSide
from liqheat.platform.errors import PoisonMessage

_TAKER_SIDES = {"B": int(TakerSide.BUY), "A": int(TakerSide.SELL)}


class Frame(Struct, gc=False):
    """Any object that arrives: a channel's data, or the bare answer to a request."""

    stream: Label = ""  # what the REST client asked, where it wrapped the answer: <coin>@<name>
    channel: Label = ""
    data: Raw = field(default_factory=Raw)
    user: str | None = ""  # whose clearinghouse state this is; the feed adds it, the answer itself does not say
    universe: Raw = field(default_factory=Raw)  # of a bare `meta`


class Trade(Struct, gc=False):
    """`trades` and `recentTrades`."""

    coin: str
    side: str  # taker's: B bought, A sold
    px: WirePrice
    sz: WireQuantity
    time: WireTime  # ms
    tid: WireId = -1  # unique
    users: Any = None  # buyer, seller; older recordings lack it

    def __post_init__(self) -> None:
        """Read the id from text."""
        self.tid = whole_number(self.tid)


class Context(Struct, gc=False):
    """The state of one coin's market."""

    open_interest: Number = field(default=None, name="openInterest")  # one-sided
    mark_price: Number = field(default=None, name="markPx")
    oracle_price: Number = field(default=None, name="oraclePx")
    funding: Number = None  # rate of this hour
    day_notional_volume: Number = field(default=None, name="dayNtlVlm")  # USD, 24 h


class ActiveContext(Struct, gc=False):
    """`activeAssetCtx`."""

    coin: str
    ctx: Raw  # a `Context`


class AllContexts(Struct, gc=False):
    """`allDexsAssetCtxs`: contexts of each exchange, aligned with its universe; the venue's own is named ""."""

    ctxs: list[Raw]  # of each exchange its name and a list of `Context`


class Coin(Struct, gc=False):
    """One market of the universe."""

    name: str
    max_leverage: WireLeverage = field(name="maxLeverage")
    size_decimals: WireDecimals | None = field(default=None, name="szDecimals")
    margin_table: int | None = field(default=None, name="marginTableId")  # below 50: one tier of that leverage
    is_delisted: bool | None = field(default=None, name="isDelisted")


class MarginStep(Struct, gc=False):
    """One step of a margin table."""

    lower_bound: WireUsd = field(name="lowerBound")  # notional, USD
    max_leverage: WireLeverage = field(name="maxLeverage")


class MarginTable(Struct, gc=False):
    """A margin table that several coins share."""

    steps: list[MarginStep] = field(name="marginTiers")


class MetaAnswer(Struct, gc=False):
    """`meta`: the universe of one exchange, the venue's own or a builder's, as it comes; see `reference.meta_of`."""

    universe: Raw  # a list of `Coin`
    margin_tables: list[Raw] | None = field(default=None, name="marginTables")  # each a number and a `MarginTable`


class Leverage(Struct, gc=False):
    """How a position is margined."""

    type: Label = "cross"  # cross or isolated
    value: Number = None  # times


class PositionDetail(Struct, gc=False):
    """One position of an account."""

    coin: str
    szi: float  # signed size: above 0 long
    entry_price: Number = field(default=None, name="entryPx")
    position_value: Number = field(default=None, name="positionValue")  # USD at mark
    liquidation_price: Number = field(default=None, name="liquidationPx")  # null where there is none
    margin_used: Number = field(default=None, name="marginUsed")  # USD; isolated: with unrealised profit
    leverage: Leverage = field(default_factory=Leverage)


class AssetPosition(Struct, gc=False):
    """A position and its kind."""

    position: PositionDetail


class MarginSummary(Struct, gc=False):
    """An account's totals, USD."""

    account_value: Number = field(default=None, name="accountValue")


class ClearinghouseState(Struct, gc=False):
    """`clearinghouseState`: all positions of one account."""

    asset_positions: list[AssetPosition] = field(name="assetPositions")
    time: WireTime  # ms
    margin_summary: MarginSummary | None = field(default=None, name="marginSummary")
    cross_margin_summary: MarginSummary | None = field(default=None, name="crossMarginSummary")
    cross_maintenance_margin_used: Number = field(default=None, name="crossMaintenanceMarginUsed")


class ClearinghouseAnswer(Struct, gc=False):
    """The same before its positions are read one by one."""

    asset_positions: Raw = field(name="assetPositions")  # a list of `AssetPosition`
    time: WireTime  # ms
    margin_summary: MarginSummary | None = field(default=None, name="marginSummary")
    cross_margin_summary: MarginSummary | None = field(default=None, name="crossMarginSummary")
    cross_maintenance_margin_used: Number = field(default=None, name="crossMaintenanceMarginUsed")


class AccountUpdate(Struct, gc=False):
    """`clearinghouseState` as the venue's own channel (since 2025): of one exchange, the venue's own is named ""."""

    state: Raw = field(name="clearinghouseState")
    user: str
    dex: Text = ""


class FillLiquidation(Struct, gc=False):
    """Whose liquidation a fill belongs to."""

    liquidated_user: str | None = field(default=None, name="liquidatedUser")


class Fill(Struct, gc=False):
    """A fill of a watched account."""

    coin: str
    px: WirePrice
    sz: WireQuantity
    side: str  # of this account's order: B bought, A sold
    time: WireTime
    tid: WireId
    crossed: bool | None = False  # whether this account took
    liquidation: FillLiquidation | None = None

    def __post_init__(self) -> None:
        """Read the id from text."""
        self.tid = whole_number(self.tid)


class Fills(Struct, gc=False):
    """`user` and `userFills`."""

    fills: Raw = field(default_factory=Raw)  # a list of `Fill`
    user: Text = ""  # `userFills` only


class Candle(Struct, gc=False):
    """`candleSnapshot`: one bar of trading."""

    t: WireTime  # open, ms
    s: str  # coin
    o: WirePrice
    c: WirePrice
    h: WirePrice
    l: WirePrice  # noqa: E741 - the venue's name for the low
    v: WireQuantity


class LeaderboardRow(Struct, gc=False):
    """One trader of the leaderboard."""

    address: str = field(name="ethAddress")
    account_value: Number = field(default=None, name="accountValue")  # USD


class Leaderboard(Struct, gc=False):
    """The leaderboard file: more than 30,000 traders."""

    rows: Raw = field(name="leaderboardRows")  # a list of `LeaderboardRow`


class BookLevel(Struct, gc=False):
    """One level of `l2Book`, aggregated to the significant figures that were asked for, away from mid."""

    price: WirePrice = field(name="px")
    size: WireQuantity = field(name="sz")


class OrderBook(Struct, gc=False):
    """`l2Book`: at most 20 levels per side, best first; `null` for a coin that the venue does not know."""

    coin: str
    time: WireTime  # ms
    levels: tuple[Raw, Raw]  # bids, asks: each a list of `BookLevel`


def taker_side(text: str) -> int:
    """Return +1 for a taker who bought ("B"), -1 for one who sold ("A").

    Raises:
        PoisonMessage: it is another text.
    """
    try:
        return _TAKER_SIDES[text]
    except KeyError:
        raise PoisonMessage(f"Expected the side A or B, was {text!r}") from None
