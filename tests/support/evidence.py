"""Studies made by hand, and their rows in the table: for tests of what shows them."""

from clickhouse_connect.driver.client import Client

from liqheat.domain.windows import DAY_MS
from liqheat.platform.settings import ClickHouse
from liqheat.scoring.study import Estimate, StageResult, Study
from liqheat.scoring.study_matching import HORIZONS, MEASURES
from liqheat.scoring.study_moments import Stage
from liqheat.scoring.study_rows import rows_of_study
from sinks.clickhouse.rows import evidence_rows
from sinks.clickhouse.tables import EVIDENCE
from sinks.clickhouse.writer import ClickHouseWriter

BY_MEASURE = {
    "towards": Estimate(0.3, 0.05, 0.25, 0.11, 0.39),
    "volatility": Estimate(0.9, 0.95, -0.05, -0.2, 0.1),
    "executed": Estimate(1.5e6, 2.5e5, 1.25e6, 9e5, 1.6e6),
}


def made_up(cases: int = 42, blocks: int = 12, symbols: int = 1) -> Study:
    """Return a study in which clusters attract, are as volatile as else, and bring liquidations: at every horizon."""
    estimates = {measure: dict.fromkeys(HORIZONS, BY_MEASURE[measure]) for measure in MEASURES} if cases else {}
    stages = {stage: StageResult(stage, cases, 3, blocks, estimates) for stage in Stage}
    return Study(5.0, 1.0, symbols, 43_200 * symbols, 24, stages)


def insert_evidence(client: Client, study: Study, symbol: str, end: int, days: int = 30) -> None:
    """Write the rows of `study` as the sink does."""
    rows = evidence_rows(rows_of_study(study, symbol, end - days * DAY_MS, end))
    ClickHouseWriter(client, ClickHouse(database=str(client.database))).insert(EVIDENCE.name, [rows])
