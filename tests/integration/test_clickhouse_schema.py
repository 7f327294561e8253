"""The schema on a real (embedded) ClickHouse: migrating, refusing, repairing, retention, and what readers see."""

import re
import threading
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from pydantic import SecretStr

from liqheat.domain.events import Contract, Gap, MarginTier, Position, to_batch
from liqheat.domain.market import Venue
from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.errors import ConfigurationError, FatalError, LiqheatError, Origin, TransientError
from liqheat.platform.settings import ClickHouse, Settings, Sink
from sinks.clickhouse.migrate import OWN_TABLES, Migration, migrate, placeholders, read_migrations
from sinks.clickhouse.rows import rows_of
from sinks.clickhouse.tables import STORED, TABLES, Writer
from sinks.clickhouse.users import create_users, user_statements
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.sink_fakes import TIME_MS, filled_batch

pytestmark = pytest.mark.clickhouse

PROMISED_COLUMNS = [
    *("symbol", "venue", "side", "basis", "leverage_band", "window_start", "price_low", "price_high"),
    *("at_risk_usd", "opened_usd", "closed_usd", "swept_usd", "liquidated_usd", "confidence"),
    *("expected_usd", "model_version"),
]


def values(client: Client, statement: str) -> list[Any]:
    return [row[0] for row in client.query(statement).result_rows]


def tables_of(client: Client) -> list[str]:
    return values(client, "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name")


def write(client: Client, settings: Settings, *events: Position | Gap | MarginTier | Contract, offset: int = 0) -> None:
    batch = to_batch(list(events))
    ClickHouseWriter(client, settings.clickhouse).insert(
        STORED[batch.kind].table.name, [rows_of(batch, Origin("position-events", 0, offset))]
    )


def test_migrating_twice_applies_once(empty_clickhouse: Client, settings: Settings) -> None:
    applied = migrate(empty_clickhouse, settings)
    assert [migration.number for migration in applied] == [migration.number for migration in read_migrations()]
    before = tables_of(empty_clickhouse)
    assert migrate(empty_clickhouse, settings) == []
    assert tables_of(empty_clickhouse) == before


def test_two_migrating_at_once_do_no_harm(empty_clickhouse: Client, settings: Settings) -> None:
    errors: list[Exception] = []

    def run() -> None:
        client = open_clickhouse(settings.clickhouse)
        try:
            # ClickHouse may end one of the statements to resolve a deadlock, and asks the client to retry.
            for attempt in range(3):
                try:
                    migrate(client, settings)
                    break
                except TransientError:
                    if attempt == 2:
                        raise
        except LiqheatError as error:
            errors.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert migrate(empty_clickhouse, settings) == []
    numbers = [row[0] for row in empty_clickhouse.query("SELECT number FROM migrations FINAL").result_rows]
    assert sorted(numbers) == [migration.number for migration in read_migrations()]


def test_a_migration_that_stopped_half_way_is_run_again(empty_clickhouse: Client, settings: Settings) -> None:
    table = "CREATE TABLE IF NOT EXISTS {database}.a (x Int8) ENGINE = MergeTree ORDER BY x;"
    broken = Migration(1, "half", table + "CREATE TABLE IF NOT EXISTS {database}.b (x Nonsense) ENGINE = Memory")
    with pytest.raises(FatalError, match="Nonsense"):
        migrate(empty_clickhouse, settings, [broken])
    mended = Migration(1, "half", table + "CREATE TABLE IF NOT EXISTS {database}.b (x Int8) ENGINE = Memory")
    assert migrate(empty_clickhouse, settings, [mended]) == [mended]
    assert tables_of(empty_clickhouse) == ["a", "b", "migrations", "views"]


def test_a_changed_and_a_missing_migration_are_refused(empty_clickhouse: Client, settings: Settings) -> None:
    first = Migration(1, "first", "CREATE TABLE IF NOT EXISTS {database}.a (x Int8) ENGINE = Memory")
    migrate(empty_clickhouse, settings, [first])
    with pytest.raises(FatalError, match="0001_first was changed after it was applied"):
        migrate(empty_clickhouse, settings, [Migration(1, "first", first.text + " -- more")])
    with pytest.raises(FatalError, match=r"0001_first was applied .* file is missing"):
        migrate(empty_clickhouse, settings, [Migration(2, "second", "SELECT 1")])


def test_settings_do_not_change_a_checksum(empty_clickhouse: Client, settings: Settings) -> None:
    migrate(empty_clickhouse, settings)
    longer = settings.model_copy(update={"sink": Sink(retention_days=7)})
    assert migrate(empty_clickhouse, longer) == []


