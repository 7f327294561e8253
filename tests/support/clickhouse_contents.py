"""What a ClickHouse folder holds, as every view shows it: for tests that compare two runs row for row.

Also how a database that tests share is emptied between them.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from clickhouse_connect.driver.client import Client

from liqheat.platform.clickhouse import open_clickhouse
from liqheat.platform.settings import ClickHouse
from sinks.clickhouse.migrate import OWN_TABLES

Contents = dict[str, Counter[str]]
"""By view, its rows as text, so that an unknown value (NaN) equals itself."""


def contents_of(directories: Sequence[Path]) -> list[Contents]:
    """Return the rows of every view of each folder; read in a process per folder, since one can open one only."""
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as readers:
        return list(readers.map(_contents, directories))


def empty_tables(client: Client) -> None:
    """Delete the rows of the client's database, but for the record of what was migrated."""
    names = client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND total_rows > 0"
    ).result_rows
    for (name,) in names:
        if name not in OWN_TABLES:
            client.command(f"TRUNCATE TABLE `{name}` SYNC")


def _contents(directory: Path) -> Contents:
    client = open_clickhouse(ClickHouse(interface="chdb", data_directory=directory), readonly=True)
    names = client.query("SELECT name FROM system.tables WHERE database = 'liqheat' AND engine = 'View'").result_rows
    contents = {name: Counter(map(repr, client.query(f"SELECT * FROM {name}").result_rows)) for (name,) in names}
    client.close()
    return contents
