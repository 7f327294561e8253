"""The same sink over ClickHouse's HTTP interface: what a server gets, and what its refusals become."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from liqheat.platform.clickhouse import open_clickhouse, translated_errors
from liqheat.platform.errors import ConfigurationError, FatalError, LiqheatError, Origin, TransientError
from liqheat.platform.settings import ClickHouse, Settings
from sinks.clickhouse.migrate import migrate, pending_migrations
from sinks.clickhouse.rollup import hours_of
from sinks.clickhouse.rows import rows_of
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.clickhouse_over_http import HttpClickHouse, clickhouse_over_http
from tests.support.sink_fakes import heatmap_batch

pytestmark = pytest.mark.clickhouse


@pytest.fixture
def server(clickhouse_directory: Path) -> Iterator[HttpClickHouse]:
    with clickhouse_over_http(clickhouse_directory) as house:
        yield house


def over_http(settings: Settings, server: HttpClickHouse) -> Settings:
    address = ClickHouse(port=server.port, database=settings.clickhouse.database)
    return settings.model_copy(update={"clickhouse": address})


def test_migrations_rows_and_rollups_go_over_http(settings: Settings, server: HttpClickHouse) -> None:
    remote = over_http(settings, server)
    client = open_clickhouse(remote.clickhouse)
    assert migrate(client, remote)
    assert pending_migrations(client, remote) == []
    batch = heatmap_batch(at_risk=2_500_000, buckets=range(3))
    writer = ClickHouseWriter(client, remote.clickhouse)
    assert writer.insert("heatmap_levels_raw", [rows_of(batch, Origin("heatmap-buckets", 0, 0))]) == 1
    writer.roll_up(hours_of(batch))
    for view in ("heatmap", "heatmap_1d"):
        assert client.query(f"SELECT sum(at_risk_usd) FROM {view}").result_rows[0][0] == pytest.approx(7.5, rel=0.005)
    assert all(
        (insert["async_insert"], insert["max_partitions_per_insert_block"]) == ("0", "0")
        for insert in server.insert_settings
    )
    client.command(f"DROP DATABASE {settings.clickhouse.database} SYNC", use_database=False)
    client.close()


def test_over_shards_a_writer_waits_for_the_shard_and_asks_the_replica_that_it_wrote_to(
    settings: Settings, server: HttpClickHouse
) -> None:
    remote = over_http(settings, server)
    shards = remote.clickhouse.model_copy(update={"cluster": "all", "shard_database": "of_a_shard"})
    client = open_clickhouse(remote.clickhouse)
    migrate(client, remote)
    spread = open_clickhouse(shards)
    writer = ClickHouseWriter(spread, shards)
    assert writer.insert("heatmap_levels_raw", [rows_of(heatmap_batch(), Origin("heatmap-buckets", 0, 0))]) == 1
    sent = {"distributed_foreground_insert": "1", "load_balancing": "in_order", "prefer_localhost_replica": "0"}
    assert sent.items() <= server.insert_settings[-1].items()
    client.command(f"DROP DATABASE {settings.clickhouse.database} SYNC", use_database=False)
    for each in (client, spread):
        each.close()


@pytest.mark.parametrize(
    ("code", "fate", "words"),
    [
        (75, TransientError, "refused for now"),
        (76, TransientError, "refused for now"),
        (252, TransientError, "refused for now"),
        (241, TransientError, "refused for now"),
        (60, ConfigurationError, "liqheat migrate"),
        (516, ConfigurationError, "LIQHEAT_CLICKHOUSE__PASSWORD"),
        (497, ConfigurationError, "LIQHEAT_CLICKHOUSE__USERNAME"),
        (53, FatalError, "no luck"),
    ],
)
def test_every_refusal_has_its_fate(
    settings: Settings, server: HttpClickHouse, code: int, fate: type[LiqheatError], words: str
) -> None:
    remote = over_http(settings, server)
    client = open_clickhouse(remote.clickhouse)
    server.error = (code, "no luck")
    with pytest.raises(fate, match=words), translated_errors(remote.clickhouse):
        client.query("SELECT 1")
    client.close()


def test_a_server_that_is_away_is_worth_another_try(settings: Settings, server: HttpClickHouse) -> None:
    remote = over_http(settings, server)
    client = open_clickhouse(remote.clickhouse)
    away = ClickHouse(port=1)
    with pytest.raises(TransientError, match=r"Cannot reach ClickHouse at 127\.0\.0\.1:1"):
        open_clickhouse(away)
    client.close()
