"""When symbols are judged: one after the other, hour by hour, in a small share of the time, by one sink of the group.

Beside `sinks.loop`, in a thread of its own: a judge that the command hands in reads what is stored and says what
followed clusters; its rows go into the table `evidence_raw`. Whatever happens here stops no row on its way.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import polars as pl
import structlog

from liqheat.platform.clock import Clock
from liqheat.platform.errors import LiqheatError
from sinks.clickhouse.rows import evidence_rows
from sinks.clickhouse.tables import EVIDENCE

log = structlog.get_logger()

Records = Iterable[Mapping[str, Any]]
"""Rows of `evidence_raw` by the names of its columns."""

IDLE = 20.0
"""Seconds between two questions whether a round is due."""
REST_AFTER_FAILURE = 600.0
"""Seconds after which a round that the database refused is begun again."""
LONGEST_REST = 3_600.0
"""Seconds of rest after one symbol at most, however long a database that stood still has made it."""
LONGEST_WAIT = 5.0
"""Seconds within which a change of the group's leader is noticed."""


class Judge(Protocol):
    """Judges what is stored; may raise `LiqheatError` where the database does not answer."""

    def begin(self, now_ms: int) -> list[str]:
        """Begin a round over what is stored by now; return its symbols, none where no round is due."""

    def judge(self, symbol: str) -> Records:
        """Return the rows of one symbol of the round, and keep what the last step needs of it."""

    def together(self) -> Records:
        """Return the rows of all symbols of the round together."""


class Inserts(Protocol):
    """Where rows go."""

    def insert(self, table: str, frames: Sequence[pl.DataFrame]) -> int:
        """Store the rows of `frames` in `table`."""


class Studies:
    """Paces a judge: after each symbol it rests so long that judging takes at most `time_share` of the time."""

    def __init__(self, judge: Judge, database: Inserts, clock: Clock, time_share: float) -> None:
        """Prepare; `time_share` is above 0 and at most 1."""
        self._judge = judge
        self._database = database
        self._clock = clock
        self._rest_per_work = 1 / time_share - 1
        self._next_at = clock.monotonic()
        self._waiting: list[str] | None = None
        """Symbols of the round that are still to be judged, the next one last; None between rounds."""

    def step(self, leads: bool) -> float:
        """Judge one symbol where it is time to, and return the seconds after which to call again.

        Only one sink of a group `leads`, so that no symbol is judged twice; a round that it did not end begins again
        elsewhere, with what was judged longest ago.
        """
        begun = self._clock.monotonic()
        if not leads:
            self._waiting = None
        elif begun >= self._next_at:
            rest = self._work()
            ended = self._clock.monotonic()
            self._next_at = ended + max(rest, min((ended - begun) * self._rest_per_work, LONGEST_REST))
        return min(LONGEST_WAIT, max(0.0, self._next_at - self._clock.monotonic())) if leads else LONGEST_WAIT

    def _work(self) -> float:
        """Do the next piece of the round; return the seconds to rest at least."""
        try:
            return self._piece()
        except LiqheatError as error:
            log.warning("not judged for now", reason=str(error), retry_in=REST_AFTER_FAILURE)
        except Exception:
            log.exception("not judged for now", retry_in=REST_AFTER_FAILURE)
        self._waiting = None
        return REST_AFTER_FAILURE

    def _piece(self) -> float:
        if self._waiting is None:
            self._waiting = self._judge.begin(self._clock.now_ms())[::-1] or None
            return 0.0 if self._waiting else IDLE
        if self._waiting:
            self._judge_one(self._waiting.pop())
            return 0.0
        self._store(self._judge.together())
        self._waiting = None
        return IDLE

    def _judge_one(self, symbol: str) -> None:
        try:
            self._store(self._judge.judge(symbol))
        except LiqheatError:
            raise
        except Exception:
            # Its stored rows are of a kind that nobody reckoned with; the other symbols are judged all the same.
            log.exception("symbol not judged", symbol=symbol)

    def _store(self, records: Records) -> None:
        rows = evidence_rows(records)
        if rows.height:
            self._database.insert(EVIDENCE.name, [rows])
