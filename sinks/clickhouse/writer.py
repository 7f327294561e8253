"""Rows into ClickHouse: one Arrow stream an insert, columns by name.

Arrow goes from polars to the server without a Python object a value, about four times as fast as building
the native format. The server's own asynchronous batching is off: the sink batches, and an insert that has
returned is on disk.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import polars as pl
from clickhouse_connect.driver.client import Client

from liqheat.platform import metrics
from liqheat.platform.clickhouse import translated_errors
from liqheat.platform.embedded_clickhouse import FailedWrites
from liqheat.platform.settings import ClickHouse
from sinks.clickhouse.rollup import MarketHour, roll_up

_INSERT_SETTINGS = {
    "async_insert": 0,
    # A batch may hold backfilled history of many weeks; that is no mistake to refuse for ever.
    "max_partitions_per_insert_block": 0,
}


class ClickHouseWriter:
    """Writes through one clickhouse-connect client."""

    def __init__(self, client: Client, clickhouse: ClickHouse) -> None:
        self._client = client
        self._clickhouse = clickhouse
        self._failed_writes = None
        if clickhouse.interface == "chdb":
            self._failed_writes = FailedWrites(lambda statement: client.query(statement).result_rows)

    def insert(self, table: str, frames: Sequence[pl.DataFrame]) -> int:
        """Write the rows of `frames` (of one schema) into `table`, in order; return how many, once they are stored.

        Raises:
            TransientError: nothing or everything may have been written; write the same rows again.
            FatalError: the database will never take them.
        """
        frame = pl.concat(frames)
        if frame.is_empty():
            return 0
        buffer = io.BytesIO()
        # The oldest level: ClickHouse versions differ in whether they read Arrow's newer string views.
        frame.write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
        with self._writing(table):
            self._client.raw_insert(
                f"{self._clickhouse.database}.{table}",
                column_names=frame.columns,
                insert_block=buffer.getvalue(),
                fmt="ArrowStream",
                settings=_INSERT_SETTINGS,
            )
        metrics.ROWS_INSERTED.labels(table).inc(frame.height)
        return frame.height

    def roll_up(self, hours: Iterable[MarketHour]) -> None:
        """Bring the rollups of `hours`, and of the days that hold them, up to date; raises as `insert`."""
        with self._writing("rollup"):
            roll_up(self._client, self._clickhouse.database, hours)

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        noticed = nullcontext() if self._failed_writes is None else self._failed_writes.noticed()
        with translated_errors(self._clickhouse), metrics.INSERT_SECONDS.labels(what).time(), noticed:
            yield
