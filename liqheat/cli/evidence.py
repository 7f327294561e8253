"""The judge of the sink: reads stored history, studies it, and makes the rows of the view `evidence`.

Composition only, for `liqheat sink` and the local stack: ClickHouse into histories, `liqheat.scoring.study`, rows.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from liqheat.domain.instruments import ALL_SYMBOLS
from liqheat.domain.windows import DAY_MS, HOUR_MS, window_start
from liqheat.platform.clickhouse import translated_errors
from liqheat.scoring.study import Pool
from liqheat.scoring.study_rows import rows_of_study
from liqheat.viewer.study_history import read_history

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from liqheat.platform.settings import ClickHouse, Settings
    from liqheat.platform.settings import Study as StudySettings
    from liqheat.viewer.queries import Parameters
    from sinks.studies import Studies

_GENTLE = {"max_threads": 1, "optimize_move_to_prewhere_if_final": 1}
"""One thread, so that a query's share of the processors is its share of the time."""

_JUDGED = "SELECT symbol, toUnixTimestamp(max(end_time)) FROM evidence_raw GROUP BY symbol"
_STORED = """
SELECT DISTINCT symbol FROM market_hours_raw
WHERE hour >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND hour < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
"""
# While history is read in, the hour is not there yet for most symbols; one that is no longer listed holds up nothing.
_READ = """
SELECT uniqExactIf(symbol, hour >= fromUnixTimestamp64Milli({end:Int64}, 'UTC')) AS further, uniqExact(symbol) AS of
FROM market_hours_raw
WHERE hour >= fromUnixTimestamp64Milli({end:Int64}, 'UTC') - INTERVAL 1 DAY
  AND hour < fromUnixTimestamp64Milli({end:Int64}, 'UTC') + INTERVAL 2 HOUR
"""


class StoredEvidence:
    """Judges the whole hours of the last days; see `sinks.studies.Judge`."""

    def __init__(self, client: "Client", clickhouse: "ClickHouse", study: "StudySettings") -> None:
        """Take a client that no other thread waits for."""
        self._client = GentleClient(client)
        self._clickhouse = clickhouse
        self._study = study
        self._span = (0, 0)
        self._first = 0
        self._pool = Pool(study.percent, study.near)

    def begin(self, now_ms: int) -> list[str]:
        """Return the stored symbols, the one judged longest ago first.

        None where the last whole hour is judged already, or is not read yet for half of the symbols of its day.

        Raises:
            LiqheatError: the database does not answer, or refuses.
        """
        end = window_start(now_ms, HOUR_MS)
        self._span = start, self._first = end - self._study.days * DAY_MS, end
        self._pool = Pool(self._study.percent, self._study.near)
        with translated_errors(self._clickhouse):
            judged: dict[str, int] = dict(self._client.query(_JUDGED).result_rows)
            if judged.get(ALL_SYMBOLS, 0) * 1_000 >= end:
                return []
            ((further, of),) = self._client.query(_READ, parameters={"end": end}).result_rows
            if 2 * further < max(of, 1):
                return []
            stored = self._client.query(_STORED, parameters={"start": start, "end": end}).result_rows
        return sorted((str(symbol) for (symbol,) in stored), key=lambda symbol: (judged.get(symbol, 0), symbol))

    def judge(self, symbol: str) -> Iterator[dict[str, Any]]:
        """Return the symbol's rows; none where nothing is known of its prices or clusters.

        Raises:
            LiqheatError: as `begin`.
        """
        with translated_errors(self._clickhouse):
            history = read_history(self._client, symbol, *self._span, self._study.percent)
        if history is None or not history.judged.any():
            return iter(())
        self._first = min(self._first, history.start)
        return rows_of_study(self._pool.add(history).result(), symbol, history.start, self._span[1])

    def together(self) -> Iterator[dict[str, Any]]:
        """Return the rows of all symbols that were judged since `begin`."""
        return rows_of_study(self._pool.result(), ALL_SYMBOLS, self._first, self._span[1])


class GentleClient:
    """A client whose queries take one thread of ClickHouse."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def query(self, query: str, parameters: "Parameters | None" = None) -> Any:
        """Return what the client returns."""
        return self._client.query(query, parameters=parameters, settings=_GENTLE)

    def query_np(self, query: str, parameters: "Parameters | None" = None) -> Any:
        """Return what the client returns."""
        return self._client.query_np(query, parameters=parameters, settings=_GENTLE)

    def raw_query(self, query: str, parameters: "Parameters | None" = None, *, fmt: str | None = None) -> bytes:
        """Return what the client returns."""
        return self._client.raw_query(query, parameters=parameters, settings=_GENTLE, fmt=fmt)


def studies(settings: "Settings") -> "Studies | None":
    """Return what judges symbols beside a sink, with a client of its own; None where settings leave no time for it.

    Raises:
        TransientError: the database does not answer.
        ConfigurationError: it refuses the user.
    """
    from liqheat.platform.clickhouse import open_clickhouse
    from liqheat.platform.clock import SystemClock
    from sinks.clickhouse.writer import ClickHouseWriter
    from sinks.studies import Studies

    if not settings.study.time_share:
        return None
    client = open_clickhouse(settings.clickhouse)
    judge = StoredEvidence(client, settings.clickhouse, settings.study)
    return Studies(judge, ClickHouseWriter(client, settings.clickhouse), SystemClock(), settings.study.time_share)
