"""What the sink has read and not stored yet, with when it is due."""

from collections.abc import Hashable

import polars as pl

from liqheat.domain.events import Batch, Kind
from liqheat.platform.errors import Origin
from liqheat.platform.settings import Sink
from sinks.batch import BatchPolicy, BatchState
from sinks.clickhouse.rollup import MarketHour, hours_of
from sinks.clickhouse.tables import STORED

_NEVER_BY_ROWS = 1 << 62
_ROLLUP_REST = 20.0
"""A rollup rests this many times as long as it took, so that rollups take at most a twentieth of the time."""


class Gathering:
    """Batches by kind, dead letters, touched hours, and the next offset to read of each partition.

    Bounded by its reader: it is emptied once `due`, and nothing is read while it cannot be.
    """

    def __init__(self, sink: Sink) -> None:
        self._batch = BatchState(BatchPolicy(sink.batch_rows, sink.batch_age))
        # A rollup is due by age alone: nothing is gathered for it but the names of hours.
        self._rollup_interval = sink.rollup_interval
        self._rollup = BatchState(BatchPolicy(_NEVER_BY_ROWS, sink.rollup_interval))
        self.read: dict[Kind, list[tuple[Batch, Origin]]] = {}
        self.letters: list[pl.DataFrame] = []
        self.hours: set[MarketHour] = set()
        self.next_offsets: dict[Hashable, int] = {}

    @property
    def rows(self) -> int:
        """Rows read but not stored yet."""
        of_kinds = sum(batch.frame.height for read in self.read.values() for batch, _ in read)
        return of_kinds + sum(letter.height for letter in self.letters)

    def add(self, batch: Batch, origin: Origin, now: float) -> None:
        """Take the rows of one message."""
        if STORED[batch.kind].rolled_up:
            self.hours |= hours_of(batch)
            self._rollup.add(batch.frame.height, now)
        self.read.setdefault(batch.kind, []).append((batch, origin))
        self._batch.add(batch.frame.height, now)

    def add_letter(self, rows: pl.DataFrame, now: float) -> None:
        """Take a dead letter's row."""
        self.letters.append(rows)
        self._batch.add(rows.height, now)

    def pass_over(self, now: float) -> None:
        """Note a message without rows to store: its offset is to be committed too."""
        self._batch.add(0, now)

    def due(self, now: float) -> bool:
        """Whether it is time to write."""
        return self._batch.due(now)

    def rollup_due(self, now: float) -> bool:
        """Whether it is time to roll up the touched hours."""
        return self._rollup.due(now)

    def remaining(self, now: float) -> float:
        """Return the seconds until the batch is due by age."""
        return self._batch.remaining(now)

    def written(self) -> None:
        """Note that all rows are stored."""
        self._batch.clear()

    def rolled_up(self, took: float = 0.0) -> None:
        """Note that the touched hours are up to date, which took that many seconds."""
        self.hours.clear()
        self._rollup = BatchState(BatchPolicy(_NEVER_BY_ROWS, max(self._rollup_interval, _ROLLUP_REST * took)))

    def forget(self) -> None:
        """Begin empty: the next reader of these partitions starts from what was committed."""
        self.read.clear()
        self.letters.clear()
        self.next_offsets.clear()
        self.rolled_up()
        self._batch.clear()
