"""A symbol as the page reads it: blocks of columns that all viewers share, and the edge that is still moving.

Between `picture` and the SQL of `queries`. A block is 60 columns of one width. Columns before the edge hardly change:
they are read once, several blocks at a time, and again after `YOUNG_KEPT_MS` or `OLD_KEPT_MS`, or when history has
arrived; so a stored correction shows within that time. What depends on the end of a stretch of the past alone is kept
as long as a block there.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from liqheat.domain.windows import HOUR_MS, window_start
from liqheat.viewer import evidence, levels, queries
from liqheat.viewer.columns import AnyTable, Cells, Columns, Current, Executed
from liqheat.viewer.edge import LONGEST_AGE_MS, Edge, Edges
from liqheat.viewer.grid import DisplayGrid
from liqheat.viewer.kept import Kept
from liqheat.viewer.queries import Client
from liqheat.viewer.request import LONGEST_STRETCH, MapRequest
from liqheat.viewer.signals import signals_pictures

BLOCK_COLUMNS = 60
YOUNG_MS = 2 * HOUR_MS
"""Before the latest minute: how far back corrections are usual."""
YOUNG_KEPT_MS, OLD_KEPT_MS = 30_000, 300_000
"""How long a block counts that ends within `YOUNG_MS` of the latest minute, and any other."""
BESIDE_KEPT_MS = 10_000
"""How long signals, cascades, evidence and gaps of now count; most are made once per minute."""
RECORD_KEPT_MS = 60_000
KEPT_BYTES = 128_000_000
_OBJECT_BYTES = 8
"""Bytes of Python's objects per byte of their JSON, about."""

_EXTENT_BUCKETS = 100
"""Blocks of the map hold the buckets (of level 1) that a picture shows, widened to multiples of this."""

Extent = tuple[int, int]
"""First bucket, and the first above."""
_ANY: Extent = (0, 0)
Read = Callable[[int, int, Extent], AnyTable]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """The rows of a block's columns up to `until` (ms), of a map within the buckets `extent`."""

    rows: Any
    until: int
    read_at: int
    extent: Extent

    def covers(self, extent: "Extent") -> bool:
        """Whether it has what there is within `extent`."""
        return self.extent[0] <= extent[0] and extent[1] <= self.extent[1]


class Store:
    """What all pictures share: the kept answers and the edges."""

    def __init__(self, stale_ms: int, limit: int = KEPT_BYTES, edge_age_ms: int = LONGEST_AGE_MS) -> None:
        """Keep at most `limit` bytes, and take edges that are less than `edge_age_ms` old.

        `stale_ms` is the age at which a venue does not belong to the map of now.
        """
        self.stale_ms = stale_ms
        self.kept = Kept(limit)
        self.edges = Edges(self.kept, stale_ms, edge_age_ms)


