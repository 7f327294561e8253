"""What flows through liqheat: the kinds of position event and of output row, with units in their schema.

A mapper yields these structs one by one; the publisher gathers them into columnar batches whose polars
schema is derived from the same fields, so a kind is defined once. A batch is of one kind and one venue, which
travel in message headers; symbol and instrument are its first columns, for it may hold many markets.
Times are UTC milliseconds; quantities are coins (never contracts); prices are USD per coin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
import polars as pl

from liqheat.domain.heatmap import HeatmapBucket, HeatmapLevels, MarketMinute, TrackRecord
from liqheat.domain.market import Venue
from liqheat.domain.signals import Alert, Cascade, Catalyst, Cluster, ClusterShare, MarketSignal, SymbolSignal
from liqheat.domain.units import (
    Count,
    Flag,
    FundingRate,
    Identifier,
    Leverage,
    OptionalPrice,
    OptionalQuantity,
    OptionalTime,
    OptionalUsd,
    Percent,
    Price,
    Quantity,
    Share,
    SideSign,
    Text,
    Time,
    Unit,
    Usd,
)

NAN = float("nan")


class Kind(StrEnum):
    """Every kind of batch on a topic; the value is that of the message header."""

    TRADES = "trades"
    OPEN_INTEREST = "open_interest"
    MARKS = "marks"
    LIQUIDATIONS = "liquidations"
    POSITIONS = "positions"
    TURNOVER = "turnover"
    MARGIN_TIERS = "margin_tiers"
    CONTRACTS = "contracts"
    GAPS = "gaps"
    DEPTH = "depth"
    HEATMAP_BUCKETS = "heatmap_buckets"
    HEATMAP_LEVELS = "heatmap_levels"
    MARKET_MINUTES = "market_minutes"
    CLUSTERS = "clusters"
    CLUSTER_SHARES = "cluster_shares"
    ALERTS = "alerts"
    SYMBOL_SIGNALS = "symbol_signals"
    MARKET_SIGNALS = "market_signals"
    CATALYSTS = "catalysts"
    TRACK_RECORD = "track_record"
    CASCADES = "cascades"


class Record(msgspec.Struct, frozen=True, gc=False):
    """Where a row belongs: its venue, canonical symbol and the venue's own instrument name."""

    venue: Venue
    symbol: str
    instrument: str
    event_time: Time


class Trade(Record, frozen=True, gc=False, tag_field="kind", tag=Kind.TRADES.value):
    """An executed trade (or the venue's aggregate of one taker order at one price)."""

    price: Price
    quantity: Quantity
    taker_side: SideSign
    trade_id: Identifier = -1


class OpenInterest(Record, frozen=True, gc=False, tag_field="kind", tag=Kind.OPEN_INTEREST.value):
    """Contracts outstanding, one-sided: each coin of it is one long and one short."""

    quantity: Quantity


class Mark(Record, frozen=True, gc=False, tag_field="kind", tag=Kind.MARKS.value):
    """The price that liquidations are judged by, with funding where the same message carries it."""

    mark_price: Price
    index_price: OptionalPrice = NAN
    funding_rate: FundingRate = NAN
    next_funding_time: OptionalTime = 0


class Liquidation(Record, frozen=True, gc=False, tag_field="kind", tag=Kind.LIQUIDATIONS.value):
    """An executed liquidation; `side` is the side of the position that was liquidated.

    `price` is the average fill where the venue gives it, else its bankruptcy price.
    """

    side: SideSign
    price: Price
    quantity: Quantity
    bankruptcy_price: OptionalPrice = NAN


class Position(Record, frozen=True, gc=False, tag_field="kind", tag=Kind.POSITIONS.value):
    """An observed position, absolute: it replaces what was known of (account, instrument); quantity 0 ends it."""

    account: Text
    side: SideSign
    quantity: Quantity
    entry_price: OptionalPrice = NAN
    leverage: Leverage = NAN
    is_cross: Flag = False
    liquidation_price: OptionalPrice = NAN
    margin: OptionalUsd = NAN
    account_value: OptionalUsd = NAN


class Turnover(Record, frozen=True, gc=False, tag_field="kind", tag=Kind.TURNOVER.value):
    """Quote volume of the last 24 hours."""

    quote_volume: Usd


