"""What embedded ClickHouse (chDB) leaves undone when its disk refuses a write.

A server raises an error where a write fails. chDB 4.4 goes on: on a full disk it answers an insert well whose files are
empty or short, and makes such a part of a merge, whose sources it then removes. Nothing shows it but a counter, until a
query meets the part, or the engine's next start sets it aside with all the rows that were merged into it.

So the engine takes no insert on the last 64 MB of a disk and keeps the sources of a merge for eight minutes
(`embedded_clickhouse.xml`), and each writer watches the counter (`FailedWrites`).
"""

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from liqheat.platform.errors import TransientError

log = structlog.get_logger()

ENGINE_OPTIONS = {"config-file": str(Path(__file__).with_suffix(".xml"))}
"""What every opening of the engine in a process has to name."""
ROOM = 64 << 20
"""Bytes that are free on a disk before tables are changed, as for inserts."""

_FAILED = "SELECT sum(value) FROM system.events WHERE event = 'WriteBufferFromFileDescriptorWriteFailed'"
_TABLES = """
SELECT database, name FROM system.tables WHERE engine LIKE '%MergeTree'
UNION ALL
SELECT database, table FROM system.detached_tables WHERE NOT is_permanently
"""
_SET_ASIDE = "SELECT count() FROM system.detached_parts WHERE startsWith(name, 'broken')"
# Tables are away for a moment while they are read again, which no other insert of the process must meet.
_writing = threading.Lock()


class FailedWrites:
    """Notices the engine's failed writes for one of those who write, and puts right what they left.

    All tables are then read from disk again. The engine compares each part with the sizes that were to be written, sets
    the broken ones aside (`detached/broken-on-start_...`), and takes back the sources of those that were merged. What
    was being inserted is to be inserted again. Queries meanwhile do not find a table for some milliseconds.
    """

    def __init__(self, ask: Callable[[str], Sequence[Sequence[Any]]]) -> None:
        """Take what runs a statement and returns its rows."""
        self._ask = ask
        self._seen = 0

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Write inside, one at a time in the process.

        Raises:
            TransientError: a write failed since the last look, of this statement or of a merge: write the same rows
                again. It takes the place of what the statement itself raised.
        """
        with _writing:
            try:
                yield
            finally:
                self._look()

    def _look(self) -> None:
        failed = int(self._ask(_FAILED)[0][0])
        if failed == self._seen:
            return
        for database, table in self._ask(_TABLES):
            self._ask(f"DETACH TABLE IF EXISTS `{database}`.`{table}` SYNC")
            self._ask(f"ATTACH TABLE IF NOT EXISTS `{database}`.`{table}`")
        # Noted last: where reading them failed, it is done again.
        self._seen = failed
        log.warning("tables read from disk again", writes_failed=failed, parts_set_aside=self._ask(_SET_ASIDE)[0][0])
        raise TransientError("The disk of the embedded ClickHouse refused a write: it is full, or broken")


def require_room(directory: Path) -> None:
    """Do nothing if the tables in `directory` can be changed.

    Raises:
        TransientError: so little is free on its disk that a change might be half written.
    """
    free = shutil.disk_usage(directory).free
    if free < ROOM:
        raise TransientError(
            f"Only {free / 1e6:.0f} MB are free on the disk of {directory}, where embedded ClickHouse keeps its data; "
            f"its tables are changed from {ROOM / 1e6:.0f} MB on"
        )
