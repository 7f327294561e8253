"""What a chaos run prints of two ClickHouse folders that differ."""

import re
from pathlib import Path

import pytest

from liqheat.domain.windows import DAY_MS, MINUTE_MS
from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.errors import Origin
from liqheat.platform.settings import ClickHouse, Settings, Sink
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.rows import rows_of
from sinks.clickhouse.writer import ClickHouseWriter
from tests.chaos.exact import where_they_differ
from tests.support.own_process import alone
from tests.support.sink_fakes import heatmap_batch

pytestmark = pytest.mark.clickhouse

TABLE = "heatmap_levels_raw"


def _both_days(directory: Path) -> None:
    """Store one row on a day and one on the next, the first of them twice."""
    settings = Settings(
        clickhouse=ClickHouse(interface="chdb", data_directory=directory), sink=Sink(retention_days=20_000)
    )
    client = open_clickhouse(settings.clickhouse)
    migrate(client, settings)
    for minute in (0, 0, DAY_MS // MINUTE_MS):
        rows = rows_of(heatmap_batch(minute), Origin("heatmap-buckets", 0, 0))
        ClickHouseWriter(client, settings.clickhouse).insert(TABLE, [rows])
    client.close()


def _one_day_set_aside(directory: Path) -> None:
    _both_days(directory)
    client = open_clickhouse(ClickHouse(interface="chdb", data_directory=directory))
    ((partition,),) = client.query(f"SELECT max(partition_id) FROM system.parts WHERE table = '{TABLE}'").result_rows
    client.command(f"ALTER TABLE {TABLE} DETACH PARTITION ID '{partition}'")
    client.close()


def test_partitions_with_other_rows_and_parts_set_aside_are_named(tmp_path: Path) -> None:
    found, whole = tmp_path / "found", tmp_path / "whole"
    alone(_both_days, whole)
    alone(_one_day_set_aside, found)
    missing, aside = where_they_differ(found, whole)
    assert re.fullmatch(rf"{TABLE}, partition \d+: 0 rows instead of 1", missing)
    assert aside.startswith(f"set aside: {TABLE} 20")
    assert where_they_differ(whole, whole) == []
