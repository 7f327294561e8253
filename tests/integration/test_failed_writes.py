"""Embedded ClickHouse on a disk that refuses writes: every row that was acknowledged is there, also after a new start.

The disk is not really full: the process may for a while write no byte into a file, as by `ulimit -f 0`.
"""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from liqheat.platform import embedded_clickhouse
from liqheat.platform.clickhouse import open_clickhouse, translated_errors
from liqheat.platform.errors import Origin, TransientError
from liqheat.platform.settings import ClickHouse, Settings, Sink
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.rollup import hours_of
from sinks.clickhouse.rows import rows_of
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.clickhouse_over_http import clickhouse_over_http
from tests.support.own_process import alone
from tests.support.sink_fakes import heatmap_batch

pytestmark = pytest.mark.clickhouse

TABLE = "heatmap_levels_raw"
BATCHES = [heatmap_batch(minute) for minute in range(3)]
ROWS = [rows_of(batch, Origin("heatmap-buckets", 0, offset)) for offset, batch in enumerate(BATCHES)]


@contextmanager
def refusing_writes() -> Iterator[None]:
    """Let every write of this process into a file fail."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def _opened(directory: Path) -> Client:
    return open_clickhouse(ClickHouse(interface="chdb", data_directory=directory))


def _made(directory: Path) -> tuple[Client, ClickHouseWriter]:
    client = _opened(directory)
    settings = Settings(
        clickhouse=ClickHouse(interface="chdb", data_directory=directory), sink=Sink(retention_days=20_000)
    )
    migrate(client, settings)
    return client, ClickHouseWriter(client, settings.clickhouse)


def _insert_on_a_full_disk(directory: Path) -> None:
    _, writer = _made(directory)
    writer.insert(TABLE, [ROWS[0]])
    # Its driver writes the rows into a file too, for the engine to read.
    with refusing_writes(), pytest.raises(TransientError, match="File too large"):
        writer.insert(TABLE, [ROWS[1]])
    for rows in ROWS[1:]:
        assert writer.insert(TABLE, [rows]) == 1


def _merge_on_a_full_disk(directory: Path) -> None:
    client, writer = _made(directory)
    for rows in ROWS[:2]:
        writer.insert(TABLE, [rows])
    with refusing_writes():
        client.command(f"OPTIMIZE TABLE {TABLE} FINAL")
    with pytest.raises(TransientError, match="refused a write"):
        writer.insert(TABLE, [ROWS[2]])
    assert writer.insert(TABLE, [ROWS[2]]) == 1


def _roll_up_on_a_full_disk(directory: Path) -> None:
    _, writer = _made(directory)
    writer.insert(TABLE, ROWS)
    with refusing_writes(), pytest.raises(TransientError, match="refused a write"):
        writer.roll_up(hours_of(BATCHES[0]))
    writer.roll_up(hours_of(BATCHES[0]))


def _over_http_on_a_full_disk(directory: Path) -> None:
    directory.mkdir()
    with clickhouse_over_http(directory) as house:
        settings = Settings(clickhouse=ClickHouse(port=house.port), sink=Sink(retention_days=20_000))
        client = open_clickhouse(settings.clickhouse)
        migrate(client, settings)
        writer = ClickHouseWriter(client, settings.clickhouse)
        writer.insert(TABLE, ROWS)
        with refusing_writes(), pytest.raises(TransientError, match="refused a write"):
            writer.roll_up(hours_of(BATCHES[0]))
        with refusing_writes(), pytest.raises(TransientError), translated_errors(settings.clickhouse):
            client.command(f"OPTIMIZE TABLE {TABLE} FINAL")
        client.close()


def _rows(directory: Path) -> list[int]:
    rows = _opened(directory).query(f"SELECT _offset FROM {TABLE} FINAL ORDER BY 1").result_rows
    return [offset for (offset,) in rows]


def _hours(directory: Path) -> list[float]:
    return [usd for (usd,) in _opened(directory).query("SELECT at_risk_usd FROM heatmap_1h").result_rows]


@pytest.mark.parametrize("work", [_insert_on_a_full_disk, _merge_on_a_full_disk])
def test_no_acknowledged_row_is_lost_to_a_full_disk(work: Callable[[Path], None], tmp_path: Path) -> None:
    alone(work, tmp_path / "clickhouse")
    assert alone(_rows, tmp_path / "clickhouse") == [0, 1, 2]


def test_a_rollup_that_a_full_disk_spoiled_is_made_again(tmp_path: Path) -> None:
    alone(_roll_up_on_a_full_disk, tmp_path / "clickhouse")
    assert alone(_hours, tmp_path / "clickhouse") == pytest.approx([5.0], rel=0.005)


def test_the_server_of_the_tests_refuses_what_a_server_would(tmp_path: Path) -> None:
    alone(_over_http_on_a_full_disk, tmp_path / "clickhouse")
    assert alone(_rows, tmp_path / "clickhouse") == [0, 1, 2]


def test_the_engine_keeps_the_sources_of_merges_and_some_room(module_clickhouse: Client) -> None:
    names = ("old_parts_lifetime", "min_free_disk_bytes_to_perform_insert")
    query = f"SELECT value FROM system.merge_tree_settings WHERE name IN {names} ORDER BY name DESC"
    values = [value for (value,) in module_clickhouse.query(query).result_rows]
    assert values == ["480", str(embedded_clickhouse.ROOM)]


def test_tables_are_not_changed_on_a_full_disk(
    settings: Settings, empty_clickhouse: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_clickhouse, "ROOM", 1 << 62)
    with pytest.raises(TransientError, match="MB are free on the disk of"):
        migrate(empty_clickhouse, settings)