def test_the_registry_is_the_database_and_the_database_the_registry(clickhouse: Client) -> None:
    """In both directions: every table has its record, every record its table, and each says what the other does."""
    rows = clickhouse.query(
        "SELECT name, sorting_key, engine_full, create_table_query FROM system.tables "
        "WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name"
    ).result_rows
    found = {name: rest for name, *rest in rows}
    assert found.keys() - OWN_TABLES == TABLES.keys()
    for name, table in TABLES.items():
        key, engine, definition = found[name]
        assert key == table.key, name
        version = re.match(r"ReplacingMergeTree(?:\((\w+)\))?", engine)
        assert version is not None, name
        assert version[1] == table.version, name
        kept = re.search(r"TTL (\w+) \+ toIntervalDay\(\d+\)", definition)
        assert (kept[1] if kept else None) == (table.retention.column if table.retention else None), name


def test_only_tables_that_do_not_grow_with_time_are_kept_for_ever() -> None:
    kept = {table.name for table in TABLES.values() if table.retention is None}
    assert kept == {"contracts_raw", "margin_tiers_raw", "heatmap_upgrade_raw"}


def test_a_table_without_a_record_and_a_record_without_a_table_stop_the_migration(
    clickhouse: Client, settings: Settings
) -> None:
    clickhouse.command("CREATE TABLE forgotten_raw (x Int8) ENGINE = MergeTree ORDER BY x")
    with pytest.raises(FatalError, match="forgotten_raw have no record"):
        migrate(clickhouse, settings)
    clickhouse.command("DROP TABLE forgotten_raw")
    clickhouse.command("DROP TABLE gaps_raw SYNC")
    with pytest.raises(FatalError, match=r"gaps_raw are in .* no migration creates them"):
        migrate(clickhouse, settings)


def test_every_stored_column_has_its_field_and_every_field_its_column(clickhouse: Client) -> None:
    """What the sink would insert of each kind is what the table has, types aside."""
    for kind, stored in STORED.items():
        frame = rows_of(filled_batch(kind, {}), Origin(stored.topic.label, 0, 0))
        columns = clickhouse.query(
            "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} "
            "AND default_kind != 'MATERIALIZED'",
            parameters={"table": stored.table.name},
        ).result_rows
        assert {name for (name,) in columns} == set(frame.columns), kind


def test_retention_follows_the_settings(clickhouse: Client, settings: Settings) -> None:
    shorter = settings.model_copy(update={"sink": Sink(retention_days=7, hour_retention_days=90)})
    migrate(clickhouse, shorter)

    def definition(table: str) -> Any:
        return values(
            clickhouse,
            f"SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = '{table}'",
        )[0]

    assert "TTL window_start + toIntervalDay(7) " in definition("heatmap_raw")
    assert "TTL window_start + toIntervalDay(90) " in definition("heatmap_1h_raw")
    assert "TTL" not in definition("contracts_raw")


def test_the_heatmap_has_the_promised_columns_each_with_a_comment(clickhouse: Client) -> None:
    columns = clickhouse.query(
        "SELECT name, comment FROM system.columns WHERE database = currentDatabase() AND table = 'heatmap' "
        "ORDER BY position"
    ).result_rows
    assert [name for name, _ in columns] == PROMISED_COLUMNS
    assert all(comment for _, comment in columns)


def test_every_column_and_view_says_what_it_is(clickhouse: Client) -> None:
    silent = clickhouse.query(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND comment = ''"
    ).result_rows
    assert silent == []
    assert (
        values(
            clickhouse,
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View' AND comment = ''",
        )
        == []
    )


def test_a_position_is_its_newest_row_and_an_ended_one_is_gone(clickhouse: Client, settings: Settings) -> None:
    def position(time: int, quantity: float, account: str = "0xa") -> Position:
        return Position(Venue.HYPERLIQUID, "TAO", "TAO", time, account, 1, quantity, entry_price=10.0)

    write(clickhouse, settings, position(TIME_MS, 5.0), position(TIME_MS, 7.0, "0xb"))
    write(clickhouse, settings, position(TIME_MS + 2, 3.0), position(TIME_MS + 1, 0.0, "0xb"), offset=1)
    write(clickhouse, settings, position(TIME_MS + 1, 4.0), offset=2)
    rows = clickhouse.query("SELECT account, quantity, leverage FROM positions_observed").result_rows
    assert rows == [("0xa", 3.0, None)]
    assert values(clickhouse, "SELECT count() FROM positions_observed_history") == [5]


