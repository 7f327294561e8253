"""Days of a whole market in ClickHouse, to measure queries and disk on: made in SQL out of a few made-up market-days.

Every market's map is one of three made by `DecayingMap` (a quiet, a usual and a busy market), shifted in time. All
rows go into the sink's own tables; nothing is rounded or packed in another way than the sink does it.
"""

import itertools
from pathlib import Path

import polars as pl
from clickhouse_connect.driver.client import Client

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.domain.market import Venue
from liqheat.platform.errors import Origin
from sinks.clickhouse.rows import rows_of
from tests.support.decaying_map import DecayingMap

DAY_SECONDS = 86_400
DAY_MINUTES = 1_440
VENUES = tuple(venue.value for venue in Venue)[:4]
_TEMPLATES = ((2_000.0, 0.0008), (20_000.0, 0.0007), (500_000.0, 0.0005))
"""USD per minute and volatility of a minute: a quiet, a usual and a busy market."""


def template_rows(folder: Path) -> Path:
    """Return a Parquet file of a day of each template's rows as the sink stores them, symbols `0` to `2`."""
    path = folder / "templates.parquet"
    if path.exists():
        return path
    parts = []
    for number, (turnover, volatility) in enumerate(_TEMPLATES):
        made = DecayingMap(number, price=1.0 + number / 10, turnover=turnover, volatility=volatility)
        minutes = list(made.minutes(0, DAY_MINUTES))
        columns: dict[str, object] = {
            name: list(itertools.chain.from_iterable(minute[name] for minute in minutes))  # type: ignore[arg-type]
            for name in minutes[0]
            if name != "window_start"
        }
        columns["window_start"] = [minute["window_start"] for minute in minutes for _ in minute["side"]]  # type: ignore[attr-defined]
        size = len(columns["window_start"])  # type: ignore[arg-type]
        columns |= {"basis": ["inferred"] * size, "grid_factor": [5] * size, "model_version": [2] * size}
        schema = schema_of(Kind.HEATMAP_LEVELS).polars
        frame = pl.DataFrame(columns | {"revision": [1] * size}, schema_overrides=schema).select(list(schema))
        batch = Batch.of_market(Kind.HEATMAP_LEVELS, "binance", str(number), str(number), frame)
        parts.append(rows_of(batch, Origin("heatmap-buckets", 0, number)))
    pl.concat(parts).write_parquet(path)
    return path


def store_levels(client: Client, templates: Path, symbols: int, first_day: int, days: int) -> None:
    """Store the maps of `symbols` symbols on four venues for `days` days from `first_day` (s, a midnight), day by
    day."""
    columns = [name for name in pl.read_parquet_schema(templates) if name not in ("symbol", "venue", "window_start")]
    for day, venue in itertools.product(range(days), range(len(VENUES))):
        client.command(
            f"INSERT INTO heatmap_levels_raw (symbol, venue, window_start, {', '.join(columns)}) "
            f"SELECT {_symbol('name')}, '{VENUES[venue]}', "
            "toDateTime(toUInt32(toUnixTimestamp64Milli(window_start) / 1000)"
            f" + {first_day + day * DAY_SECONDS}), {', '.join(columns)} FROM file('{templates}') AS template "
            f"CROSS JOIN (SELECT number AS name FROM numbers({symbols})) AS names "
            f"WHERE toUInt8(template.symbol) = (name + {venue}) % {len(_TEMPLATES)}"
        )


def store_hours(client: Client, symbols: int, first_day: int, days: int) -> None:
    """Store hours of the symbols' maps: for each, the last minute of an hour of the first stored day."""
    for day in range(days):
        client.command(
            "INSERT INTO heatmap_levels_1h_raw SELECT symbol, venue, toStartOfHour(window_start) "
            f"- INTERVAL {day} DAY, side, basis, leverage_band, bucket, at_risk_steps, at_risk_steps, expected_steps, "
            "arrayMap(x -> toFloat32(x), opened_steps), arrayMap(x -> toFloat32(x), closed_steps), swept_micro_usd, "
            "liquidated_micro_usd, confidence, grid_factor, model_version, 1 FROM heatmap_levels_raw "
            f"WHERE toMinute(window_start) = 59 AND window_start >= toDateTime({first_day}) "
            f"AND window_start < toDateTime({first_day + DAY_SECONDS}) AND symbol IN "
            f"(SELECT {_symbol('number')} FROM numbers({symbols}))"
        )


