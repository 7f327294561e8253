"""From a symbol's minute to its cascade rows: the map and the venues' order books as curves, solved and written.

Called by `processors.signals.engine` once per judged minute; `processors.signals.cascades` solves the curves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from liqheat.domain.market import Side
from liqheat.domain.money import MAXIMUM_ESTIMATE_USD, MICRO_USD_PER_USD, estimate_micro_usd
from liqheat.domain.price_grid import FloatArray, IntArray
from liqheat.domain.signals import Cascade
from liqheat.domain.units import known
from processors.signals.book import SideBook
from processors.signals.cascades import GRID_PERCENT, Chain, chains, depth_curve, forced_curve

BANDS_PERCENT: FloatArray = np.array([0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0])
"""Distances from mid at which venues' books are read, in the order of the columns of the kind `depth`."""

MOVES_PERCENT: FloatArray = np.array(
    [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0, 15.0]
)
"""Moves whose rest is published."""

LEAST_REACH_PERCENT = 0.001
"""A book that was read less far is not known: its density would be that of its best price."""

_WITHIN = (1.0, 2.0, 5.0)
_PUBLISHED = np.round(MOVES_PERCENT / GRID_PERCENT[0]).astype(np.int64) - 1


@dataclass(frozen=True, slots=True)
class VenueDepth:
    """One venue's book as last read: USD within each of `BANDS_PERCENT` of mid, and how far it reaches in %.

    `open_interest_usd` is the venue's, NaN where it is not known; `bids` and `asks` have shape (7,).
    """

    bids: FloatArray
    asks: FloatArray
    bid_reach: float
    ask_reach: float
    open_interest_usd: float


def cascades(
    window: int,
    mark: float,
    sides: Sequence[SideBook],
    depths: Sequence[VenueDepth],
    open_interest_usd: float,
    refill: float,
    revision: int,
) -> list[Cascade]:
    """Return one row per side of the map; nothing where no venue's book is known.

    Args:
        window: start of the minute, ms.
        mark: the symbol's mark price, USD.
        sides: the map at the end of the minute, over all venues.
        depths: the books that are fresh.
        open_interest_usd: of all live venues, to say how much of the market the books are of.
        refill: share of absorbed depth that is offered again (setting `signals.book_refill`).
        revision: of the minute.
    """
    depths = [each for each in depths if min(each.bid_reach, each.ask_reach) >= LEAST_REACH_PERCENT]
    if not depths or not mark > 0:
        return []
    coverage = _coverage(depths, open_interest_usd)
    depth_curves = np.stack([_depth_of(depths, side.side) for side in sides])
    distances = [_distances(side, mark) for side in sides]
    expected = np.stack([forced_curve(each, _usd(side.expected)) for each, side in zip(distances, sides, strict=True)])
    at_risk = np.stack([forced_curve(each, _usd(side.at_risk)) for each, side in zip(distances, sides, strict=True)])
    chain = chains(depth_curves, expected, refill)
    triggers = chain.trigger()
    rows = []
    for place, side in enumerate(sides):
        reach = min(each.bid_reach if side.side == Side.LONG else each.ask_reach for each in depths)
        trigger = float(GRID_PERCENT[triggers[place]]) if triggers[place] >= 0 else math.nan
        rows.append(
            Cascade(
                window_start=window,
                side=int(side.side),
                mark_price=mark,
                move_percent=MOVES_PERCENT.tolist(),
                rest_percent=np.round(chain.rest_percent[place, _PUBLISHED], 3).tolist(),
                liquidated_usd=_micro(chain.liquidated_usd[place, _PUBLISHED]),
                beyond_percent=_first_beyond(chain, place),
                trigger_percent=trigger,
                trigger_price=mark * (1 - int(side.side) * trigger / 100),
                trigger_rest_percent=_rest_of(chain, place, int(triggers[place])),
                trigger_liquidated_usd=_liquidated_by(chain, place, int(triggers[place])),
                **_within("at_risk", at_risk[place]),
                **_within("expected", expected[place]),
                **_within("depth", depth_curves[place]),
                absorption_1=_absorption(at_risk[place], depth_curves[place], 1.0),
                absorption_2=_absorption(at_risk[place], depth_curves[place], 2.0),
                absorption_5=_absorption(at_risk[place], depth_curves[place], 5.0),
                book_reach_percent=reach,
                book_coverage=coverage,
                refill=refill,
                revision=revision,
            )
        )
    return rows


def _coverage(depths: Sequence[VenueDepth], open_interest_usd: float) -> float:
    known = sum(each.open_interest_usd for each in depths if each.open_interest_usd > 0)
    return min(known / open_interest_usd, 1.0) if open_interest_usd > 0 else math.nan


def _depth_of(depths: Sequence[VenueDepth], side: Side) -> FloatArray:
    """Return what rests in the way of a move that liquidates `side`, over all books, by distance, shape (G,).

    A fall eats bids, a rise asks.
    """
    falls = side == Side.LONG
    amounts = np.minimum([each.bids if falls else each.asks for each in depths], MAXIMUM_ESTIMATE_USD)
    reach = np.array([each.bid_reach if falls else each.ask_reach for each in depths])
    # Amounts within rising distances cannot fall; a book read while it changed may say so by a little.
    curves = depth_curve(BANDS_PERCENT, np.maximum.accumulate(np.nan_to_num(amounts), axis=1), reach)
    return np.asarray(np.maximum.accumulate(curves.sum(axis=0)), dtype=np.float64)


def _distances(side: SideBook, mark: float) -> FloatArray:
    """Return how far each bucket's middle is from the mark in the direction of the side, % of the mark, at least 0."""
    prices = (side.edges[:-1] + side.edges[1:]) / 2
    return np.maximum(int(side.side) * (1 - prices / mark) * 100, 0.0)


def _usd(micro_usd: IntArray) -> FloatArray:
    return np.asarray(micro_usd, dtype=np.float64) / MICRO_USD_PER_USD


def _micro(usd: FloatArray) -> list[int]:
    return [estimate_micro_usd(value) for value in usd.tolist()]


def _at(curve: FloatArray, percent: float) -> float:
    return float(curve[round(percent / GRID_PERCENT[0]) - 1])


def _within(name: str, curve: FloatArray) -> dict[str, int]:
    return {f"{name}_{within:.0f}_usd": estimate_micro_usd(_at(curve, within)) for within in _WITHIN}


def _absorption(at_risk: FloatArray, depth: FloatArray, within: float) -> float:
    resting = _at(depth, within)
    return known(_at(at_risk, within) / resting) if resting > 0 else math.nan


def _rest_of(chain: Chain, place: int, trigger: int) -> float:
    if trigger < 0 or chain.is_beyond[place, trigger]:
        return math.nan
    return float(chain.rest_percent[place, trigger])


def _liquidated_by(chain: Chain, place: int, trigger: int) -> int:
    return estimate_micro_usd(float(chain.liquidated_usd[place, trigger])) if trigger >= 0 else 0


def _first_beyond(chain: Chain, place: int) -> float:
    beyond = chain.is_beyond[place] & (MOVES_PERCENT[-1] >= GRID_PERCENT)
    return float(GRID_PERCENT[beyond.argmax()]) if beyond.any() else math.nan
