"""A visit: price inside a cluster, from the minute it reached the outer edge until it left again.

Both are judged against the cluster *as it stood at the end of the minute before*, for by the end of a minute
what price crossed is already taken out of the map: the edge has moved inwards and its notional is gone.

- Price enters when the mark's range of the minute reaches the outer edge; it leaves when the whole range stays
  `rearm_percent` outside the edge that it entered by, however far that edge was swept since.
- The cluster is swept when it has lost at least `swept_share` of what it held, and price took at least half of
  that loss; the rest may have been closed by its holders. It does not matter over how many minutes.
"""

import msgspec

from liqheat.domain.market import Side

PRICE_SHARE_OF_LOSS = 0.5


class Visit(msgspec.Struct, frozen=True):
    """Price inside a cluster; prices in USD, amounts in micro-USD.

    `edge` is the one that price entered by. `held` is the most that the cluster held at the end of a minute, from
    the one before price came, `price_low` and `price_high` are its edges then, `taken` is what price took since.
    """

    edge: float
    price_low: float
    price_high: float
    held: int
    taken: int = 0

    def swept(self, at_risk: int) -> int:
        """Return how much of `held` price took, with `at_risk` left; what was opened since is no part of it."""
        return min(self.taken, self.held - at_risk)


def visit_after(
    visit: Visit | None, side: int, edges: tuple[float, float], at_risk: int, marks: tuple[float, float], rearm: float
) -> Visit | None:
    """Return whether price is in a cluster after a minute: the visit going on, a new one, or None.

    Args:
        visit: as it was at the end of the minute before.
        side: side of the cluster, +1 or -1.
        edges: its lower and upper edge at the end of the minute before (USD).
        at_risk: what it held then (micro-USD).
        marks: lowest and highest mark price of the minute (USD).
        rearm: how far outside its edge price has left it, in %.
    """
    low_mark, high_mark = marks
    if visit is not None:
        outside = visit.edge * (1 + side * rearm / 100)
        left = low_mark > outside if side == Side.LONG else high_mark < outside
        return None if left else visit
    price_low, price_high = edges
    edge = price_high if side == Side.LONG else price_low
    reached = low_mark <= edge if side == Side.LONG else high_mark >= edge
    return Visit(edge, price_low, price_high, at_risk) if reached else None


def fed(visit: Visit | None, swept: int, at_risk: int, edges: tuple[float, float]) -> Visit | None:
    """Return the visit after price took `swept` and left `at_risk` (micro-USD) between `edges` (USD)."""
    if visit is None:
        return None
    if at_risk >= visit.held:
        return Visit(visit.edge, *edges, held=at_risk)
    return msgspec.structs.replace(visit, taken=visit.taken + swept)


def is_swept(visit: Visit | None, at_risk: int, swept_share: float) -> bool:
    """Whether price has swept the cluster of which `at_risk` (micro-USD) is left."""
    if visit is None or not visit.taken:
        return False
    lost = visit.held - at_risk
    return lost >= swept_share * visit.held and visit.swept(at_risk) >= PRICE_SHARE_OF_LOSS * lost
