"""The page's work for many viewers on a clock of its own: processor seconds, whatever else the machine does.

What `page_viewers` asks over sockets is asked here of the page's own functions, in the order of the clock, which moves
on by itself: so a slow or loaded machine does the same work, and the processor seconds of two versions can be compared.
"""

import gzip
import heapq
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from liqheat.viewer import picture
from liqheat.viewer.queries import Client
from liqheat.viewer.request import MapRequest
from liqheat.viewer.stored import Store
from tests.bench import page_viewers

_READ_AHEAD_MS = 500
_SAME_MS = 1_000
"""How long the page gives everybody who asks the same the same answer."""


@dataclass
class Spent:
    """Processor seconds by what they were for, and by second of the clock."""

    by_kind: dict[str, list[float]] = field(default_factory=dict)
    by_second: dict[int, float] = field(default_factory=dict)
    wire_bytes: int = 0

    def timed(self, kind: str, second: int, work: Callable[[], Any]) -> Any:
        """Return what `work` returns."""
        begun = time.process_time()
        try:
            return work()
        finally:
            took = time.process_time() - begun
            self.by_kind.setdefault(kind, []).append(took)
            self.by_second[second] = self.by_second.get(second, 0.0) + took


@dataclass
class _Viewer:
    choose: random.Random
    symbol: str
    range: dict[str, str]
    since: dict[str, str] = field(default_factory=dict)
    whole_at: int = 0


def play(client: Client, store: Store, stored_factor: int, begin: int, viewers: int, seconds: int) -> Spent:
    """Let `viewers` come within 5 s of `begin` (ms) and look for `seconds`; return what it took."""
    spent = Spent()
    people = []
    events: list[tuple[int, int]] = [(begin + _READ_AHEAD_MS, -1)]
    for number in range(viewers):
        choose = random.Random(number)
        events.append((begin + int(choose.random() * page_viewers.REFRESH_SECONDS * 1_000), number))
        people.append(_Viewer(choose, page_viewers.symbol_of(number), page_viewers.any_range(choose, begin)))
    heapq.heapify(events)
    listed, end = 0, begin + 1_000 * seconds
    while events[0][0] < end:
        now, number = heapq.heappop(events)
        second = (now - begin) // 1_000
        if number < 0:
            spent.timed("read ahead", second, partial(store.edges.refresh, client, now))
            heapq.heappush(events, (now + _READ_AHEAD_MS, -1))
            continue
        if now - listed >= _SAME_MS:
            spent.timed("list", second, partial(_market_list, client, now))
            listed = now
        _look(spent, client, store, stored_factor, people[number], now, second)
        heapq.heappush(events, (now + int(1_000 * page_viewers.REFRESH_SECONDS), number))
    return spent


def _look(
    spent: Spent, client: Client, store: Store, stored_factor: int, viewer: _Viewer, now: int, second: int
) -> None:
    kind = "refresh" if viewer.since else "first"
    if viewer.since and viewer.choose.random() < page_viewers.ZOOMS:
        viewer.range, viewer.since, kind = page_viewers.any_range(viewer.choose, now), {}, "zoom"
    elif viewer.since and now - viewer.whole_at > 1_000 * page_viewers.WHOLE_SECONDS:
        viewer.since, kind = {}, "whole again"
    asked = MapRequest.parse({"symbol": viewer.symbol} | viewer.range | viewer.since)

    def answer() -> dict[str, Any]:
        made = picture.heatmap_picture(store, client, asked, stored_factor, now)
        spent.wire_bytes += len(_packed(made))
        return made

    made = spent.timed(kind, second, answer)
    if not viewer.since:
        viewer.whole_at = now
    if made["state"] == "ready":
        viewer.since = {"since": str(made["latest"] - made["step"]), "grid": made["grid"]["name"]}


def _market_list(client: Client, now: int) -> bytes:
    return _packed(picture.market_list(client, now))


def _packed(answer: dict[str, Any]) -> bytes:
    return gzip.compress(msgspec.json.encode(answer), 1, mtime=0)
