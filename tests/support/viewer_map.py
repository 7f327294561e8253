"""A liquidation map made by hand, written into the sink's tables for the viewer's tests.

Numbers are round so that a reader can check what the page must show: two venues of one token around $1.00.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from liqheat.domain.price_grid import bucket_of
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from sinks.clickhouse.steps import LEVEL_RATIO, SMALLEST_USD

STORED_FACTOR = 5
NAN = float("nan")


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
        **dict.fromkeys(("at_risk_scale_long", "at_risk_scale_short"), 1.0),
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
    hour = {name: minute[name] for name in ("symbol", "venue", "window_start", "turnover_24h_usd", "open_interest_usd")}
    hour |= {"hour": moment(start // HOUR_MS * HOUR_MS), "mark_close": minute["mark_close"]}
    hour |= {"version": start // 1_000 * 2**64 + revision, "model_version": 2, "warming_up": False}
    client.insert("market_hours_raw", [list(hour.values())], column_names=list(hour))
    series: dict[tuple[str, str, str], dict[int, float]] = {}
    for level in levels:
        (bucket,) = bucket_of([level.price], STORED_FACTOR).tolist()
        row = series.setdefault((level.side, level.basis, level.band), {})
        row[bucket] = row.get(bucket, 0.0) + level.usd
    rows = [
        [symbol, venue, *names, moment(start), sorted(row), *_amounts(row), STORED_FACTOR, 2, revision]
        for names, row in series.items()
    ]
    if rows:
        client.insert("heatmap_levels_raw", rows, column_names=_LEVEL_COLUMNS)


def _amounts(row: dict[int, float]) -> list[list[int] | list[float]]:
    """Return at risk and expected in steps, no flows, and a confidence of a half, each as a list by bucket."""
    steps = [1 + round(math.log(row[bucket] / SMALLEST_USD) / math.log(LEVEL_RATIO)) for bucket in sorted(row)]
    nothing = [0] * len(row)
    return [steps, steps, nothing, nothing, nothing, nothing, [0.5] * len(row)]


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


_LEVEL_COLUMNS = [
    *("symbol", "venue", "side", "basis", "leverage_band", "window_start", "bucket", "at_risk_steps", "expected_steps"),
    *("opened_steps", "closed_steps", "swept_micro_usd", "liquidated_micro_usd", "confidence", "grid_factor"),
    *("model_version", "revision"),
]
