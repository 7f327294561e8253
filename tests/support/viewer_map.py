"""A liquidation map made by hand, written into the sink's tables for the viewer's tests.

Numbers are round so that a reader can check what the page must show: two venues of one token around $1.00.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from liqheat.domain.price_grid import bucket_of, lower_edge, upper_edge
from liqheat.domain.windows import MINUTE_MS

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
    minute: dict[str, Any] = {
        "symbol": symbol,
        "venue": venue,
        "window_start": moment(start),
        **dict.fromkeys(("mark_open", "mark_high", "mark_low", "mark_close", "index_price"), mark),
        "funding_rate": 0.0001,
        "next_funding_time": moment(start + 90 * MINUTE_MS),
        "open_interest": 20e6,
        "open_interest_usd": 20e6 * mark,
        "turnover_24h_usd": 50e6,
        **dict.fromkeys(("scale_long", "scale_short", "reach_share_long", "reach_share_short"), 1.0),
        "coverage": 0.0,
        **dict.fromkeys(
            (
                "taker_buy_micro_usd",
                "taker_sell_micro_usd",
                "liquidated_long_micro_usd",
                "liquidated_short_micro_usd",
                "at_risk_long_micro_usd",
                "at_risk_short_micro_usd",
                "late_rows",
            ),
            0,
        ),
        "revision": revision,
        **fields,
    }
    client.insert("market_minutes_raw", [list(minute.values())], column_names=list(minute))
    rows = []
    for level in levels:
        bucket = bucket_of([level.price], STORED_FACTOR)
        rows.append(
            [
                symbol,
                venue,
                level.side,
                level.basis,
                level.band,
                moment(start),
                float(lower_edge(bucket, STORED_FACTOR)[0]),
                float(upper_edge(bucket, STORED_FACTOR)[0]),
                round(level.usd * MICRO),
                *([0] * 4),
                0.5,
                revision,
            ]
        )
    if rows:
        client.insert("heatmap_raw", rows, column_names=_HEATMAP_COLUMNS)


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


_HEATMAP_COLUMNS = [
    "symbol",
    "venue",
    "side",
    "basis",
    "leverage_band",
    "window_start",
    "price_low",
    "price_high",
    "at_risk_micro_usd",
    "opened_micro_usd",
    "closed_micro_usd",
    "swept_micro_usd",
    "liquidated_micro_usd",
    "confidence",
    "revision",
]
