"""Following one partition of the log: whether a message comes next, must be asked for again, or never will be.

In a rebalance Faust may deliver messages that were fetched before it and go on from there, past the committed
offset. What lies between is asked for again, and what is ahead is passed over until it comes:

    FOLLOWING --(a message ahead of its turn)--> ASKED_AGAIN --(the missing one comes)--> FOLLOWING
    ASKED_AGAIN --(the same message first, ten times over)--> HOLE --(that message is taken)--> FOLLOWING

Pure; the driver does what `meet` and `is_missed` answer.
"""

from collections.abc import Sequence
from enum import Enum

ATTEMPTS = 10
"""How often the same message must come first before what is missing counts as not in the log."""


class CursorState(Enum):
    """How far the following of a partition is."""

    FOLLOWING = "following"
    ASKED_AGAIN = "asked again"
    HOLE = "hole"


class Step(Enum):
    """What to do with a message."""

    TAKE = "take"
    PASS_OVER = "pass over"  # noqa: S105 - no password
    ASK_AGAIN = "ask again"


class LogCursor:
    """The place in one partition: `next_offset` is the offset of the message that comes next."""

    def __init__(self, next_offset: int) -> None:
        """Begin at the offset with which the group goes on."""
        self.next_offset = next_offset
        self.state = CursorState.FOLLOWING
        self._ahead = -1
        self._first_ahead = -1
        self._attempts = 0
        self._quiet_asks = 0
        self._asked_quietly = -1

    def meet(self, offset: int) -> Step:
        """Return what to do with the message at `offset`; taking it moves the cursor behind it."""
        if offset <= self.next_offset:
            self._take(offset)
            return Step.TAKE
        if self.state is CursorState.ASKED_AGAIN and offset > self._ahead:
            self._ahead = offset
            return Step.PASS_OVER
        # The first message ahead, or the first after going back: only a hole is met there time and again.
        self._attempts = self._attempts + 1 if offset == self._first_ahead else 0
        self._ahead = self._first_ahead = offset
        if self._attempts == ATTEMPTS:
            self.state = CursorState.HOLE
            self._take(offset)
            return Step.TAKE
        self.state = CursorState.ASKED_AGAIN
        return Step.ASK_AGAIN

    def take_in_turn(self, offsets: Sequence[int]) -> bool:
        """Whether messages at `offsets` come next, one after the other; then the cursor moves behind them all."""
        if list(offsets) != list(range(self.next_offset, self.next_offset + len(offsets))):
            return False
        self._take(offsets[-1])
        return True

    def is_missed(self, end_offset: int) -> bool:
        """Whether to ask again while nothing comes, for the log holds more than was delivered; not without end."""
        if end_offset <= self.next_offset:
            return False
        self._quiet_asks = self._quiet_asks + 1 if self._asked_quietly == self.next_offset else 1
        self._asked_quietly = self.next_offset
        return self._quiet_asks <= ATTEMPTS

    def take_hole(self) -> bool:
        """Whether the last message was taken although what comes before it is not in the log; asked once."""
        was_hole = self.state is CursorState.HOLE
        self.state = CursorState.FOLLOWING
        return was_hole

    def _take(self, offset: int) -> None:
        # A replayed message moves the cursor back, for what follows it comes again.
        self.next_offset = offset + 1
        if self.state is not CursorState.HOLE:
            self.state = CursorState.FOLLOWING
        self._ahead = -1
        if self.state is CursorState.FOLLOWING:
            self._first_ahead = -1
            self._attempts = 0
