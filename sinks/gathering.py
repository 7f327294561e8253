"""What the sink has read and not stored yet, with when it is due."""

from collections.abc import Hashable, Iterator
from itertools import groupby, islice

import polars as pl

from liqheat.domain.events import Batch, Kind
from liqheat.platform.errors import Origin
from liqheat.platform.settings import Sink
from sinks.batch import BatchPolicy, BatchState
from sinks.clickhouse.rollup import SYMBOLS_AT_ONCE, MarketHour, hours_of
from sinks.clickhouse.tables import STORED

_NEVER_BY_ROWS = 1 << 62
_ROLLUP_REST = 20.0
"""A rollup rests this many times as long as it took, so that rollups take at most a twentieth of the time."""
_LONGEST_REST = 300.0
"""Seconds; a database that stood still in a rollup is no reason to commit nothing for an hour."""


class Gathering:
    """Batches by kind, dead letters, touched hours, and the next offset to read of each partition.

    Bounded by its reader: it is emptied once `due`, and nothing is read while it cannot be. Hours are rolled up some
    symbols at a time (`slices`), so that rows which come meanwhile are stored between; a round of it covers what was
    read before it began.
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
        self.slices: list[list[MarketHour]] = []
        self._round_offsets: dict[Hashable, int] = {}
        self._round_took = 0.0

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
        """Whether it is time to begin to roll up the touched hours, or to go on with it."""
        return bool(self.slices) or self._rollup.due(now)

    def begin_round(self) -> None:
        """Begin to roll up the touched hours; all rows that touched them must be stored."""
        symbols = groupby(sorted(self.hours), key=lambda hour: hour.symbol)
        self.slices = list(_joined([list(hours) for _, hours in symbols], SYMBOLS_AT_ONCE))
        self._round_offsets = dict(self.next_offsets)
        self._round_took = 0.0
        self.hours.clear()
        self._rollup.clear()

    def remaining(self, now: float) -> float:
        """Return the seconds until the batch is due by age."""
        return self._batch.remaining(now)

    def written(self) -> None:
        """Note that all rows are stored."""
        self._batch.clear()

    def rolled_up(self, took: float, now: float) -> None:
        """Note that the last of `slices` is up to date, which took that many seconds."""
        self.slices.pop()
        self._round_took += took
        if not self.slices:
            rest = max(self._rollup_interval, min(_ROLLUP_REST * self._round_took, _LONGEST_REST))
            self._rollup = BatchState(BatchPolicy(_NEVER_BY_ROWS, rest))
            if self.hours:
                self._rollup.add(0, now)

    def committable(self) -> dict[Hashable, int]:
        """Return the offsets before which all rows are stored and rolled up.

        While an hour waits for its rollup, the messages that touched it stay uncommitted.
        """
        if self.slices:
            return {}
        return dict(self._round_offsets if self.hours or self.rows else self.next_offsets)

    def committed(self, offsets: dict[Hashable, int]) -> None:
        """Note that the group's offsets are `offsets`."""
        self._round_offsets = {}
        for partition, offset in offsets.items():
            if self.next_offsets.get(partition) == offset:
                del self.next_offsets[partition]

    def forget(self) -> None:
        """Begin empty: the next reader of these partitions starts from what was committed."""
        self.read.clear()
        self.letters.clear()
        self.next_offsets.clear()
        self.hours.clear()
        self.slices.clear()
        self._round_offsets.clear()
        self._rollup = BatchState(BatchPolicy(_NEVER_BY_ROWS, self._rollup_interval))
        self._batch.clear()


def _joined(groups: list[list[MarketHour]], size: int) -> Iterator[list[MarketHour]]:
    """Yield the hours of `size` symbols at a time."""
    rest = iter(groups)
    while part := list(islice(rest, size)):
        yield [hour for hours in part for hour in hours]
