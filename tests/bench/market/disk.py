"""What the run left on disk, after merges: `python -m tests.bench.market.disk DIRECTORY` prints JSON.

A process of its own, for embedded ClickHouse opens one folder per process.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.settings import ClickHouse


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes by table after OPTIMIZE, rows of the widest tables, and minutes that `market_minutes` covers."""

    bytes_by_table: dict[str, int]
    rows_by_table: dict[str, int]
    minutes: int
    parts_before: int


def measure(directory: Path) -> Disk:
    """Merge every table of the database down to one part per partition, and return what is left."""
    client = open_clickhouse(ClickHouse(interface="chdb", data_directory=directory))
    parts = "FROM system.parts WHERE active AND database = 'liqheat'"
    before = client.query(f"SELECT count() {parts}").result_rows[0][0]
    tables = client.query(f"SELECT DISTINCT table {parts}").result_rows
    for (table,) in tables:
        client.command(f"OPTIMIZE TABLE {table} FINAL")
    rows = client.query(
        f"SELECT table, sum(bytes_on_disk), sum(rows) {parts} GROUP BY table ORDER BY table"
    ).result_rows
    minutes = client.query("SELECT uniqExact(window_start) FROM market_minutes").result_rows[0][0]
    client.close()
    return Disk(
        {table: int(size) for table, size, _ in rows}, {table: int(count) for table, _, count in rows}, minutes, before
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(measure(Path(sys.argv[1])))))
