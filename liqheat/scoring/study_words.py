"""A study in plain words, for `liqheat study` and for whatever shows one."""

import math

from liqheat.domain.money import MICRO_USD_PER_USD, usd_text
from liqheat.scoring.study import FEWEST_BLOCKS, FEWEST_CASES, JUDGED_HORIZON, LEVEL, Estimate, StageResult, Study
from liqheat.scoring.study_matching import HORIZONS
from liqheat.scoring.study_moments import LOOK_BACK, Stage

TITLES = {
    Stage.NEARED: "came near",
    Stage.ENTERED: "entered",
    Stage.SWEPT: "swept",
}


def verdict(study: Study) -> str:
    """Return `attract`, `repel`, `nothing` or `too few cases`: whether price, once near, goes on to clusters."""
    neared = study.stages[Stage.NEARED]
    if not neared.is_enough:
        return "too few cases"
    return {1: "attract", -1: "repel", 0: "nothing"}[neared.estimates["towards"][JUDGED_HORIZON].sign]


def in_words(study: Study) -> list[str]:
    """Return the answer as sentences: attraction first, then volatility and liquidations after each stage."""
    return [sentence for stage in Stage for sentence in sentences(study, stage)]


def sentences(study: Study, stage: Stage) -> list[str]:
    """Return what is known of one stage; of the first one, also whether clusters attract."""
    result = study.stages[stage]
    lines = [_opening(study, result)] if stage is Stage.NEARED else []
    if result.is_enough:
        counted = f"({result.cases} cases)"
        lines.append(f"In the hour after price {_met(stage)}: {_volatility(result)}; {_executed(result)} {counted}.")
    elif stage is not Stage.NEARED:
        lines.append(f"After price {_met(stage)}: too few cases ({_counted(result)}).")
    return lines


def _opening(study: Study, neared: StageResult) -> str:
    found = verdict(study)
    if found == "too few cases":
        return f"Too few cases to say whether clusters attract price: {_counted(neared)}. {_NEEDS}"
    return f"{_OPENINGS[found]} {_near(study, neared.estimates['towards'][JUDGED_HORIZON], neared)}"


_NEEDS = f"A case needs {LOOK_BACK} minutes of history before it, and {HORIZONS[-1] // 60} hours after it."

_OPENINGS = {
    "attract": "Clusters attract price.",
    "repel": "Clusters repel price.",
    "nothing": "Clusters do nothing to the direction of price that can be seen here.",
}


def _near(study: Study, estimate: Estimate, neared: StageResult) -> str:
    if estimate.difference >= 0:
        direction, sign = "further towards it than", 1
    else:
        direction, sign = "less far towards it than", -1
    bounds = sorted((sign * estimate.low, sign * estimate.high))
    return (
        f"In the hour after it came within {study.near:g}% of one, it went {abs(estimate.difference):.2f}% "
        f"{direction} after like moments without a cluster ({LEVEL}% interval {bounds[0]:.2f}% to {bounds[1]:.2f}%, "
        f"{neared.cases} cases)."
    )


def _met(stage: Stage) -> str:
    return {
        Stage.NEARED: "came near a cluster",
        Stage.ENTERED: "entered one",
        Stage.SWEPT: "swept one",
    }[stage]


def _volatility(result: StageResult) -> str:
    one = result.estimates["volatility"][JUDGED_HORIZON]
    change = {1: "more volatile than", -1: "calmer than", 0: "about as volatile as"}[one.sign]
    return f"{change} like moments ({one.case:.2f}% against {one.control:.2f}%)"


def _executed(result: StageResult) -> str:
    one = result.estimates["executed"][JUDGED_HORIZON]
    change = {1: "more liquidations", -1: "fewer liquidations", 0: "no clear difference in liquidations"}[one.sign]
    return f"{change} ({usd(one.case)} against {usd(one.control)} on average)"


def usd(value: float) -> str:
    """Return an amount for people, with its sign; `-` where it is unknown."""
    if not math.isfinite(value):
        return "-"
    if abs(value) < 50:
        return "$0"
    return ("-" if value < 0 else "") + usd_text(round(abs(value) * MICRO_USD_PER_USD))


def _counted(result: StageResult) -> str:
    text = f"{result.cases} of the {FEWEST_CASES} needed"
    if result.cases >= FEWEST_CASES:
        text = f"{result.cases}, but in {result.blocks} of the {FEWEST_BLOCKS} stretches of time needed"
    return text + (f", {result.unmatched} more without a like moment" if result.unmatched else "")
