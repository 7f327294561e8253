"""A process that backs a database up, loses it, restores it, and writes on; it says what it found as JSON.

python -m tests.support.backup_rehearsal DIRECTORY
"""

import json
import sys
from pathlib import Path

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from liqheat.platform import logging
from liqheat.platform.errors import Origin
from liqheat.platform.settings import ClickHouse, Settings
from sinks.clickhouse.migrate import migrate, pending_migrations
from sinks.clickhouse.rollup import hours_of
from sinks.clickhouse.rows import rows_of
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.sink_fakes import heatmap_batch

DATABASE = "liqheat"


def open_with_backups(directory: Path) -> Client:
    """Open embedded ClickHouse with a folder that backups may go to."""
    backups = directory / "backups"
    backups.mkdir()
    config = directory / "config.xml"
    config.write_text(f"<clickhouse><backups><allowed_path>{backups}/</allowed_path></backups></clickhouse>")
    client = clickhouse_connect.get_client(interface="chdb", path=f"{directory / 'clickhouse'}?config-file={config}")
    client.database = DATABASE
    return client


def found(client: Client) -> dict[str, list[int]]:
    """Return how many rows, and how many distinct minutes, the views of the map have."""
    return {
        view: list(client.query(f"SELECT count(), uniqExact(window_start) FROM {view}").result_rows[0])
        for view in ("heatmap", "heatmap_1h")
    }


def main() -> None:
    """Rehearse."""
    logging.configure("warning", "console")
    directory = Path(sys.argv[1])
    settings = Settings(clickhouse=ClickHouse(interface="chdb", data_directory=directory, database=DATABASE))
    client = open_with_backups(directory)
    migrate(client, settings)
    writer = ClickHouseWriter(client, settings.clickhouse)

    def write(minute: int) -> None:
        batch = heatmap_batch(minute)
        writer.insert("heatmap_levels_raw", [rows_of(batch, Origin("heatmap-buckets", 0, minute))])
        writer.roll_up(hours_of(batch))

    for minute in range(3):
        write(minute)
    report: dict[str, object] = {"before": found(client)}
    archive = f"File('{directory}/backups/one')"
    client.command(f"BACKUP DATABASE {DATABASE} TO {archive}", use_database=False)
    client.command(f"DROP DATABASE {DATABASE} SYNC", use_database=False)
    client.command(f"RESTORE DATABASE {DATABASE} FROM {archive}", use_database=False)
    report |= {"restored": found(client), "pending": len(pending_migrations(client, settings))}
    # The log is read again from where it was committed before the backup: minutes it holds already, then new ones.
    for minute in (2, 3):
        write(minute)
    report["after"] = found(client)
    sys.stdout.write(json.dumps(report) + "\n")
    client.close()


if __name__ == "__main__":
    main()