class Stored:
    """One symbol for one picture at one time: `edge`, and what is read or kept of the rest.

    `at` is the end (ms) of what the picture knows: that of the latest minute, or of a stretch of the past.
    """

    def __init__(self, store: Store, client: Client, request: MapRequest, edge: Edge, now: int) -> None:
        self._store, self._client, self._request, self._edge, self._now = store, client, request, edge, now
        self._is_past = 0 < request.end < edge.end
        self.at = request.end if self._is_past else edge.end

    @classmethod
    def opened(cls, store: Store, client: Client, request: MapRequest, now: int) -> "Stored | None":
        """Return the request's symbol, or None where no minute of it is stored."""
        edge = store.edges.of(client, request.symbol, request.step, now)
        return cls(store, client, request, edge, now) if edge else None

    def latest(self) -> tuple[int, int]:
        """Return the start (ms) of the latest minute before `at`, and the number of minutes up to it."""
        if not self._is_past:
            return self._edge.latest, self._edge.minutes
        symbol = self._request.symbol
        found: tuple[int, int] = self._of_past(
            "latest", lambda: queries.latest(self._client, [symbol], 0, self.at).get(symbol, (0, 0))
        )
        return found

    def quality(self) -> list[dict[str, Any]]:
        """Return the state of each venue's market."""
        if not self._is_past:
            return self._edge.quality
        symbol = self._request.symbol
        return self._of_past("quality", lambda: queries.quality(self._client, [symbol], self.at)[symbol])

    def current(self) -> Current:
        """Return the map at `at`."""
        symbol, shape, stale = self._request.symbol, self._request.shape, self._store.stale_ms
        if not self._is_past:
            return self._edge.current(shape, stale)

        def read() -> Current:
            return levels.of_time(self._client, symbol, self.at, stale).last_of_venues().current(shape)

        return self._of_past(("current", shape[1:]), read)

    def cascades(self) -> list[dict[str, Any]]:
        """Return the newest cascade curves."""
        stale = self._store.stale_ms
        return self._together(
            "cascades", lambda symbols, at: evidence.cascades(self._client, symbols, at, stale), BESIDE_KEPT_MS
        )

    def record(self) -> list[dict[str, Any]]:
        """Return what earlier maps predicted and what was executed."""
        return self._together("record", lambda symbols, at: evidence.record(self._client, symbols, at), RECORD_KEPT_MS)

    def followed(self) -> dict[str, Any]:
        """Return what followed once price met clusters; see `liqheat.viewer.evidence.followed`."""
        # Whatever the picture's end: it is judged by the hour, over the last days.
        return self._of_now("followed", lambda symbols: evidence.followed(self._client, symbols), BESIDE_KEPT_MS)

    def signals(self, start: int) -> dict[str, Any]:
        """Return readings and clusters, and the alerts and catalysts from `start` (ms) on."""
        found = self._together(
            "signals",
            lambda symbols, at: signals_pictures(self._client, symbols, at - LONGEST_STRETCH, at),
            BESIDE_KEPT_MS,
        )
        # The newest of a longer stretch, cut at its start, are the newest of the shorter.
        cut = {name: [row for row in found[name] if row["event_time"] >= start] for name in ("alerts", "catalysts")}
        return found | cut

    def gaps(self, start: int) -> list[dict[str, Any]]:
        """Return the holes in the feeds of the chosen venues that touch the time from `start` (ms) on."""
        venues = self._request.venues
        found = self._together("gaps", lambda symbols, at: queries.gaps(self._client, symbols, at), BESIDE_KEPT_MS)
        return [row for row in found if row["venue"] in venues and row["end"] >= start][: queries.GAPS]

    def columns(self, start: int, end: int) -> Columns:
        """Return prices, open interest and executed amounts of the columns from `start` to `end` (ms)."""
        symbol, step = self._request.symbol, self._request.step

        def read(first: int, last: int, _: Extent) -> Columns:
            return queries.columns(self._client, [symbol], step, first, last)[symbol]

        return self._joined(Columns, step, read, self._edge.columns(step), start, end)

    def cells(self, start: int, end: int, grid: DisplayGrid) -> Cells:
        """Return the map of the columns from `start` to `end` (ms): at least the rows of `grid`."""
        symbol, shape = self._request.symbol, self._request.shape
        first_bucket, bucket_above = grid.first * grid.factor, (grid.first + grid.rows) * grid.factor
        extent = (
            first_bucket // _EXTENT_BUCKETS * _EXTENT_BUCKETS,
            -(-bucket_above // _EXTENT_BUCKETS) * _EXTENT_BUCKETS,
        )

        def read(first: int, last: int, within: Extent) -> Cells:
            found = levels.last_of_columns(self._client, [symbol], shape.step, first, last)[symbol].cells(shape)
            return found.where((found.bucket >= within[0]) & (found.bucket < within[1]))

        return self._joined(Cells, shape, read, self._edge.cells(shape), start, end, extent)

    def executed(self, start: int, end: int) -> Executed:
        """Return executed liquidations from `start` to `end` (ms), the largest of each column and venue among them."""
        symbol, step = self._request.symbol, self._request.step

        def read(first: int, last: int, _: Extent) -> Executed:
            return queries.executed(self._client, [symbol], step, first, last)[symbol]

        return self._joined(Executed, step, read, self._edge.executed(step), start, end)

    def _joined(
        self,
        kind: type[AnyTable],
        what: Hashable,
        read: Read[AnyTable],
        newest: AnyTable,
        start: int,
        end: int,
        extent: Extent = _ANY,
    ) -> AnyTable:
        """Return the rows of the columns from `start` to `end`: of blocks before the edge, and `newest` from it on."""
        step, settled = self._request.step, self._edge.open_from(self._request.step)
        parts = [] if end <= settled else [newest]
        if start < settled:
            blocks = self._blocks((kind, what), kind, read, range(start, min(end, settled)), extent)
            parts = [block.between(step, start, settled) for block in blocks] + parts
        return kind.joined(parts).between(step, start, end)

    def _blocks(
        self, what: Hashable, kind: type[AnyTable], read: Read[AnyTable], times: range, extent: Extent
    ) -> list[AnyTable]:
        """Return the blocks that hold the columns of `times` (ms), which are before the edge."""
        step, settled = self._request.step, self._edge.open_from(self._request.step)
        length = BLOCK_COLUMNS * step
        begins = range(window_start(times.start, length), times.stop, length)
        found: dict[int, _Block] = {}
        missing: list[tuple[int, int, int]] = []
        for begin in begins:
            until, since = min(begin + length, settled), begin
            block: _Block | None = self._store.kept.get(self._key(what, begin), self._now)
            if block is not None and block.covers(extent):
                found[begin], since = block, block.until
            elif block is not None:
                # Both are wanted, so that two viewers do not take each other's block away.
                extent = _around(extent, block.extent)
            if since < until:
                missing.append((begin, since, until))
        for run in _runs(missing):
            within = extent
            for begin, _, _ in run:
                within = _around(within, found[begin].extent) if begin in found else within
            rows = read(run[0][1], run[-1][2], within)
            for begin, since, until in run:
                block = _Block(rows.between(step, since, until), until, self._now, within)
                if begin in found:
                    # It does not count for longer by what is added.
                    before = found[begin]
                    block = _Block(kind.joined([before.rows, block.rows]), until, before.read_at, before.extent)
                found[begin] = block
                self._keep_block(self._key(what, begin), block, begin + length)
        return [found[begin].rows for begin in begins]

    def _keep_block(self, key: Hashable, block: _Block, end: int) -> None:
        self._store.kept.put(key, block, block.rows.nbytes, block.read_at + self._kept_ms(end))

    def _key(self, what: Hashable, at: int) -> Hashable:
        return (self._request.symbol, self._edge.generation, what, at)

    def _kept_ms(self, end: int) -> int:
        """Return how long what ends at `end` counts."""
        return YOUNG_KEPT_MS if end > self._edge.latest - YOUNG_MS else OLD_KEPT_MS

    def _of_past(self, what: Hashable, read: Callable[[], T]) -> T:
        """Return what depends on symbol and `at` alone, where that is the end of a stretch of the past."""
        key = self._key(what, self.at)
        kept = self._store.kept.get(key, self._now)
        return kept[0] if kept is not None else self._keep(key, read(), self._kept_ms(self.at))

    def _of_now(self, what: Hashable, read: Callable[[Sequence[str]], Mapping[str, T]], kept_ms: int) -> T:
        """Return what is known of the symbol now, kept for `kept_ms`.

        It is read for all symbols together that are looked at and lack it, as for one it costs nearly as much.
        """
        kept = self._store.kept.get(self._key(what, 0), self._now)
        if kept is not None:
            return kept[0]  # type: ignore[no-any-return]
        edges = [
            edge
            for edge in self._store.edges.alike(self._edge)
            if self._store.kept.get((edge.symbol, edge.generation, what, 0), self._now) is None
        ]
        found = read([edge.symbol for edge in edges])
        for edge in edges:
            self._keep((edge.symbol, edge.generation, what, 0), found[edge.symbol], kept_ms)
        return found[self._request.symbol]

    def _together(self, what: str, read: Callable[[Sequence[str], int], Mapping[str, T]], kept_ms: int) -> T:
        """Return what depends on symbol and `at` alone: `read` is called with symbols and `at`."""
        if self._is_past:
            symbol = self._request.symbol
            return self._of_past(what, lambda: read([symbol], self.at)[symbol])
        return self._of_now(what, lambda symbols: read(symbols, self.at), kept_ms)

    def _keep(self, key: Hashable, value: T, kept_ms: int) -> T:
        size = value.nbytes if isinstance(value, Current) else _OBJECT_BYTES * len(msgspec.json.encode(value))
        self._store.kept.put(key, (value,), size, self._now + kept_ms)
        return value


def _around(one: Extent, other: Extent) -> Extent:
    return min(one[0], other[0]), max(one[1], other[1])


def _runs(missing: Sequence[tuple[int, int, int]]) -> list[list[tuple[int, int, int]]]:
    """Return begin, since and until of blocks in runs without a hole between them."""
    runs: list[list[tuple[int, int, int]]] = []
    for each in missing:
        if runs and runs[-1][-1][2] == each[1]:
            runs[-1].append(each)
        else:
            runs.append([each])
    return runs
