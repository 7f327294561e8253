"""The newest minutes of the symbols that are being looked at: read about twice a second, for all of them together.

`server` calls `Edges.refresh` on a thread of its own while there are viewers; a picture takes what it left, and reads
by itself only what nobody looked at before. A question to ClickHouse costs some milliseconds whatever it asks, so one
about twenty symbols costs little more than one about one.
"""

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from liqheat.domain.windows import DAY_MS, HOUR_MS, MINUTE_MS, window_start
from liqheat.viewer import queries
from liqheat.viewer.columns import Cells, Columns, Current, Executed, Table
from liqheat.viewer.kept import Kept
from liqheat.viewer.queries import Client
from liqheat.viewer.request import Shape

FUTURE_MS = MINUTE_MS
"""How far ahead of the clock a minute may begin and still count: venues' clocks and ours differ a little."""
OPEN_MS = 3 * MINUTE_MS
"""How far before a symbol's latest minute minutes may still come: venues' watermarks differ."""
WATCHED_MS = 15_000
"""How long after its last viewer asked a symbol is still read ahead."""
_REMEMBERED_MS = 60_000
"""How long an edge is remembered that is not read ahead: a page in the background asks every 20 s, and is to find the
blocks again that were read for it."""
LONGEST_AGE_MS = 3_000
"""Age from which a picture does not take an edge any more, but reads its own, where nobody reads ahead."""
BEHIND_MS = 15_000
"""The same where edges are read ahead: under more load than there is processor they come late, and if every picture
then read its own, the load would be many times that."""
_KEPT_MS = {Columns: 0, Current: 2_000, Cells: 5_000, Executed: 5_000}
"""How long a part is taken over from one edge to the next with the same latest minute; prices come each time."""
_HISTORY_KEPT_MS = 30_000
"""How long the count of minutes older than a day counts."""
_MOST_SYMBOLS, _MOST_SHAPES = 100, 16
"""What is read ahead at most; who asks for more waits for questions of their own."""
_HISTORY_MINUTES = 4
"""More new minutes of each venue than this, from one edge to the next, are history that arrives."""


@dataclass(slots=True, eq=False)
class Edge:
    """One symbol at one time: its latest minute (ms), how many it has, its venues' state, and its last columns.

    `generation` changes whenever history has arrived behind the last columns.
    """

    symbol: str
    read_at: int
    latest: int
    minutes: int
    generation: int
    quality: list[dict[str, Any]] = field(default_factory=list)
    parts: dict[tuple[type[Table], Hashable], tuple[Any, int]] = field(default_factory=dict)
    """Rows, and when they were read, by kind and what they depend on; replaced and never changed, since the next edge
    takes them over on another thread."""

    @property
    def end(self) -> int:
        """The end (ms) of the latest minute."""
        return self.latest + MINUTE_MS

    def open_from(self, step: int) -> int:
        """Return the start (ms) of the first column that may still change."""
        return window_start(self.latest - OPEN_MS, step)

    def columns(self, shape: Shape) -> Columns:
        """Return the columns from `open_from` on."""
        part: Columns = self.parts[Columns, shape.step][0]
        return part

    def executed(self, shape: Shape) -> Executed:
        """Return the largest executed liquidations from `open_from` on."""
        part: Executed = self.parts[Executed, shape.step][0]
        return part

    def cells(self, shape: Shape) -> Cells:
        """Return the map from `open_from` on."""
        part: Cells = self.parts[Cells, shape][0]
        return part

    def current(self, shape: Shape) -> Current:
        """Return the map of now."""
        part: Current = self.parts[Current, shape[1:]][0]
        return part