def store_minutes(client: Client, markets: int, first_day: int, days: int) -> None:
    """Store market minutes of `markets` markets and readings, clusters and alerts of their symbols, day by day."""
    symbols = markets // len(VENUES)
    for day in range(days):
        start = first_day + day * DAY_SECONDS
        client.command(
            f"""
            INSERT INTO market_minutes_raw (symbol, venue, window_start, mark_open, mark_high, mark_low, mark_close,
                index_price, funding_rate, next_funding_time, open_interest, open_interest_usd, turnover_24h_usd,
                taker_buy_micro_usd, taker_sell_micro_usd, at_risk_long_micro_usd, at_risk_short_micro_usd, coverage,
                expected_long_micro_usd, expected_short_micro_usd, model_version, revision)
            SELECT {_symbol("name")}, {list(VENUES)}[1 + venue], toDateTime({start} + 60 * minute),
                1 + sin(minute / 300) / 20 AS mark, mark * 1.001, mark * 0.999, mark * 1.0002, mark, 0.0001,
                toDateTime64({start} + 28800 * (1 + intDiv(minute, 480)), 3), 1e7 + rand(1) % 10000 AS coins,
                coins * mark, 5e7 + rand(2) % 1000000, rand(3) % 100000000000, rand(4) % 100000000000,
                rand(5) % 1000000000000, rand(6) % 1000000000000, 0, rand(7) % 100000000000, rand(8) % 100000000000, 2,
                minute
            FROM (SELECT number % {DAY_MINUTES} AS minute, intDiv(number, {DAY_MINUTES}) AS market,
                         market % {len(VENUES)} AS venue, intDiv(market, {len(VENUES)}) AS name
                  FROM numbers({DAY_MINUTES * markets}))
            """
        )
        client.command(
            f"""
            INSERT INTO symbol_signals_raw (symbol, venue, window_start, mark_price, adv_usd, venues,
                near_long_micro_usd, near_short_micro_usd, imbalance, conviction, direction, revision)
            SELECT {_symbol("name")}, 'all', toDateTime({start} + 60 * minute), 1 + sin(minute / 300) / 20, 2e8, 4,
                rand(1) % 1000000000000, rand(2) % 1000000000000, rand(3) % 100, rand(4) % 100, 1, minute
            FROM (SELECT number % {DAY_MINUTES} AS minute, intDiv(number, {DAY_MINUTES}) AS name
                  FROM numbers({DAY_MINUTES * symbols}))
            """
        )
        client.command(
            f"""
            INSERT INTO clusters_raw (symbol, venue, window_start, cluster_id, side, state, price_low, price_high,
                nearer_edge, peak_price, at_risk_micro_usd, percent_of_adv, distance, revision)
            SELECT {_symbol("name")}, 'all', toDateTime({start} + 60 * minute), concat('cluster-', toString(place)),
                if(place % 2, 'long', 'short'), 'steady', 0.9 + place / 50, 0.91 + place / 50, 0.91 + place / 50,
                0.905 + place / 50, rand(1) % 1000000000000, rand(2) % 20, rand(3) % 20, minute
            FROM (SELECT number % {DAY_MINUTES} AS minute, intDiv(number, {DAY_MINUTES}) % 6 AS place,
                         intDiv(number, {6 * DAY_MINUTES}) AS name
                  FROM numbers({6 * DAY_MINUTES * symbols}))
            """
        )


def _symbol(number: str) -> str:
    return f"if({number} = 0, 'VIRTUAL', concat('TOKEN', toString({number})))"
