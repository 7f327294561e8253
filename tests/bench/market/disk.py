"""What the run left on disk, after merges: `python -m tests.bench.market.disk DIRECTORY` prints JSON.

A process of its own, for embedded ClickHouse opens one folder per process.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.settings import ClickHouse

DAY_MINUTES = 1_440
_HOUR_MINUTES = 60
_HOURLY = ("contracts", "margin_tiers")
"""Written again at each read of the listings, once per hour."""


@dataclass(frozen=True, slots=True)
class Disk:
    """What is on disk after OPTIMIZE: by table bytes, rows, and minutes that they cover.

    A table of minutes covers the minutes of the run, a rollup for the whole hours or days it has begun.
    """

    bytes_by_table: dict[str, int]
    rows_by_table: dict[str, int]
    minutes_by_table: dict[str, int]
    minutes: int
    parts_before: int

    def per_day(self, table: str) -> float:
        """Return the bytes of a day."""
        return self.bytes_by_table[table] * DAY_MINUTES / max(self.minutes_by_table[table], 1)


def period_of(table: str) -> int:
    """Return the minutes between two writes of the same rows in a table, by its name."""
    if "_1d" in table or table == "migrations":
        return DAY_MINUTES
    return _HOUR_MINUTES if "_1h" in table or table.startswith(_HOURLY) else 1


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
    minutes, hours, days = client.query(
        "SELECT uniqExact(window_start), uniqExact(toStartOfHour(window_start)), uniqExact(toDate(window_start)) "
        "FROM market_minutes"
    ).result_rows[0]
    client.close()
    begun = {1: minutes, _HOUR_MINUTES: hours * _HOUR_MINUTES, DAY_MINUTES: days * DAY_MINUTES}
    return Disk(
        {table: int(size) for table, size, _ in rows},
        {table: int(count) for table, _, count in rows},
        {table: begun[period_of(table)] for table, _, _ in rows},
        minutes,
        before,
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(measure(Path(sys.argv[1])))))
