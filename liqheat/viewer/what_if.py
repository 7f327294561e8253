"""What if price gets to a level: read off the newest cascade curves, for `liqheat what-if`; the page does the same.

Pure: from rows of the view `cascades` and a target to one answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from liqheat.domain.market import Side


@dataclass(frozen=True, slots=True)
class Move:
    """What a move to `target` does: USD prices and amounts, distances in % of the mark.

    `is_beyond` says that the known order books do not hold the chain: `rest_percent` is then a lower bound.
    """

    side: Side
    mark: float
    target: float
    percent: float
    rest_percent: float
    rest_price: float
    liquidated_usd: float
    is_beyond: bool
    trigger_price: float | None
    book_coverage: float | None

    @property
    def amplification(self) -> float:
        """Rest over move."""
        return self.rest_percent / self.percent


def what_if(cascades: Sequence[dict[str, Any]], target: float) -> Move | None:
    """Return what a move to `target` (USD) does; None where no curve of that direction is known.

    Args:
        cascades: rows of the view `cascades`, one per direction, with their lists.
        target: price that is reached; not the mark itself.
    """
    for curve in cascades:
        side = Side[curve["side"].upper()]
        mark = float(curve["mark_price"])
        percent = float(side) * (1 - target / mark) * 100
        if percent <= 0:
            continue
        moves = curve["move_percent"]
        rest = max(percent, _along(moves, curve["rest_percent"], percent))
        beyond = curve["beyond_percent"]
        return Move(
            side=side,
            mark=mark,
            target=target,
            percent=percent,
            rest_percent=rest,
            rest_price=mark * (1 - float(side) * rest / 100),
            liquidated_usd=_along(moves, curve["liquidated_usd"], percent),
            is_beyond=percent > moves[-1] or (beyond is not None and percent >= beyond),
            trigger_price=curve["trigger_price"],
            book_coverage=curve["book_coverage"],
        )
    return None


def target_of(mark: float, to: float | None, move: str | None) -> float:
    """Return the price that is meant by `--to 0.95` or `--move -5%`.

    Raises:
        ValueError: both or neither are given, one is no number, or no price is left.
    """
    if (to is None) == (move is None):
        raise ValueError("Give either --to with a price or --move with a percentage, such as --move -5%")
    if to is not None:
        target = to
    else:
        try:
            target = mark * (1 + float(str(move).strip().removesuffix("%")) / 100)
        except ValueError as error:
            raise ValueError(f"Expected --move as a percentage such as -5%, was {move!r}") from error
    if not (math.isfinite(target) and target > 0) or target == mark:
        raise ValueError(f"Expected a price above 0 other than the mark price {mark:g}, was {target:g}")
    return target


def _along(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """Return the value at `x` of straight lines through the points and, before the first, from the origin."""
    points = [(0.0, 0.0), *zip(xs, ys, strict=True)]
    for (x0, y0), (x1, y1) in pairwise(points):
        if x <= x1:
            return float(y0 + (x - x0) / (x1 - x0) * (y1 - y0))
    return float(ys[-1])
