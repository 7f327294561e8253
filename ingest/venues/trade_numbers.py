"""Which trades are new and which are missing, at venues that number the trades of an instrument one after another.

Pure; used by mappers alone.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from ingest.venues.values import UNKNOWN

MOST_SKIPPED = 100_000
"""Trade numbers further apart than this are not believed before a second trade has one like it."""
_RESENT_WITHIN_MS = 1_000
_MOST_HOLES = 10_000


class Hole(NamedTuple):
    """Trade numbers between which, both exclusive, trades are missing."""

    after: int
    before: int


@dataclass(slots=True)
class _Known:
    """The highest number of an instrument, the latest time (ms), and a trade that fits neither, if it came last."""

    number: int
    time: int
    odd: tuple[int, int] | None = None


class _Open:
    """Which numbers of an instrument were never seen: those before the first, and between others, as holes in order.

    The lowest hole is forgotten where there are more than `_MOST_HOLES`.
    """

    def __init__(self, first: int) -> None:
        self._holes = [Hole(UNKNOWN, first)]

    def add(self, holes: Iterable[Hole]) -> None:
        """Note holes above those known."""
        self._holes += holes
        del self._holes[:-_MOST_HOLES]

    def take(self, number: int, covered: int = 1) -> bool:
        """Return whether a number was never seen; it has been now, with as many up to it as are `covered`."""
        place = bisect_left(self._holes, number, key=attrgetter("before"))
        if place == len(self._holes) or not self._holes[place].after < number < self._holes[place].before:
            return False
        after, before = self._holes[place]
        parts = (Hole(after, number - covered + 1), Hole(number, before))
        self._holes[place : place + 1] = [part for part in parts if part.before - part.after > 1]
        self.add(())
        return True


class TradeNumbers:
    """Remembers the last trade of each instrument.

    Numbers rise. A number far away, or a smaller one at a later time, may be a venue's new count or an odd row: its
    trade counts, but what is remembered follows only when a second trade confirms it.

    Args:
        on_late: called for a trade behind a later one that was never seen, which then counts. None: it counts as seen,
            for where holes are read by REST, others give it on.
    """

    def __init__(self, on_late: Callable[[], None] | None = None) -> None:
        self._known: dict[str, _Known] = {}
        self._open: dict[str, _Open] = {}
        self._on_late = on_late

    def take(self, name: str, number: int, time: int, covered: int = 1) -> list[Hole] | None:
        """Note a trade at `time` (ms); return the holes that it shows before itself, None where it was seen before.

        A trade without a number (`UNKNOWN`) counts as new, and nothing is remembered of it. `covered` is how many
        trades it sums up, under the number of the last.
        """
        if number == UNKNOWN:
            return []
        known = self._known.get(name)
        if known is None:
            self._known[name] = _Known(number, time)
            if self._on_late is not None:
                self._open[name] = _Open(number - covered + 1)
            return []
        step = number - known.number
        if 0 < step <= MOST_SKIPPED:
            holes = [Hole(known.number, number - covered + 1)] if step > covered else []
            known.number, known.time, known.odd = number, max(known.time, time), None
            return self._noted(name, holes)
        if -MOST_SKIPPED <= step < 0 and self._on_late is not None and self._open[name].take(number, covered):
            self._on_late()
            return []
        if step == 0 and time > known.time + _RESENT_WITHIN_MS:
            # A venue may use a number again; a trade that was sent again has about its own time.
            known.time = time
            return []
        if step == 0 or (-MOST_SKIPPED <= step < 0 and time <= known.time):
            return None
        highest, odd = known.number, known.odd
        found = self._odd(known, number, time)
        if known.number < highest and odd is not None and self._on_late is not None:
            # The numbers begin again, with these two.
            self._open[name] = _Open(max(number, odd[0]))
            self._open[name].take(min(number, odd[0]))
            return found
        return found and self._noted(name, found)

    def _noted(self, name: str, holes: list[Hole]) -> list[Hole]:
        if self._on_late is not None:
            self._open[name].add(holes)
        return holes

    @staticmethod
    def _odd(known: _Known, number: int, time: int) -> list[Hole] | None:
        before = known.odd
        if before is None or abs(number - before[0]) > MOST_SKIPPED:
            known.odd = (number, time)
            return []
        if number == before[0]:
            return None
        first, last = sorted((before[0], number))
        holes = [Hole(*pair) for pair in ((known.number, first), (first, last)) if pair[1] - pair[0] > 1]
        known.number, known.time, known.odd = last, max(before[1], time), None
        return holes