def test_a_gap_filled_later_is_one_filled_gap(clickhouse: Client, settings: Settings) -> None:
    gap = Gap(Venue.OKX, "TAO", "TAO-USDT-SWAP", TIME_MS, TIME_MS + 9, "trades", 4, "reconnected")
    write(clickhouse, settings, gap, offset=4)
    filled = Gap(Venue.OKX, "TAO", "TAO-USDT-SWAP", TIME_MS, TIME_MS + 9, "trades", 4, "reconnected", filled=True)
    write(clickhouse, settings, filled, offset=7)
    write(clickhouse, settings, gap, offset=4)
    assert clickhouse.query("SELECT stream, missing, filled FROM gaps").result_rows == [("trades", 4, True)]


def test_a_margin_table_that_shrank_shows_only_its_newest_tiers(clickhouse: Client, settings: Settings) -> None:
    def tier(time: int, number: int, tiers: int) -> MarginTier:
        return MarginTier(Venue.OKX, "TAO", "TAO-USDT-SWAP", time, number, tiers, 0.0, 1e6, 50.0, 0.01, 0.0)

    write(clickhouse, settings, *(tier(TIME_MS, number, 3) for number in (1, 2, 3)))
    write(clickhouse, settings, *(tier(TIME_MS + 5, number, 2) for number in (1, 2)), offset=1)
    assert sorted(values(clickhouse, "SELECT tier FROM margin_tiers")) == [1, 2]


def test_a_contract_is_as_last_read(clickhouse: Client, settings: Settings) -> None:
    write(
        clickhouse,
        settings,
        Contract(Venue.OKX, "TAO", "TAO-USDT-SWAP", TIME_MS + 5, "live", funding_interval=28_800_000),
    )
    write(clickhouse, settings, Contract(Venue.OKX, "TAO", "TAO-USDT-SWAP", TIME_MS, "preopen"), offset=1)
    assert clickhouse.query("SELECT status, funding_interval_hours, tick_size FROM contracts").result_rows == [
        ("live", 8.0, None)
    ]


def with_passwords(cluster: str | None = None) -> Settings:
    secret = SecretStr("hunter2")
    return Settings(
        clickhouse=ClickHouse(writer_password=secret, reader_password=secret, grafana_password=secret, cluster=cluster)
    )


@pytest.mark.parametrize("cluster", [None, "all"])
def test_the_statements_for_users_and_clusters_are_valid_sql(clickhouse: Client, cluster: str | None) -> None:
    """Embedded ClickHouse parses access statements and cluster DDL but runs neither."""
    settings = with_passwords(cluster)
    statements = user_statements(settings)
    for migration in read_migrations():
        statements += migration.statements(placeholders(settings))
    for statement in statements:
        formatted = formatted_by(clickhouse, statement)
        if not formatted.startswith("INSERT"):
            assert ("ON CLUSTER `all`" in formatted) == (cluster is not None), formatted


def formatted_by(client: Client, statement: str) -> str:
    formatted: str = client.query(
        "SELECT formatQuerySingleLine({statement:String})", parameters={"statement": statement}
    ).result_rows[0][0]
    return formatted


def test_users_get_no_more_than_they_need_and_no_statement_holds_a_password() -> None:
    statements = user_statements(with_passwords())
    assert not any("hunter2" in statement for statement in statements)
    grants = [statement.splitlines()[-1].replace("  ", " ") for statement in statements]
    grants = [grant for grant in grants if grant.startswith("GRANT")]
    writer = [grant for grant in grants if "liqheat_writer" in grant]
    # What rollups are made of, and what the evidence is made of: tables, and the views over them.
    rolled_up = ["heatmap_levels_raw", "heatmap_levels_1h_raw"]
    judged = ["market_minutes", "symbol_signals", "clusters"]
    read = [*rolled_up, *(f"{view}_raw" for view in judged), *judged, "market_hours_raw", "evidence_raw"]
    assert writer[0] == "GRANT SELECT ON liqheat.migrations TO liqheat_writer WITH REPLACE OPTION"
    selects = [grant for grant in writer[1:] if grant.startswith("GRANT SELECT")]
    assert sorted(selects) == sorted(f"GRANT SELECT ON liqheat.{name} TO liqheat_writer" for name in read)
    inserts = {
        grant.removeprefix("GRANT INSERT ON liqheat.").split()[0] for grant in writer[1:] if grant not in selects
    }
    assert inserts == {table.name for table in TABLES.values() if table.writer is not Writer.MIGRATION}
    assert all(grant.startswith("GRANT SELECT ") for grant in grants if "liqheat_writer" not in grant)


def test_users_need_passwords_and_a_server(clickhouse: Client, settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="LIQHEAT_CLICKHOUSE__WRITER_PASSWORD"):
        user_statements(Settings())
    with pytest.raises(ConfigurationError, match="no users"):
        create_users(clickhouse, settings)


def test_a_second_data_directory_in_one_process_is_a_clear_error(clickhouse: Client, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="another"):
        open_clickhouse(ClickHouse(interface="chdb", data_directory=tmp_path))
