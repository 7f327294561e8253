"""A process whose embedded ClickHouse is a cluster of one shard, so that queries through `Distributed` tables are run.

    python -m tests.support.clickhouse_on_shards DIRECTORY

Prints JSON. The same rows are written to a database without shards, and to one whose tables are over a cluster's
shards. The engine has no Keeper: ON CLUSTER and `Replicated` are taken out of the statements before they are run, and
what they were is printed as ClickHouse parses it. It knows one shard only; it would ask a second over the network.
What it refuses to ask several shards, as a subquery that each of them would have to send to all, is printed too.
"""

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from liqheat.domain.events import Batch, Kind
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform import logging
from liqheat.platform.clickhouse import OVER_SHARDS
from liqheat.platform.errors import Origin
from liqheat.platform.settings import ClickHouse, Settings
from liqheat.platform.sql_text import fill
from liqheat.viewer import picture
from liqheat.viewer.request import MapRequest
from liqheat.viewer.stored import Store
from sinks.clickhouse.migrate import migrate, placeholders
from sinks.clickhouse.rollup import MarketHour, hours_of, roll_up
from sinks.clickhouse.rows import hours_of_minutes, rows_of
from sinks.clickhouse.shards import spread
from sinks.clickhouse.tables import LEVELS, MARKET_HOURS, STORED, TABLES
from sinks.clickhouse.views import read_views, snippets
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.grafana_macros import every_query
from tests.support.sink_fakes import MIDNIGHT, filled_batch, heatmap_batch

CLUSTER = "over_all"
AWAY = "away"
"""A cluster of two shards at which nobody answers."""
_SHARD = "<shard><replica><host>127.0.0.1</host><port>{port}</port></replica></shard>"
_CONFIG = f"""<clickhouse><tcp_port>9000</tcp_port><remote_servers>
<{CLUSTER}>{_SHARD.format(port=9000)}</{CLUSTER}><{AWAY}>{_SHARD.format(port=1) * 2}</{AWAY}>
</remote_servers></clickhouse>"""


def batches() -> Iterator[Batch]:
    """Yield rows of every kind for two symbols, with repeats and revisions."""
    for symbol in ("TAO", "VIRTUAL"):
        for minute in (1, 2, 61):
            for revision in (1, 3, 2):
                yield heatmap_batch(minute, symbol=symbol, buckets=range(revision), revision=revision)
        for kind in STORED:
            if kind is not Kind.HEATMAP_LEVELS:
                names = filled_batch(kind).frame.columns
                times = {name: MIDNIGHT for name in ("window_start", "event_time") if name in names}
                yield from [filled_batch(kind, times, symbol=symbol)] * 2


def work_as_the_sink(client: Client, settings: Settings) -> None:
    """Write all of it, and roll up."""
    writer = ClickHouseWriter(client, settings.clickhouse)
    for offset, batch in enumerate(batches()):
        rows = rows_of(batch, Origin("log", 0, offset))
        writer.insert(STORED[batch.kind].table.name, [rows])
        if batch.kind is Kind.MARKET_MINUTES:
            writer.insert(MARKET_HOURS.name, [hours_of_minutes(rows)])
        if batch.kind is Kind.HEATMAP_LEVELS:
            writer.roll_up(hours_of(batch))


def contents(client: Client) -> dict[str, list[str]]:
    """Return every row of every view, what each dashboard query answers, and what the page shows."""
    queries = {view.name: f"SELECT * FROM {view.name}" for view in read_views()}
    queries |= {f"dashboard query {number}": query for number, query in enumerate(every_query())}
    shown = {name: sorted(map(repr, client.query(query).result_rows)) for name, query in queries.items()}
    now = MIDNIGHT + 62 * MINUTE_MS
    shown["markets of the page"] = [repr(picture.market_list(client, now))]
    for span in ("1h", "7d"):
        request = MapRequest.parse({"symbol": "VIRTUAL", "range": span})
        shown[f"picture of {span}"] = [repr(picture.heatmap_picture(Store(5 * MINUTE_MS), client, request, 10, now))]
    return shown


