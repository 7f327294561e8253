"""A liquidation map made by hand, written into the sink's tables for the viewer's tests.

Numbers are round so that a reader can check what the page must show: two venues of one token around $1.00.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import polars as pl
from clickhouse_connect.driver.client import Client

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.heatmap import HeatmapLevels, MarketMinute
from liqheat.domain.market import Side
from liqheat.domain.price_grid import bucket_of
from liqheat.domain.signals import Cascade
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.platform.errors import Origin
from liqheat.platform.settings import ClickHouse
from sinks.clickhouse.rows import rows_of
from sinks.clickhouse.tables import STORED
from sinks.clickhouse.writer import ClickHouseWriter

STORED_FACTOR = 5
NAN = float("nan")
MICRO = 1_000_000


def moment(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1_000, UTC)


@dataclass(frozen=True)
class Level:
    """Notional at risk in the bucket that holds `price`."""

    side: str
    price: float
    usd: float
    band: str = "10-25x"
    basis: str = "inferred"
    expected_share: float = 0.25


def insert_minute(
    client: Client,
    venue: str,
    start: int,
    mark: float,
    levels: Sequence[Level],
    *,
    symbol: str = "VIRTUAL",
    revision: int = 1,
    **fields: float,
) -> None:
    """Write one market's minute: its map, and its row in market_minutes (`fields` over quiet defaults)."""
    values: dict[str, Any] = {
        "window_start": start,
        **dict.fromkeys(("mark_open", "mark_high", "mark_low", "mark_close", "index_price"), mark),
        "funding_rate": 0.0001,
        "next_funding_time": start + 90 * MINUTE_MS,
        "open_interest": 20e6,
        "open_interest_usd": 20e6 * mark,
        "turnover_24h_usd": 50e6,
        **dict.fromkeys(_QUIET, 0),
        "coverage": 0.0,
        "revision": revision,
        "model_version": 2,
        **fields,
    }
    minute = MarketMinute(**values)
    _insert(client, Kind.MARKET_MINUTES, venue, symbol, [minute])
    _insert_hour(client, venue, symbol, minute)
    by_key: dict[tuple[str, str, str], list[Level]] = {}
    for level in levels:
        by_key.setdefault((level.side, level.basis, level.band), []).append(level)
    rows = [_levels_of(start, revision, *key, own) for key, own in by_key.items()]
    if rows:
        _insert(client, Kind.HEATMAP_LEVELS, venue, symbol, rows)


def _insert_hour(client: Client, venue: str, symbol: str, minute: MarketMinute) -> None:
    """Write what the sink rolls up of a minute: the market's row in its hour."""
    start = minute.window_start
    row = {
        "symbol": symbol,
        "venue": venue,
        "hour": moment(start // HOUR_MS * HOUR_MS),
        "window_start": moment(start),
        "mark_close": minute.mark_close,
        "turnover_24h_usd": minute.turnover_24h_usd,
        "open_interest_usd": minute.open_interest_usd,
        "warming_up": False,
        "model_version": 2,
        "version": start // 1_000 * 2**64 + minute.revision,
    }
    client.insert("market_hours_raw", [list(row.values())], column_names=list(row))


def _levels_of(start: int, revision: int, side: str, basis: str, band: str, levels: list[Level]) -> HeatmapLevels:
    buckets = [int(bucket_of([level.price], STORED_FACTOR)[0]) for level in levels]
    order = sorted(range(len(levels)), key=lambda place: buckets[place])
    none = [0] * len(levels)
    return HeatmapLevels(
        window_start=start,
        side=Side[side.upper()],
        basis=basis,
        leverage_band=band,
        bucket=[buckets[place] for place in order],
        at_risk_usd=[round(levels[place].usd * MICRO) for place in order],
        expected_usd=[round(levels[place].usd * levels[place].expected_share * MICRO) for place in order],
        opened_usd=none,
        closed_usd=none,
        swept_usd=none,
        liquidated_usd=none,
        confidence=[0.5] * len(levels),
        grid_factor=STORED_FACTOR,
        model_version=2,
        revision=revision,
    )


def _insert(client: Client, kind: Kind, venue: str, symbol: str, records: Sequence[msgspec.Struct]) -> None:
    values = [{"symbol": symbol, "instrument": "", **msgspec.structs.asdict(record)} for record in records]
    frame = pl.DataFrame(values, schema=schema_of(kind).wire)
    rows = rows_of(Batch(kind, venue, frame), Origin(kind.value, 0, 0))
    database = str(client.database)
    ClickHouseWriter(client, ClickHouse(database=database)).insert(STORED[kind].table.name, [rows])


_QUIET = (
    "taker_buy_usd",
    "taker_sell_usd",
    "liquidated_long_usd",
    "liquidated_short_usd",
    "at_risk_long_usd",
    "at_risk_short_usd",
    "late_rows",
)


def insert_cascades(client: Client, symbol: str, cascades: Sequence[Cascade]) -> None:
    """Write where moves of a symbol come to rest."""
    _insert(client, Kind.CASCADES, "all", symbol, cascades)


def insert_liquidation(
    client: Client, venue: str, time: int, side: str, price: float, quantity: float, symbol: str = "VIRTUAL"
) -> None:
    """Write one executed liquidation."""
    client.insert(
        "liquidations_raw",
        [[symbol, venue, moment(time), side, price, quantity, NAN, 0]],
        column_names=["symbol", "venue", "event_time", "side", "price", "quantity", "bankruptcy_price", "occurrence"],
    )


def insert_gap(client: Client, venue: str, start: int, end: int, *, filled: bool, symbol: str = "VIRTUAL") -> None:
    """Write one hole of 12 events in the feed `trades`."""
    client.insert(
        "gaps_raw",
        [[symbol, venue, "trades", moment(start), moment(end), 12, "disconnected", filled, start]],
        column_names=[
            "symbol",
            "venue",
            "stream",
            "event_time",
            "end_time",
            "missing",
            "reason",
            "filled",
            "_offset",
        ],
    )
