"""A backtest's work: which hours are judged, the walk over all bars, the figures, and what the pictures show."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from liqheat.cli.times import time_text
from liqheat.cli.walk_forward import OURS, InferredBars, Walk, walk
from liqheat.domain.windows import DAY_MS, HOUR_MS
from liqheat.platform.errors import ConfigurationError
from liqheat.scoring.backtest import Judged, judge_amounts, judge_places
from liqheat.scoring.backtest_report import Pictures
from liqheat.scoring.bars import Bars, Executed, Hours, hours_of
from processors.positions.inferred import MODEL_VERSION

WARM_UP_DAYS = 28
"""Days before the first judged hour where neither --from nor a short history says otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What the command prints, and what its page draws."""

    figures: dict[str, Any]
    pictures: Pictures


def judge(
    bars: Bars,
    executed: Executed,
    name: str,
    span: tuple[int | None, int | None],
    draws: int,
    advance: Callable[[int], None],
    *,
    is_sampled: bool,
    with_rivals: bool,
) -> Result:
    """Walk over `bars` and judge the hours of `span`.

    Args:
        bars: the history.
        executed: its liquidations.
        name: `venue:SYMBOL`.
        span: first and end of what is judged, ms; None for the defaults.
        draws: resampled weeks for the intervals.
        advance: called with the number of bars done.
        is_sampled: whether the liquidations are a sample.
        with_rivals: whether the methods in use run too.

    Raises:
        ConfigurationError: nothing is left to judge.
    """
    hours = hours_of(bars, executed)
    chosen = _chosen(bars, executed, hours, span)
    venue, _, symbol = name.partition(":")
    ours = InferredBars(venue, symbol, is_sampled=is_sampled)
    walked = walk(bars, executed, hours, chosen, ours, advance, with_rivals=with_rivals)
    judged = Judged(chosen, draws)
    figures: dict[str, Any] = {
        "market": name,
        "model_version": MODEL_VERSION,
        "bars": len(bars),
        "bar_minutes": bars.step_ms // 60_000,
        "from": time_text(int(hours.start[chosen][0])),
        "until": time_text(int(hours.start[chosen][-1]) + HOUR_MS),
        "judged_hours": int(chosen.sum()),
        "executed_usd": float(hours.executed[chosen].sum()),
        "learned": walked.facts,
        "streamed": judge_amounts(walked.streamed, hours, judged, OURS),
        "frozen": judge_amounts(walked.frozen, hours, judged, OURS),
        "place": judge_places(walked.maps, bars, executed, hours.first[chosen], judged, OURS),
    }
    return Result(figures, _pictures(name, bars, hours, chosen, walked))


def _chosen(bars: Bars, executed: Executed, hours: Hours, span: tuple[int | None, int | None]) -> npt.NDArray[np.bool_]:
    """Return which hours are judged: recorded, whole, and after the warm-up."""
    first, last = int(bars.start[0]), int(bars.start[-1]) + bars.step_ms
    warm = first + min(WARM_UP_DAYS * DAY_MS, (last - first) // 3)
    begin, until = span[0] if span[0] is not None else warm, span[1] if span[1] is not None else last
    whole = (hours.after - hours.first) * bars.step_ms == HOUR_MS
    inside = whole & (hours.start >= begin) & (hours.start + HOUR_MS <= until)
    chosen = inside & hours.is_known
    if not chosen.any() or hours.executed[chosen].sum() <= 0:
        raise ConfigurationError(
            f"No hour with liquidations is left to judge between {time_text(begin)} and {time_text(until)}: of "
            f"{inside.sum()} whole hours of bars then, the liquidations of {chosen.sum()} are known, "
            f"{hours.executed[chosen].sum():,.0f} USD; the bars reach from {time_text(first)} to {time_text(last)}, "
            f"{_reach(executed)}"
        )
    return np.asarray(chosen)


def _reach(executed: Executed) -> str:
    usd = executed.usd[executed.start >= executed.known_from]
    if not len(usd):
        return "no liquidations were recorded"
    start, end = int(executed.start[-len(usd)]), int(executed.end[-1])
    return f"the liquidations from {time_text(start)} to {time_text(end)}, {usd.sum():,.0f} USD in all"


def _pictures(name: str, bars: Bars, hours: Hours, chosen: npt.NDArray[np.bool_], walked: Walk) -> Pictures:
    return Pictures(
        name,
        hours.start[chosen],
        bars.open[hours.first[chosen]],
        hours.high[chosen],
        hours.low[chosen],
        hours.executed[chosen],
        walked.streamed[OURS][chosen],
        walked.maps[OURS],
        walked.at_risk,
    )
