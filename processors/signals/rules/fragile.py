"""The alert `fragile`: a small move would set off a chain of liquidations that the order books do not hold.

Judged from a minute's cascade rows. It comes once when the trigger comes within
`fragile_percent` of the mark at an amplification of at least `fragile_amplification`, and again only after the
trigger was `rearm_percent` further away than that, and after `cooldown_minutes`.
"""

import math
from collections.abc import Iterator

from liqheat.domain.market import Side
from liqheat.domain.money import usd_text
from liqheat.domain.signals import Alert, AlertKind, Cascade
from liqheat.platform.settings import Signals
from processors.signals.alerts import Minute, SideCase, SideRule, Watch

LEAST_COVERAGE = 0.5
"""Share of open interest whose books must be known for a market to be called fragile: a book not read is not thin."""


def judge(case: SideCase, watches: dict[int, Watch]) -> Iterator[Alert]:
    """Yield the alerts of one minute, and move `watches`, by side, on."""
    minute, settings = case.minute, case.settings
    for row in case.moves:
        watch = watches.setdefault(row.side, Watch())
        if _is_far(row, settings):
            watch.is_on = False
        elif not watch.is_on and _is_fragile(row, settings):
            watch.is_on = True
            if minute.may_speak(watch.said, settings):
                watch.said = minute.window
                yield _alert(minute, row)


def amplification(row: Cascade) -> float:
    """Return rest over move at the trigger; infinite where the known book does not hold the chain."""
    if math.isnan(row.trigger_rest_percent) and not math.isnan(row.trigger_percent):
        return math.inf
    return row.trigger_rest_percent / row.trigger_percent


def _is_fragile(row: Cascade, settings: Signals) -> bool:
    return (
        row.trigger_percent <= settings.fragile_percent
        and row.book_coverage >= LEAST_COVERAGE
        and amplification(row) >= settings.fragile_amplification
    )


def _is_far(row: Cascade, settings: Signals) -> bool:
    return math.isnan(row.trigger_percent) or row.trigger_percent > settings.fragile_percent + settings.rearm_percent


def _alert(minute: Minute, row: Cascade) -> Alert:
    side = Side(row.side)
    liquidated = row.trigger_liquidated_usd
    times = amplification(row)
    how = "further than the known books reach" if math.isinf(times) else f"{times:.1f} times as far"
    text = (
        f"a move of {row.trigger_percent:.1f}% to {row.trigger_price:.8g} would be carried {how} by "
        f"liquidations of {side.label}s worth {usd_text(liquidated)}"
    )
    return minute.alert(AlertKind.FRAGILE, side, liquidated, text, edge=row.trigger_price, distance=row.trigger_percent)


RULE = SideRule(judge, Watch)
