"""Reading ahead goes on after whatever went wrong once."""

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from liqheat.platform.clock import ManualClock
from liqheat.platform.errors import TransientError
from liqheat.viewer import read_ahead
from liqheat.viewer.edge import Edges
from liqheat.viewer.kept import Kept
from liqheat.viewer.queries import Client
from liqheat.viewer.read_ahead import ReadAhead
from tests.support.waiting import until


class Failing(Edges):
    """Edges of symbols that somebody looks at, which cannot be read the first time."""

    def __init__(self, error: Exception) -> None:
        super().__init__(Kept(1_000), 0)
        self.error, self.calls = error, 0

    @property
    def is_watched(self) -> bool:
        return True

    def refresh(self, client: Client, now: int) -> int:
        self.calls += 1
        if self.calls == 1:
            raise self.error
        return 0


@pytest.mark.parametrize("error", [DatabaseError("no"), TransientError("no"), RuntimeError("dictionary changed size")])
async def test_what_fails_once_is_tried_again(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(read_ahead, "PAUSE_SECONDS", 0.01)
    edges = Failing(error)
    ahead = ReadAhead(edges, lambda: None, ManualClock())  # type: ignore[arg-type, return-value]
    ahead.start()
    try:
        await until(lambda: edges.calls > 1)
    finally:
        await ahead.stop()
