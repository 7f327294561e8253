"""How long each table is kept: a TTL a table, from the settings, put right on every `liqheat migrate`.

It stands beside the migrations because it may change without the schema changing.
"""

import structlog
from clickhouse_connect.driver.client import Client

from liqheat.platform.settings import Settings, Sink

log = structlog.get_logger()

RETENTION: dict[str, tuple[str, str]] = {
    "heatmap_raw": ("window_start", "retention_days"),
    "market_minutes_raw": ("window_start", "retention_days"),
    "positions_observed_raw": ("event_time", "retention_days"),
    "liquidations_raw": ("event_time", "record_retention_days"),
    "gaps_raw": ("event_time", "record_retention_days"),
    "dead_letters_raw": ("received_at", "record_retention_days"),
    "clusters_raw": ("window_start", "retention_days"),
    "cluster_shares_raw": ("window_start", "retention_days"),
    "depth_raw": ("event_time", "retention_days"),
    "symbol_signals_raw": ("window_start", "retention_days"),
    "market_signals_raw": ("window_start", "retention_days"),
    "alerts_raw": ("event_time", "record_retention_days"),
    "catalysts_raw": ("event_time", "record_retention_days"),
    "heatmap_1h_raw": ("window_start", "hour_retention_days"),
    "heatmap_1d_raw": ("window_start", "day_retention_days"),
}
"""Table to its time column and the setting (of `sink`) that says how many days; tables not named stay for ever."""


def days_of(table: str, sink: Sink) -> int:
    """Return how many days the rows of `table` are kept."""
    days: int = getattr(sink, RETENTION[table][1])
    return days


def apply_retention(client: Client, settings: Settings, values: dict[str, str]) -> list[str]:
    """Alter the TTL of each table where it differs from the settings; return the tables altered.

    Tables of a migration that is not there yet are passed over.
    """
    database = settings.clickhouse.database
    rows = client.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = {database:String}",
        parameters={"database": database},
    ).result_rows
    altered = []
    for table, definition in rows:
        if table not in RETENTION:
            continue
        column, days = RETENTION[table][0], days_of(table, settings.sink)
        # ClickHouse writes the interval in its own way when it shows the table.
        if f"TTL {column} + toIntervalDay({days}) " in f"{definition} ":
            continue
        client.command(
            f"ALTER TABLE {database}.{table} {values['on_cluster']} MODIFY TTL {column} + toIntervalDay({days})"
        )
        log.info("retention set", table=table, days=days)
        altered.append(table)
    return altered
