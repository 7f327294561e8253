"""What a walk forward is worth: amounts and places of every method over the judged hours, with intervals.

Pure: `liqheat backtest` reads files and runs the methods, this judges, `backtest_report` draws.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.scoring.amounts import (
    Cases,
    block_length,
    drawn,
    intervals,
    measures,
    paired,
    ratio_by_move,
    resampled,
    select,
)
from liqheat.scoring.bars import Bars, Executed, Hours
from liqheat.scoring.places import (
    CELLS,
    HORIZONS,
    kernel,
    place_cases,
    place_density,
    place_scores,
    weighted,
)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Figures = dict[str, Any]

KERNEL = "distance kernel"
PLACE_FUNCTION = "expected_usd ** 0.2 * (1 - exp(-distance / 1%)) ** 0.5, per unit of log price"


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The hours that count, shape (h,), and how many times blocks of them are drawn again."""

    chosen: npt.NDArray[np.bool_]
    draws: int


def judge_amounts(said: dict[str, FloatArray], hours: Hours, judged: Judged, ours: str) -> Figures:
    """Return each method's measures, by month and class of move, and the intervals of ours less its own.

    Args:
        said: USD per hour and side by method, (h, 2).
        hours: what was executed.
        judged: which of them count.
        ours: the method whose lead is measured.
    """
    cases = {name: _cases(usd, hours, judged) for name, usd in said.items()}
    draws = resampled(cases[ours].block, judged.draws)
    months = np.tile(_months(hours.start[judged.chosen]), 2)
    again = {name: drawn(one, draws) for name, one in cases.items()}
    found: Figures = {}
    for name, one in cases.items():
        by_month = {str(month): measures(select(one, months == month)) for month in np.unique(months)}
        found[name] = {**measures(one), "ratio_by_move": ratio_by_move(one), "by_month": by_month}
        found[name]["interval"] = intervals(again[name])
        if name != ours:
            found[name]["ours_less_this"] = paired(again[ours], again[name])
    return found


def judge_places(
    maps: dict[str, npt.NDArray[np.float32]],
    bars: Bars,
    executed: Executed,
    first_bars: IntArray,
    judged: Judged,
    ours: str,
) -> Figures:
    """Return nats over uniform and AUC of each method at each horizon, and the interval of ours less the kernel.

    Args:
        maps: USD per cell at each judged hour, (hours, 2, CELLS).
        bars: the history.
        executed: its liquidations.
        first_bars: first bar of each judged hour.
        judged: how often blocks are drawn.
        ours: the method that is judged on `PLACE_FUNCTION`; the others on their density as it is.
    """
    found: Figures = {"function": PLACE_FUNCTION}
    for horizon in HORIZONS:
        cases = place_cases(bars, executed, first_bars, horizon)
        if not len(cases.hour):
            continue
        flat = np.broadcast_to(kernel(), (len(first_bars), 2, CELLS))
        scores = {}
        for name, cells in maps.items():
            density = (
                place_density(cells.astype(np.float64))
                if name == ours
                else flat
                if name == KERNEL
                else np.asarray(cells, np.float64)
            )
            scores[name] = place_scores(cases, density)
        draws = resampled(cases.block, judged.draws)
        rows: Figures = {}
        for name, (nats, areas, weights) in scores.items():
            rows[name] = {"nats": weighted(nats, weights), "auc": weighted(areas, weights)}
            if name != ours:
                differences = [
                    weighted(scores[ours][0][places], weights[places]) - weighted(nats[places], weights[places])
                    for places in draws
                ]
                low, high = np.percentile(differences, [5, 95]) if differences else (np.nan, np.nan)
                rows[name]["ours_less_this"] = {"nats": (float(low), float(high))}
        found[str(horizon)] = {"cases": len(cases.hour), "methods": rows}
    return found


def _cases(usd: FloatArray, hours: Hours, judged: Judged) -> Cases:
    """Return the cases of the judged hours: all longs, then all shorts."""
    chosen = judged.chosen
    block = hours.start[chosen] // block_length(hours.start[chosen])
    return Cases(
        usd[chosen].T.reshape(-1),
        hours.executed[chosen].T.reshape(-1),
        hours.move[chosen].T.reshape(-1),
        np.tile(block, 2),
    )


def _months(times: IntArray) -> npt.NDArray[np.str_]:
    return np.array([datetime.fromtimestamp(time / 1_000, UTC).strftime("%Y-%m") for time in times.tolist()])
