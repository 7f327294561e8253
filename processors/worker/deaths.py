"""Messages that end the process: a message at which lives end time and again is skipped and becomes a dead letter.

No exception handler sees a process that is killed by what it reads. So each life leaves a mark beside the checkpoints:
that it has begun, and that it ended well. A life that finds a mark without a good end is careful for a while: it takes
`CAREFUL_SPAN` messages at a time and writes where it is first; one that finds such a place takes its messages one by
one. A message at which `DEATHS_ALONE` lives have ended alone, after those before, is skipped.

Pure; the driver writes what `at` and `end` give and asks before each message.
"""

from dataclasses import dataclass, replace

from liqheat.platform.state_codec import pack, unpack
from processors.worker.checkpoint import Checkpoint

DEATHS_ALONE = 2
"""Lives that end at a message taken alone before it is skipped. One that is killed for other reasons at just that
message twice in a row is rare; at least one more life has ended near it before."""
CAREFUL_SPAN = 32
"""Messages that a careful life takes together."""
CAREFUL_MESSAGES = 1_000
"""Messages after which a life that died at none of them is careful no more."""

_NO_OFFSET = -1


def mark_name(partition: int) -> str:
    """Return the name under which a partition's mark is kept; no symbol has such a name."""
    return f"!{partition}"


def is_mark(name: str) -> bool:
    """Whether `name` is that of a mark and not of a symbol."""
    return name.startswith("!")


@dataclass(frozen=True, slots=True)
class Mark:
    """What a life has left behind: whether it ended well, and the messages that it was at.

    `count` messages from `offset` on; `deaths` lives have ended at that one message, this one included. `number` counts
    the marks of a partition, so that of two the later one is known.
    """

    number: int = 0
    ended_well: bool = True
    offset: int = _NO_OFFSET
    count: int = 0
    deaths: int = 0

    @classmethod
    def unpack(cls, packed: bytes) -> "Mark":
        """Read what `packed` wrote."""
        saved = Checkpoint.unpack(packed)
        return cls(saved.applied_offset, *unpack(saved.state, tuple[bool, int, int, int]))

    def packed(self, partition: int) -> bytes:
        """Return the mark as the value of a checkpoint."""
        state = pack((self.ended_well, self.offset, self.count, self.deaths))
        return Checkpoint(partition, self.number, state).pack(mark_name(partition))


class DeathWatch:
    """One life on one partition: from the mark of the one before to its own."""

    def __init__(self, before: Mark, start: int) -> None:
        """Begin at offset `start` with the mark that was found."""
        self.mark = replace(before, number=before.number + 1, ended_well=False, offset=_NO_OFFSET, count=0, deaths=0)
        self._suspects = range(0)
        self._deaths = 0
        self._careful_until = start
        if not before.ended_well:
            self._careful_until = start + CAREFUL_MESSAGES
            if before.count:
                self._suspects = range(before.offset, before.offset + before.count)
                self._deaths = before.deaths
                self._careful_until = max(self._careful_until, self._suspects.stop)
                # Should this life end before it comes so far, the next one still knows.
                self.mark = replace(self.mark, offset=before.offset, count=before.count, deaths=before.deaths)

    def at_once(self, offset: int) -> int:
        """Return how many messages from `offset` on may be taken together after `at`; 0: any number, without it."""
        if offset >= self._careful_until:
            return 0
        if offset in self._suspects:
            return 1
        ahead = self._suspects.start - offset if self._suspects and offset < self._suspects.start else CAREFUL_SPAN
        return min(CAREFUL_SPAN, ahead)

    def is_deadly(self, offset: int) -> bool:
        """Whether enough lives have ended at `offset` for it to be skipped."""
        return len(self._suspects) == 1 and offset in self._suspects and self._deaths >= DEATHS_ALONE

    def at(self, offset: int, count: int) -> Mark:
        """Return the mark to write before `count` messages from `offset` on are applied."""
        known = self._deaths if len(self._suspects) == 1 and offset in self._suspects else 0
        deaths = known + 1 if count == 1 else 0
        self.mark = replace(self.mark, number=self.mark.number + 1, offset=offset, count=count, deaths=deaths)
        return self.mark

    def passed(self, offset: int) -> Mark:
        """Return the mark to write once the messages before `offset` were taken: an end now has other reasons."""
        left = self._suspects if offset < self._suspects.stop else range(0)
        place = left.start if left else _NO_OFFSET
        deaths = self._deaths if len(left) == 1 else 0
        number = self.mark.number + 1
        self.mark = replace(self.mark, number=number, offset=place, count=len(left), deaths=deaths)
        return self.mark

    def end(self) -> Mark:
        """Return the mark to write at a good end."""
        self.mark = Mark(self.mark.number + 1)
        return self.mark
