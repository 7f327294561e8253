"""How long each table is kept: its TTL by the registry and the settings, put right on every `liqheat migrate`.

It is apart from the migrations because it may change without the schema changing.
"""

import structlog
from clickhouse_connect.driver.client import Client

from liqheat.platform.settings import Settings
from sinks.clickhouse.tables import TABLES

log = structlog.get_logger()


def apply_retention(client: Client, settings: Settings, values: dict[str, str]) -> list[str]:
    """Alter the TTL of each table where it differs from the settings; return the tables altered."""
    database = settings.clickhouse.stored_database
    rows = client.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = {database:String}",
        parameters={"database": database},
    ).result_rows
    altered = []
    for name, definition in rows:
        table = TABLES.get(name)
        if table is None or table.retention is None:
            continue
        column, days = table.retention.column, table.retention.days(settings.sink)
        # ClickHouse writes the interval in its own way when it shows the table.
        if f"TTL {column} + toIntervalDay({days}) " in f"{definition} ":
            continue
        client.command(
            f"ALTER TABLE {database}.{name} {values['on_cluster']} MODIFY TTL {column} + toIntervalDay({days})"
        )
        log.info("retention set", table=name, days=days)
        altered.append(name)
    return altered