def refused(client: Client, shard_database: str) -> dict[str, str]:
    """Return the views, queries and rollups that cannot be asked of two shards, with the reason; both are away."""
    away = Settings(clickhouse=ClickHouse(database=AWAY, shard_database=shard_database, cluster=AWAY))
    values = placeholders(away) | {"on_cluster": ""}
    spread(client, away, values, {table.name: table.key for table in TABLES.values()})
    client.command("SET skip_unavailable_shards = 1, connections_with_failover_max_tries = 1")
    client.database = AWAY
    asked: dict[str, Callable[[], object]] = {}
    for view in read_views():
        client.command(f"CREATE VIEW {AWAY}.{view.name} AS {fill(view.query, values | snippets(), view.name)}")
        asked[view.name] = partial(client.query, f"SELECT * FROM {view.name}")
    for number, query in enumerate(every_query()):
        asked[f"dashboard query {number}"] = partial(client.query, query)
    now = MIDNIGHT + 62 * MINUTE_MS
    request = MapRequest.parse({"symbol": "VIRTUAL", "range": "1h"})
    asked["rollups"] = partial(roll_up, client, AWAY, [MarketHour("VIRTUAL", MIDNIGHT)])
    asked["markets of the page"] = partial(picture.market_list, client, now)
    asked["picture of 1h"] = partial(picture.heatmap_picture, Store(5 * MINUTE_MS), client, request, 10, now)
    reasons = {}
    for name, ask in asked.items():
        try:
            ask()
        except DatabaseError as error:
            reasons[name] = str(error)
    return reasons


def without_keeper(client: Client) -> list[str]:
    """Take out of statements what only a cluster with Keeper runs; return where they are gathered as they were."""
    run = client.command
    gathered: list[str] = []

    def command(statement: str, *arguments: Any, **named: Any) -> Any:
        if CLUSTER in statement:
            gathered.append(statement)
        bare = statement.replace(f"ON CLUSTER '{CLUSTER}'", "").replace("= Replicated", "= ")
        return run(bare, *arguments, **named)

    client.command = command  # type: ignore[assignment, method-assign]
    return gathered


def main() -> None:
    """Prepare both, write the same rows, print what each shows."""
    logging.configure("warning", "console")
    directory = Path(sys.argv[1])
    config = directory / "config.xml"
    config.write_text(_CONFIG)
    # The engine is no server that it could reach by its address.
    session = {name: value for name, value in OVER_SHARDS.items() if name != "prefer_localhost_replica"}
    address = f"{directory / 'data'}?config-file={config}"
    client = clickhouse_connect.get_client(interface="chdb", path=address, settings=session)
    gathered = without_keeper(client)
    layouts = {
        "plain": ClickHouse(interface="chdb", database="plain"),
        "spread": ClickHouse(interface="chdb", database="spread", shard_database="spread_shard", cluster=CLUSTER),
    }
    answer: dict[str, Any] = {
        "local": client.query(f"SELECT is_local FROM system.clusters WHERE cluster = '{CLUSTER}'").result_rows
    }
    for name, clickhouse in layouts.items():
        settings = Settings(clickhouse=clickhouse)
        client.database = clickhouse.database
        applied = [len(migrate(client, settings)), len(migrate(client, settings))]
        work_as_the_sink(client, settings)
        engines = client.query(
            "SELECT database, engine, count() FROM system.tables WHERE database LIKE {like:String} GROUP BY ALL "
            "ORDER BY ALL",
            parameters={"like": f"{name}%"},
        ).result_rows
        answer[name] = {"applied": applied, "contents": contents(client), "engines": engines}
    stored = f"spread_shard.{LEVELS.name}"
    client.command(f"ALTER TABLE {stored} ADD COLUMN later UInt8 COMMENT 'Of a later version'")
    migrate(client, Settings(clickhouse=layouts["spread"]))
    formatted = "SELECT formatQuerySingleLine({text:String})"
    parsed = [client.query(formatted, parameters={"text": statement}).result_rows[0][0] for statement in gathered]
    answer["parsed"] = parsed
    answer["refused"] = refused(client, layouts["spread"].stored_database)
    answer["later"] = client.query(f"SELECT max(later) FROM spread.{LEVELS.name}").result_rows
    client.close()
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