class MarginTier(Record, frozen=True, gc=False, tag_field="kind", tag=Kind.MARGIN_TIERS.value):
    """One step of a margin-tier table; a table is `tier` 1..`tiers`, sent together, and replaces the one before."""

    tier: Count
    tiers: Count
    notional_floor: Usd
    notional_cap: Usd
    maximum_leverage: Leverage
    maintenance_margin_rate: Share
    maintenance_amount: Usd


class Contract(Record, frozen=True, gc=False, tag_field="kind", tag=Kind.CONTRACTS.value):
    """What an instrument is: status, steps, coins a contract, funding interval."""

    status: Text
    tick_size: OptionalPrice = NAN
    quantity_step: OptionalQuantity = NAN
    contract_value: OptionalQuantity = NAN
    funding_interval: OptionalTime = 0


class Gap(Record, frozen=True, gc=False, tag_field="kind", tag=Kind.GAPS.value):
    """A hole in a feed, from `event_time` to `end_time`; `filled` once REST history has closed it."""

    end_time: Time
    stream: Text
    missing: Count
    reason: Text
    filled: Flag = False


class Depth(Record, frozen=True, gc=False, tag_field="kind", tag=Kind.DEPTH.value):
    """Resting orders of one order book at one moment: USD within each of `DEPTH_DISTANCES` of mid, both sides.

    Amounts add up from the best price outwards, so they never fall with distance. A book that was read to
    less than a distance gives what was read, a lower bound: `bid_reach` and `ask_reach` say how far from mid,
    in %, the reading goes (100 where the whole side was read).
    """

    mid_price: Price
    best_bid: Price
    best_ask: Price
    bid_reach: Percent
    ask_reach: Percent
    bid_0_1_usd: Usd
    bid_0_25_usd: Usd
    bid_0_5_usd: Usd
    bid_1_usd: Usd
    bid_2_usd: Usd
    bid_5_usd: Usd
    bid_10_usd: Usd
    ask_0_1_usd: Usd
    ask_0_25_usd: Usd
    ask_0_5_usd: Usd
    ask_1_usd: Usd
    ask_2_usd: Usd
    ask_5_usd: Usd
    ask_10_usd: Usd


STRUCTS: dict[Kind, type[msgspec.Struct]] = {
    Kind.TRADES: Trade,
    Kind.OPEN_INTEREST: OpenInterest,
    Kind.MARKS: Mark,
    Kind.LIQUIDATIONS: Liquidation,
    Kind.POSITIONS: Position,
    Kind.TURNOVER: Turnover,
    Kind.MARGIN_TIERS: MarginTier,
    Kind.CONTRACTS: Contract,
    Kind.GAPS: Gap,
    Kind.DEPTH: Depth,
    Kind.HEATMAP_BUCKETS: HeatmapBucket,
    Kind.HEATMAP_LEVELS: HeatmapLevels,
    Kind.MARKET_MINUTES: MarketMinute,
    Kind.CLUSTERS: Cluster,
    Kind.CLUSTER_SHARES: ClusterShare,
    Kind.ALERTS: Alert,
    Kind.SYMBOL_SIGNALS: SymbolSignal,
    Kind.MARKET_SIGNALS: MarketSignal,
    Kind.CATALYSTS: Catalyst,
    Kind.TRACK_RECORD: TrackRecord,
    Kind.CASCADES: Cascade,
}
KIND_OF: dict[type[msgspec.Struct], Kind] = {struct: kind for kind, struct in STRUCTS.items()}

Event = Trade | OpenInterest | Mark | Liquidation | Position | Turnover | MarginTier | Contract | Gap | Depth

MARKET_COLUMNS = ("symbol", "instrument")
"""The columns that come first in every batch: which market of the venue a row is of."""

BATCH_FIELDS = ("venue", *MARKET_COLUMNS)
"""Fields of a `Record` that are not columns of its kind: of the whole batch, or `MARKET_COLUMNS`."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a kind: polars type, unit, and the default that makes it optional for a reader."""

    name: str
    dtype: pl.DataType
    unit: Unit
    default: int | float | str | bool | None = None


