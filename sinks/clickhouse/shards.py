"""Tables over the shards of a cluster: each table of the registry again, as `Distributed`, under the name that all use.

Migrations make the tables that hold rows in a database of their own on every shard. Sink, rollups, views and readers
name `{database}`, where a table of the same name sends rows to their shard and asks all of them. A symbol's rows are
on one shard, so that rows which replace each other meet, and what is joined by symbol is in one place.
"""

import structlog
from clickhouse_connect.driver.client import Client

from liqheat.platform.settings import Settings

log = structlog.get_logger()


def sharding_column(key: str) -> str:
    """Return the column of a sorting key by which rows are spread: the symbol, in tables without one the first."""
    columns = [part.strip() for part in key.split(",")]
    return "symbol" if "symbol" in columns else columns[0]


def spread(client: Client, settings: Settings, values: dict[str, str], keys: dict[str, str]) -> list[str]:
    """Make the tables over all shards that are missing or have other columns; return them, none without shards.

    Args:
        client: of an administrator.
        settings: which databases, which cluster.
        values: the value of each placeholder (`migrate.placeholders`).
        keys: sorting key by name of table.
    """
    database, stored = settings.clickhouse.database, settings.clickhouse.stored_database
    if stored == database:
        return []
    client.command(f"CREATE DATABASE IF NOT EXISTS {database} {values['on_cluster']}", use_database=False)
    columns = client.query(
        "SELECT database, table, groupArray((name, type, comment)) FROM (SELECT * FROM system.columns "
        "WHERE database IN ({database:String}, {stored:String}) ORDER BY position) GROUP BY database, table",
        parameters={"database": database, "stored": stored},
    ).result_rows
    known = {(held_by, table): described for held_by, table, described in columns}
    made = []
    for table, key in keys.items():
        if known.get((database, table)) == known[stored, table]:
            continue
        client.command(
            f"CREATE OR REPLACE TABLE {database}.{table} {values['on_cluster']} AS {stored}.{table} "
            f"ENGINE = Distributed('{settings.clickhouse.cluster}', '{stored}', '{table}', "
            f"cityHash64({sharding_column(key)}))",
            use_database=False,
        )
        log.info("table spread over the shards", table=table)
        made.append(table)
    return made