class Edges:
    """The edges of all symbols that are looked at; any thread may call, but one at a time about one symbol.

    `stale_ms` is the age at which a venue's latest minute does not belong to the map of now any more, `longest_age_ms`
    the age at which an edge is not taken any more.
    """

    def __init__(self, kept: Kept, stale_ms: int, longest_age_ms: int = LONGEST_AGE_MS) -> None:
        self._longest_age_ms = longest_age_ms
        self._kept = kept
        self._stale_ms = stale_ms
        self._lock = threading.Lock()
        self._edges: dict[str, Edge] = {}
        self._watched: dict[str, int] = {}
        self._shapes: dict[Shape, int] = {}

    @property
    def is_watched(self) -> bool:
        """Whether somebody has looked since the last refresh found nobody."""
        return bool(self._watched)

    def of(self, client: Client, symbol: str, shape: Shape, now: int) -> Edge | None:
        """Return the symbol's edge, not older than the longest age, with what `shape` needs; None if none is stored."""
        with self._lock:
            before = edge = self._edges.get(symbol)
        if edge is None or not 0 <= now - edge.read_at < self._longest_age_ms:
            edge = self._read(client, [symbol], now).get(symbol)
            if edge is None:
                return None
        self._complete(client, [edge], shape)
        with self._lock:
            # One that was read ahead meanwhile is newer.
            if self._edges.get(symbol) is before:
                self._edges[symbol] = edge
            _note(self._watched, symbol, now, _MOST_SYMBOLS)
            _note(self._shapes, shape, now, _MOST_SHAPES)
        return edge

    def refresh(self, client: Client, now: int) -> int:
        """Read the edges of all symbols that are looked at; return how many.

        Raises what the client raises; the edges then stay as they were.
        """
        with self._lock:
            self._watched = {symbol: at for symbol, at in self._watched.items() if now - at < WATCHED_MS}
            self._shapes = {shape: at for shape, at in self._shapes.items() if now - at < WATCHED_MS}
            self._edges = {
                symbol: edge
                for symbol, edge in self._edges.items()
                if symbol in self._watched or now - edge.read_at < _REMEMBERED_MS
            }
            symbols, shapes = sorted(self._watched), list(self._shapes)
        if not symbols:
            return 0
        edges = self._read(client, symbols, now)
        for latest in {edge.latest for edge in edges.values()}:
            alike = [edge for edge in edges.values() if edge.latest == latest]
            for shape in shapes:
                self._complete(client, alike, shape)
        with self._lock:
            self._edges |= edges
        return len(edges)

    def _read(self, client: Client, symbols: Sequence[str], now: int) -> dict[str, Edge]:
        """Return the symbols' edges without columns."""
        limit, boundary = now + FUTURE_MS, window_start(now - DAY_MS, HOUR_MS)
        old = self._history(client, symbols, boundary, now)
        new = queries.latest(client, symbols, boundary, limit)
        edges = {}
        for symbol in symbols:
            latest, minutes = new.get(symbol, (old[symbol][0], 0))
            if latest:
                edges[symbol] = Edge(symbol, now, latest, minutes + old[symbol][1], generation=0)
        for latest in {edge.latest for edge in edges.values()}:
            alike = sorted(symbol for symbol, edge in edges.items() if edge.latest == latest)
            for symbol, rows in queries.quality(client, alike, latest + MINUTE_MS).items():
                edges[symbol].quality = rows
        for edge in edges.values():
            self._take_over(edge)
        return edges

    def _history(self, client: Client, symbols: Sequence[str], boundary: int, now: int) -> dict[str, tuple[int, int]]:
        """Return latest minute and number of minutes before `boundary` per symbol; both are 0 where there is none."""
        found = {symbol: self._kept.get(("history", symbol, boundary), now) for symbol in symbols}
        missing = [symbol for symbol, each in found.items() if each is None]
        if missing:
            read = queries.latest(client, missing, 0, boundary)
            for symbol in missing:
                found[symbol] = read.get(symbol, (0, 0))
                self._kept.put(("history", symbol, boundary), found[symbol], 100, now + _HISTORY_KEPT_MS)
        return found

    def _take_over(self, edge: Edge) -> None:
        """Take over from the symbol's edge before what still counts."""
        with self._lock:
            before = self._edges.get(edge.symbol)
        edge.generation = edge.read_at
        if before is None or edge.minutes - before.minutes > _HISTORY_MINUTES * len(edge.quality):
            return
        edge.generation = before.generation
        if edge.latest == before.latest:
            edge.parts = {
                key: part for key, part in before.parts.items() if 0 <= edge.read_at - part[1] < _KEPT_MS[key[0]]
            }

    def _complete(self, client: Client, edges: Sequence[Edge], shape: Shape) -> None:
        """Read what `shape` needs of `edges`, which have one latest minute."""
        step, latest = shape.step, edges[0].latest
        start, end = edges[0].open_from(step), window_start(latest, step) + step

        def fill(kind: type[Table], key: Hashable, read: Callable[[list[str]], Mapping[str, Any]]) -> None:
            lacking = {edge.symbol: edge for edge in edges if (kind, key) not in edge.parts}
            if lacking:
                for symbol, rows in read(sorted(lacking)).items():
                    edge = lacking[symbol]
                    edge.parts = edge.parts | {(kind, key): (rows, edge.read_at)}

        fill(Columns, step, lambda symbols: queries.columns(client, symbols, step, start, end))
        fill(Executed, step, lambda symbols: queries.executed(client, symbols, step, start, end))
        fill(Cells, shape, lambda symbols: queries.cells(client, symbols, shape, start, end, latest - MINUTE_MS))
        fill(
            Current,
            shape[1:],
            lambda symbols: queries.current(client, symbols, shape, latest + MINUTE_MS, self._stale_ms),
        )


def _note(times: dict[Any, int], what: Any, now: int, most: int) -> None:
    """Note that `what` was asked for, if there is room."""
    if what in times or len(times) < most:
        times[what] = now
