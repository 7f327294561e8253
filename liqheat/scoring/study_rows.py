"""A study as rows of the table `evidence_raw`, so that pages and dashboards need not work it out again.

Between `liqheat.scoring.study` and the sink, which stores them. A row is a function of the study and its span alone.
"""

from collections.abc import Iterator
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

from liqheat.scoring.study import Study
from liqheat.scoring.study_matching import HORIZONS, MEASURES
from liqheat.scoring.study_words import sentences, verdict

_UNKNOWN = (float("nan"),) * 5
_FIGURES = ("case_mean", "control_mean", "difference", "difference_low", "difference_high")


def rows_of_study(study: Study, symbol: str, start: int, end: int) -> Iterator[dict[str, Any]]:
    """Yield a row per stage, measure and horizon, NaN where a figure is unknown; history is of `start` to `end`, ms."""
    about = {
        "symbol": symbol,
        "block_hours": study.block_hours,
        "verdict": verdict(study),
        "percent_of_adv": study.percent,
        "near_percent": study.near,
        "symbols": study.symbols,
        "minutes": study.minutes,
        "start_time": datetime.fromtimestamp(start / 1_000, UTC),
        "end_time": datetime.fromtimestamp(end / 1_000, UTC),
    }
    for stage, result in study.stages.items():
        of_stage = {
            "stage": stage.value,
            "cases": result.cases,
            "unmatched": result.unmatched,
            "blocks": result.blocks,
            "is_enough": result.is_enough,
            "words": " ".join(sentences(study, stage)),
        }
        for measure in MEASURES:
            for horizon in HORIZONS:
                estimate = result.estimates.get(measure, {}).get(horizon)
                figures = _UNKNOWN if estimate is None else astuple(estimate)
                outcome = {"measure": measure, "horizon_minutes": horizon} | dict(zip(_FIGURES, figures, strict=True))
                yield about | of_stage | outcome
