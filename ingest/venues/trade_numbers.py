"""Which trades are new and which are missing, at venues that number the trades of an instrument one after another.

Pure; used by mappers alone.
"""

from dataclasses import dataclass
from typing import NamedTuple

from ingest.venues.values import UNKNOWN

MOST_SKIPPED = 100_000
"""Trade numbers further apart than this are not believed before a second trade has one like it."""
_RESENT_WITHIN_MS = 1_000


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


class TradeNumbers:
    """Remembers the last trade of each instrument.

    Numbers rise. A number far away, or a smaller one at a later time, may be a venue's new count or an odd row: its
    trade counts, but what is remembered follows only when a second trade confirms it.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def take(self, name: str, number: int, time: int) -> list[Hole] | None:
        """Note a trade at `time` (ms); return the holes that it shows before itself, None where it was seen before.

        A trade without a number (`UNKNOWN`) counts as new, and nothing is remembered of it.
        """
        if number == UNKNOWN:
            return []
        known = self._known.get(name)
        if known is None:
            self._known[name] = _Known(number, time)
            return []
        step = number - known.number
        if 0 < step <= MOST_SKIPPED:
            holes = [Hole(known.number, number)] if step > 1 else []
            known.number, known.time, known.odd = number, max(known.time, time), None
            return holes
        if step == 0 and time > known.time + _RESENT_WITHIN_MS:
            # A venue may use a number again; a trade that was sent again has about its own time.
            known.time = time
            return []
        if step == 0 or (-MOST_SKIPPED <= step < 0 and time <= known.time):
            return None
        return self._odd(known, number, time)

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