@dataclass(frozen=True)
class Schema:
    """The columns of one kind, and the version that a writer stamps on a message."""

    kind: Kind
    version: int
    columns: tuple[Column, ...]

    @cached_property
    def polars(self) -> dict[str, pl.DataType]:
        """Names and types of the kind's own columns in order, as polars wants them."""
        return {column.name: column.dtype for column in self.columns}

    @cached_property
    def wire(self) -> dict[str, pl.DataType]:
        """Names and types of all columns of a batch: `MARKET_COLUMNS`, then the kind's own."""
        return {**{name: pl.String() for name in MARKET_COLUMNS}, **self.polars}

    @cached_property
    def units(self) -> dict[str, Unit]:
        """What each of the kind's own columns counts, by name."""
        return {column.name: column.unit for column in self.columns}

    @cached_property
    def lists(self) -> tuple[str, ...]:
        """Names of the columns that are lists; those of one row all have the same length."""
        return tuple(column.name for column in self.columns if isinstance(column.dtype, pl.List))


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one kind and venue, of any markets, in log order; the columns of `frame` are `schema_of(kind).wire`."""

    kind: Kind
    venue: str
    frame: pl.DataFrame

    @classmethod
    def of_market(cls, kind: Kind, venue: str, symbol: str, instrument: str, frame: pl.DataFrame) -> "Batch":
        """Return a batch of one market from a frame of the kind's own columns, `schema_of(kind).polars`."""
        market = zip(MARKET_COLUMNS, (symbol, instrument), strict=True)
        columns = [pl.Series(name, [text], pl.String).new_from_index(0, frame.height) for name, text in market]
        return cls(kind, venue, pl.DataFrame([*columns, *frame.get_columns()]))

    @property
    def symbols(self) -> list[str]:
        """The symbols in it, each once, in order of their first row."""
        symbols: list[str] = self.frame.get_column("symbol").unique(maintain_order=True).to_list()
        return symbols


_VERSIONS: dict[Kind, int] = dict.fromkeys(Kind, 2)
"""1 was a message of one market, whose symbol and instrument stood in the headers."""
_DTYPES: dict[tuple[type, int], pl.DataType] = {
    (int, 64): pl.Int64(),
    (int, 32): pl.Int32(),
    (int, 8): pl.Int8(),
    (float, 64): pl.Float64(),
    (float, 32): pl.Float32(),
    (str, 64): pl.String(),
    (bool, 64): pl.Boolean(),
}
"""Python type and bits of a unit to what a column of it holds."""


@cache
def schema_of(kind: Kind) -> Schema:
    """Return the schema of `kind`, derived from its struct.

    A column added later has a default, so that old messages stay readable.
    """
    struct = STRUCTS[kind]
    hints = get_type_hints(struct, include_extras=True)
    columns = []
    for field in msgspec.structs.fields(struct):
        if field.name in BATCH_FIELDS:
            continue
        annotation = hints[field.name]
        if get_origin(annotation) is not Annotated:
            raise TypeError(f"Expected a unit on {struct.__name__}.{field.name}")
        base, unit = get_args(annotation)
        if get_origin(base) is list:
            dtype: pl.DataType = pl.List(_DTYPES[get_args(base)[0], unit.bits])
        else:
            dtype = _DTYPES[base, unit.bits]
        default = None if field.default is msgspec.NODEFAULT else field.default
        columns.append(Column(field.name, dtype, unit, default))
    return Schema(kind, _VERSIONS[kind], tuple(columns))


def to_batch(events: Sequence[Any]) -> Batch:
    """Gather events of one kind and venue, in order, into a batch.

    Raises:
        ValueError: `events` is empty.
    """
    if not events:
        raise ValueError("Expected at least one event")
    first = events[0]
    kind = KIND_OF[type(first)]
    wire = schema_of(kind).wire
    frame = pl.DataFrame({name: [getattr(event, name) for event in events] for name in wire}, schema=wire)
    return Batch(kind, first.venue, frame)


def from_batch(batch: Batch) -> list[Any]:
    """Turn an event batch back into its structs, in order."""
    struct = STRUCTS[batch.kind]
    venue = Venue(batch.venue)
    return [struct(venue, *row) for row in batch.frame.iter_rows()]
