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
from liqheat.viewer import levels, minutes, queries
from liqheat.viewer.columns import Cells, Columns, Current, Executed
from liqheat.viewer.kept import Kept
from liqheat.viewer.levels import Levels
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
_KEPT_MS = {"columns": 0, "levels": 2_000, "executed": 5_000, "closed": 30_000, "silent": 30_000}
"""How long a part is taken over from one edge to the next with the same latest minute; prices come each time."""
_OLD_KEPT_MS, _DAY_KEPT_MS = 30_000, 2_000
"""How long what is known of minutes counts that are older than a day, or than the recent ones, which come each time."""
_KNOWN_BYTES = 10_000
"""Bytes of what is known of the state of a symbol's markets, about."""
_MOST_SYMBOLS = 100
"""Symbols that are read ahead at most; who asks for more waits for questions of their own."""
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
    recent_from: int = 0
    """Start (ms) of `recent`, the symbol's newest minutes; 0 where it has none that are so new."""
    recent: Any = None
    parts: dict[tuple[str, int], tuple[Any, int]] = field(default_factory=dict)
    """Rows, and when they were read, by what they are and the width of a column (ms, 0 where it is no matter): replaced
    and never changed, since the next edge takes them over on another thread."""

    @property
    def end(self) -> int:
        """The end (ms) of the latest minute."""
        return self.latest + MINUTE_MS

    @property
    def closed_until(self) -> int:
        """The start (ms) of the first minute that may still be open.

        An open minute has levels only once its marks have reached some, so of these the levels say which is a venue's
        last; before, a minute without levels had none.
        """
        return self.latest - MINUTE_MS

    def open_from(self, step: int) -> int:
        """Return the start (ms) of the first column that may still change."""
        return window_start(self.latest - OPEN_MS, step)

    def columns(self, step: int) -> Columns:
        """Return the columns from `open_from` on."""
        part: Columns = self.parts["columns", step][0]
        return part

    def executed(self, step: int) -> Executed:
        """Return the largest executed liquidations from `open_from` on."""
        part: Executed = self.parts["executed", step][0]
        return part

    def cells(self, shape: Shape) -> Cells:
        """Return the map from `open_from` on."""
        newest: Levels = self.parts["levels", 0][0]
        if shape.step == MINUTE_MS:
            return newest.where(newest.minute >= self.open_from(MINUTE_MS)).cells(shape)
        closed: Levels = self.parts["closed", shape.step][0]
        still_open = newest.where(newest.minute >= self.closed_until)
        return Levels.joined(closed, still_open).last_of_venues(shape.step).cells(shape)

    def current(self, shape: Shape, stale_ms: int) -> Current:
        """Return the map of now, of the venues whose last minute is not older than `stale_ms`."""
        newest: Levels = self.parts["levels", 0][0]
        newest = newest.where(newest.minute >= self.end - stale_ms)
        silent = self.parts.get(("silent", 0))
        return (Levels.joined(silent[0], newest) if silent else newest).last_of_venues().current(shape)


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
        self._watched: dict[str, dict[int, int]] = {}
        """When (ms) columns of which width (ms) were last asked for, by symbol."""

    @property
    def is_watched(self) -> bool:
        """Whether somebody has looked since the last refresh found nobody."""
        return bool(self._watched)

    def of(self, client: Client, symbol: str, step: int, now: int) -> Edge | None:
        """Return the symbol's edge, not older than the longest age, or None if none is stored.

        It has what pictures with columns `step` (ms) wide need.
        """
        with self._lock:
            before = edge = self._edges.get(symbol)
        if edge is None or not 0 <= now - edge.read_at < self._longest_age_ms:
            edge = self._read(client, [symbol], now).get(symbol)
            if edge is None:
                return None
        self._complete(client, [edge], step)
        with self._lock:
            # One that was read ahead meanwhile is newer.
            if self._edges.get(symbol) is before:
                self._edges[symbol] = edge
            if symbol in self._watched or len(self._watched) < _MOST_SYMBOLS:
                self._watched.setdefault(symbol, {})[step] = now
        return edge

    def alike(self, edge: Edge) -> list[Edge]:
        """Return `edge`, and those of other symbols that are looked at and have the same latest minute."""
        with self._lock:
            others = [self._edges[symbol] for symbol in self._watched if symbol in self._edges]
        return [edge] + [each for each in others if each.latest == edge.latest and each.symbol != edge.symbol]

    def refresh(self, client: Client, now: int) -> int:
        """Read the edges of all symbols that are looked at; return how many.

        Raises what the client raises; the edges then stay as they were.
        """
        with self._lock:
            counting = (
                (symbol, {step: at for step, at in steps.items() if now - at < WATCHED_MS})
                for symbol, steps in self._watched.items()
            )
            self._watched = {symbol: steps for symbol, steps in counting if steps}
            watched = {symbol: list(steps) for symbol, steps in self._watched.items()}
            self._edges = {
                symbol: edge
                for symbol, edge in self._edges.items()
                if symbol in self._watched or now - edge.read_at < _REMEMBERED_MS
            }
        if not watched:
            return 0
        edges = self._read(client, sorted(watched), now)
        alike: dict[tuple[int, int], list[Edge]] = {}
        for symbol, edge in edges.items():
            for step in watched[symbol]:
                alike.setdefault((edge.latest, step), []).append(edge)
        for (_, step), own in alike.items():
            self._complete(client, own, step)
        with self._lock:
            self._edges |= edges
        return len(edges)

    def _read(self, client: Client, symbols: Sequence[str], now: int) -> dict[str, Edge]:
        """Return the symbols' edges without columns."""
        limit, begin, boundary = now + FUTURE_MS, minutes.recent_from(now), window_start(now - DAY_MS, HOUR_MS)
        old = self._counted(client, symbols, 0, boundary, now, _OLD_KEPT_MS)
        new = self._counted(client, symbols, boundary, begin, now, _DAY_KEPT_MS)
        recent = minutes.recent(client, symbols, begin, limit)
        edges = {}
        for symbol in symbols:
            count = old[symbol][1] + new[symbol][1]
            if symbol in recent:
                rows = recent[symbol]
                edges[symbol] = Edge(symbol, now, rows["minute"][-1], count + len(rows), 0, [], begin, rows)
            elif count:
                edges[symbol] = Edge(symbol, now, max(old[symbol][0], new[symbol][0]), count, generation=0)
        older = self._known(
            ("state", begin),
            sorted(recent),
            now,
            _OLD_KEPT_MS,
            lambda missing: queries.quality(client, missing, begin, limit - DAY_MS),
        )
        for symbol, rows in minutes.quality(recent, older).items():
            edges[symbol].quality = rows
        for edge in edges.values():
            if edge.recent is None:
                edge.quality = queries.quality(client, [edge.symbol], edge.end)[edge.symbol]
            self._take_over(edge)
        return edges

    def _counted(
        self, client: Client, symbols: Sequence[str], start: int, end: int, now: int, kept_ms: int
    ) -> dict[str, tuple[int, int]]:
        """Return latest minute and number of minutes from `start` to `end` per symbol; 0 where there is none."""

        def read(missing: list[str]) -> dict[str, tuple[int, int]]:
            return dict.fromkeys(missing, (0, 0)) | queries.latest(client, missing, start, end)

        return self._known(("minutes", start, end), symbols, now, kept_ms, read)

    def _known(
        self,
        what: Hashable,
        symbols: Sequence[str],
        now: int,
        kept_ms: int,
        read: Callable[[list[str]], Mapping[str, Any]],
    ) -> dict[str, Any]:
        """Return per symbol what is kept, or what `read` returns of those that lack it."""
        found = {symbol: self._kept.get((what, symbol), now) for symbol in symbols}
        missing = [symbol for symbol, each in found.items() if each is None]
        if missing:
            for symbol, each in read(missing).items():
                found[symbol] = each
                self._kept.put((what, symbol), each, _KNOWN_BYTES, now + kept_ms)
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

    def _complete(self, client: Client, edges: Sequence[Edge], step: int) -> None:
        """Read what pictures with columns `step` (ms) wide need of `edges`, which have one latest minute."""
        edge = edges[0]
        start, end = edge.open_from(step), window_start(edge.latest, step) + step
        map_start, map_end = edge.end - levels.WHOLE_MS, edge.end

        def fill(what: str, width: int, read: Callable[[list[str]], Mapping[str, Any]]) -> None:
            lacking = {each.symbol: each for each in edges if (what, width) not in each.parts}
            if lacking:
                for symbol, rows in read(sorted(lacking)).items():
                    own = lacking[symbol]
                    own.parts = own.parts | {(what, width): (rows, own.read_at)}

        def columns_of(symbols: list[str]) -> Mapping[str, Columns]:
            rows = {each.symbol: each.recent for each in edges if each.symbol in symbols and each.recent_from}
            if len(rows) == len(symbols) and edge.recent_from <= start:
                return minutes.columns(list(rows.values()), step, start)
            return queries.columns(client, symbols, step, start, end)

        fill("columns", step, columns_of)
        fill("executed", step, lambda symbols: queries.executed(client, symbols, step, start, end))
        fill("levels", 0, lambda symbols: levels.levels(client, symbols, map_start, map_end))
        if step != MINUTE_MS:
            until = edge.closed_until
            fill("closed", step, lambda symbols: levels.last_of_columns(client, symbols, step, start, until))
        if self._stale_ms > levels.WHOLE_MS:
            since = edge.end - self._stale_ms
            fill("silent", 0, lambda symbols: levels.last_of_venues(client, symbols, since, map_start))
