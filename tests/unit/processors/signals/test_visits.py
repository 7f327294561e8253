"""Visits: when price is in a cluster, and when it has swept it; on both sides."""

import pytest

from processors.signals.visits import Visit, fed, is_swept, visit_after

LONG, SHORT = 1, -1
# A long cluster of 0.85-0.87 is met at 0.87, a short one of 1.05-1.07 at 1.05; each holds 100.
EDGES = {LONG: (0.85, 0.87), SHORT: (1.05, 1.07)}
EDGE = {LONG: 0.87, SHORT: 1.05}


def after(visit: Visit | None, side: int, low: float, high: float) -> Visit | None:
    return visit_after(visit, side, EDGES[side], 100, (low, high), rearm=1.0)


@pytest.mark.parametrize(
    ("side", "outside", "at_the_edge"), [(LONG, (0.8701, 0.90), (0.87, 0.90)), (SHORT, (1.0, 1.0499), (1.0, 1.05))]
)
def test_price_comes_when_the_range_reaches_the_outer_edge(
    side: int, outside: tuple[float, float], at_the_edge: tuple[float, float]
) -> None:
    assert after(None, side, *outside) is None
    visit = after(None, side, *at_the_edge)
    assert visit == Visit(EDGE[side], *EDGES[side], held=100)


@pytest.mark.parametrize(
    ("side", "still_near", "away"), [(LONG, (0.8786, 0.9), (0.8788, 0.9)), (SHORT, (1.0, 1.0396), (1.0, 1.0394))]
)
def test_price_leaves_when_its_whole_range_is_a_percent_outside(
    side: int, still_near: tuple[float, float], away: tuple[float, float]
) -> None:
    # 0.87 x 1.01 = 0.8787; 1.05 x 0.99 = 1.0395.
    visit = Visit(EDGE[side], *EDGES[side], held=100)
    assert after(visit, side, *still_near) == visit
    assert after(visit, side, *away) is None


def test_a_visit_counts_what_price_took_since_the_cluster_held_most() -> None:
    visit: Visit | None = Visit(0.87, 0.85, 0.87, held=100)
    for swept, left, high in ((10, 90, 0.868), (20, 70, 0.86)):
        visit = fed(visit, swept, left, (0.85, high))
    assert visit == Visit(0.87, 0.85, 0.87, held=100, taken=30)
    # It filled up again, deeper, so what was taken before is no loss any more; price leaves by the same edge.
    assert fed(visit, 5, 110, (0.84, 0.86)) == Visit(0.87, 0.84, 0.86, held=110, taken=0)
    assert fed(None, 10, 90, (0.85, 0.87)) is None


def test_what_was_opened_and_taken_since_is_no_part_of_what_was_held() -> None:
    # 130 were taken, of which 50 were opened meanwhile: 20 of the 100 are left.
    assert Visit(0.87, 0.85, 0.87, held=100, taken=130).swept(20) == 80


@pytest.mark.parametrize(
    ("taken", "left", "swept"),
    [
        (50, 50, True),
        (49, 51, False),
        (100, 0, True),
        # 80 are lost and price took 40 of them, or 39.
        (40, 20, True),
        (39, 20, False),
        (0, 100, False),
    ],
)
def test_a_cluster_is_swept_when_half_is_lost_and_half_of_the_loss_was_taken(
    taken: int, left: int, swept: bool
) -> None:
    assert is_swept(Visit(0.87, 0.85, 0.87, held=100, taken=taken), left, swept_share=0.5) is swept


def test_nothing_is_swept_where_price_never_was() -> None:
    assert not is_swept(None, 0, swept_share=0.5)
