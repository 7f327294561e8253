"""The alert `fragile` on hand-made cascade rows: once when the trigger is near, again only when it was far."""

import math

import msgspec

from liqheat.domain.signals import Alert, AlertKind, Cascade
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.settings import Signals
from processors.signals.alerts import Minute, SideCase, Watch
from processors.signals.rules.fragile import judge

SETTINGS = Signals(fragile_percent=3.0, fragile_amplification=2.0, rearm_percent=1.0, cooldown_minutes=3)
AMOUNTS = dict.fromkeys((f"{name}_{n}_usd" for name in ("at_risk", "expected", "depth") for n in (1, 2, 5)), 0)
FRAGILE = Cascade(
    window_start=0,
    side=1,
    mark_price=100.0,
    move_percent=[1.0],
    rest_percent=[1.0],
    liquidated_usd=[0],
    beyond_percent=math.nan,
    trigger_percent=2.0,
    trigger_price=98.0,
    trigger_rest_percent=5.0,
    trigger_liquidated_usd=3_000_000_000_000,
    **AMOUNTS,
    absorption_1=0.0,
    absorption_2=0.0,
    absorption_5=0.0,
    book_reach_percent=5.0,
    book_coverage=0.9,
    refill=0.3,
    revision=1,
)


def minute(number: int) -> Minute:
    return Minute("VIRTUAL", number * MINUTE_MS, 100.0, 100.0, 100.0, 100e6, 1)


def said(*rows: Cascade | None) -> list[int]:
    watches: dict[int, Watch] = {}
    return [len(alerts(number + 1, row, watches)) for number, row in enumerate(rows)]


def alerts(number: int, row: Cascade | None, watches: dict[int, Watch] | None = None) -> list[Alert]:
    case = SideCase(minute(number), {}, [row] if row else [], SETTINGS)
    return list(judge(case, {} if watches is None else watches))


def changed(**changes: float) -> Cascade:
    return msgspec.structs.replace(FRAGILE, **changes)


def test_a_near_trigger_that_is_carried_far_is_said_once_with_its_numbers() -> None:
    (alert,) = alerts(7, FRAGILE)

    assert (alert.kind, alert.edge_price, alert.distance) == (AlertKind.FRAGILE, 98.0, 2.0)
    assert alert.alert_id == "fragile-VIRTUAL-long-7"
    assert alert.message == (
        "VIRTUAL fragile: a move of 2.0% to 98 would be carried 2.5 times as far by liquidations of longs worth $3.00M"
    )
    assert alert.percent_of_adv == 3.0
    assert said(FRAGILE, FRAGILE, FRAGILE) == [1, 0, 0]


def test_it_comes_again_only_after_the_trigger_was_far_and_the_cool_down_passed() -> None:
    near, far, away = changed(trigger_percent=3.5), changed(trigger_percent=4.5), changed(trigger_percent=math.nan)

    assert said(FRAGILE, near, FRAGILE, near, FRAGILE) == [1, 0, 0, 0, 0]
    assert said(FRAGILE, far, FRAGILE) == [1, 0, 0]
    assert said(FRAGILE, away, away, FRAGILE) == [1, 0, 0, 1]


def test_a_weak_chain_and_books_of_too_small_a_part_of_the_market_are_not_fragile() -> None:
    assert said(changed(trigger_rest_percent=3.9)) == [0]
    assert said(changed(book_coverage=0.4)) == [0]
    assert said(changed(book_coverage=math.nan)) == [0]


def test_a_chain_that_runs_past_the_known_books_says_so() -> None:
    (alert,) = alerts(7, changed(trigger_rest_percent=math.nan))

    assert "would be carried further than the known books reach" in alert.message
