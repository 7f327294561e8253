"""The alert `cascade`: executed liquidations of a side are far above the usual.

In a minute they are `cascade_factor` times the usual and at least `cascade_usd`; again after five minutes in a row
below half of that. The usual is an exponential mean over `cascade_baseline_minutes` in which no minute counts for more
than what would be a cascade, so that one cascade does not hide the next.
"""

from collections.abc import Iterator

import msgspec

from liqheat.domain.market import Side
from liqheat.domain.money import MICRO_USD_PER_USD, usd_text
from liqheat.domain.signals import Alert, AlertKind
from processors.signals.alerts import NEVER, SideCase, SideRule

CALM_SHARE = 0.5
CALM_MINUTES = 5


class CascadeWatch(msgspec.Struct):
    """One side's executed liquidations per minute: the usual (micro-USD), minutes seen, whether one is under way."""

    usual: float = 0.0
    minutes: int = 0
    running: bool = False
    calm_minutes: int = 0
    said: int = NEVER


def judge(case: SideCase, watches: dict[int, CascadeWatch]) -> Iterator[Alert]:
    """Yield the alerts of one minute, and move `watches`, by side, on."""
    minute, settings = case.minute, case.settings
    for side in Side:
        watch = watches.setdefault(int(side), CascadeWatch())
        amount = case.executed.get(side, 0)
        bar = max(settings.cascade_factor * watch.usual, settings.cascade_usd * MICRO_USD_PER_USD)
        if watch.running:
            watch.calm_minutes = watch.calm_minutes + 1 if amount < CALM_SHARE * bar else 0
            watch.running = watch.calm_minutes < CALM_MINUTES
        elif amount >= bar and watch.minutes >= settings.cascade_warmup_minutes:
            watch.running, watch.calm_minutes = True, 0
            if minute.may_speak(watch.said, settings):
                watch.said = minute.window
                text = _text(side, amount, settings.cascade_factor * amount / bar)
                yield minute.alert(AlertKind.CASCADE, side, amount, text)
        watch.usual += (min(amount, bar) - watch.usual) / min(watch.minutes + 1, settings.cascade_baseline_minutes)
        watch.minutes += 1


def _text(side: Side, amount: int, times: float) -> str:
    usual = f"{times:.0f} times the usual or more" if times < 1_000 else "more than 1,000 times the usual"
    return f"{usd_text(amount)} of {side.label}s liquidated in a minute, {usual}"


RULE = SideRule(judge, CascadeWatch)
