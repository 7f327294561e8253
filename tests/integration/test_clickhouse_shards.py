"""Tables over the shards of a cluster hold and show what tables of one server do, as far as the embedded engine goes.

Its cluster is one shard, itself. Several shards, replicas and Keeper only servers have; none was at hand.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from pydantic import SecretStr

from liqheat.platform.settings import ClickHouse, Settings
from sinks.clickhouse.migrate import OWN_TABLES, read_migrations
from sinks.clickhouse.shards import sharding_column
from sinks.clickhouse.tables import TABLES
from sinks.clickhouse.users import user_statements

pytestmark = pytest.mark.clickhouse

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    command = [sys.executable, "-m", "tests.support.clickhouse_on_shards", str(tmp_path_factory.mktemp("shards"))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_every_view_dashboard_and_picture_shows_the_same_over_shards(answer: Any) -> None:
    assert answer["local"] == [[1]], "else the engine would ask a server"
    plain, spread = answer["plain"]["contents"], answer["spread"]["contents"]
    assert len(plain["heatmap_1h"]) == len(plain["heatmap_1d"]) * 2 > 0
    assert sum(bool(rows) for rows in plain.values()) >= 20
    for name, rows in plain.items():
        assert spread[name] == rows, name


def test_every_table_is_spread_and_every_view_is_over_all_shards(answer: Any) -> None:
    tables = len(TABLES) + len(OWN_TABLES)
    (views,) = (count for database, engine, count in answer["plain"]["engines"] if engine == "View")
    assert answer["spread"]["engines"] == [
        ["spread", "Distributed", tables],
        ["spread", "View", views],
        ["spread_shard", "ReplacingMergeTree", tables],
    ]


def test_migrations_over_shards_are_applied_once_and_a_new_column_is_over_all_of_them(answer: Any) -> None:
    assert answer["spread"]["applied"] == answer["plain"]["applied"] == [len(read_migrations()), 0]
    assert answer["later"] == [[0]]


def test_nothing_asks_each_shard_for_what_all_of_them_have(answer: Any) -> None:
    """Two shards would refuse such a subquery (DISTRIBUTED_IN_JOIN_SUBQUERY_DENIED), unless it is GLOBAL."""
    assert answer["refused"] == {}


def test_the_clusters_own_statements_are_parsed(answer: Any) -> None:
    """They name the cluster, and what holds rows is replicated; what the engine ran was these, without that."""
    defined = [statement for statement in answer["parsed"] if statement.startswith(("CREATE", "ALTER", "DROP"))]
    assert len(defined) > 60
    assert all("ON CLUSTER over_all" in statement for statement in defined)
    engines = [statement for statement in defined if "MergeTree" in statement]
    assert len(engines) > 20
    assert all("ENGINE = ReplicatedReplacingMergeTree" in statement for statement in engines)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_rows_that_replace_each_other_are_on_one_shard(table: Any) -> None:
    """Equal keys have to give equal shards: the column is one of the key's own."""
    column = sharding_column(table.key)
    assert column in [part.strip() for part in table.key.split(",")]
    assert column == "symbol" or table.name == "dead_letters_raw"


def test_users_may_do_on_a_shards_own_tables_what_they_may_on_all(clickhouse: Client) -> None:
    secret = SecretStr("a-password")
    passwords = {f"{role}_password": secret for role in ("writer", "reader", "grafana")}
    server = ClickHouse(cluster="liqheat", shard_database="liqheat_shard")
    statements = user_statements(Settings(clickhouse=server.model_copy(update=passwords)))
    for statement in statements:
        clickhouse.query("SELECT formatQuerySingleLine({text:String})", parameters={"text": statement})
    grants = [statement.splitlines()[-1] for statement in statements if "GRANT" in statement]
    over_all = [grant for grant in grants if " ON liqheat." in grant]
    assert len(over_all) > 20
    for grant in over_all:
        own = grant.replace(" ON liqheat.", " ON liqheat_shard.").replace(" WITH REPLACE OPTION", "")
        assert grants.index(own) == grants.index(grant) + 1
