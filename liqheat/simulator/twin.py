"""What price does with liquidations and without: twin runs of one market from one moment.

`shocked` forks a market twice, moves the price of both by the same amount, lets one of them liquidate and the other
not, and says where each came to rest. Realised amplification is the one's way over the other's; predictions of
cascades are judged by it (`liqheat.scoring.cascades`).
"""

from dataclasses import dataclass
from math import copysign, exp, log

import numpy as np

from liqheat.domain.windows import MINUTE_MS
from liqheat.simulator.account_market import AccountMarket
from liqheat.simulator.order_book import REACH
from liqheat.simulator.tape import FloatArray

STEP_MS = 10_000


@dataclass(frozen=True, slots=True)
class Shock:
    """A move that comes from outside: `move` is a fraction of the price (-0.05 is down by 5%), spread over a time."""

    move: float
    minutes: float = 5.0
    quiet_minutes: float = 10.0
    """The price has come to rest when nothing was liquidated for this long."""
    longest_minutes: float = 120.0


class ShockPath:
    """The price without forced orders: a straight way in the log of the price, then still."""

    def __init__(self, start_price: float, shock: Shock) -> None:
        """Begin at `start_price`, USD per coin."""
        self._start, self._shock, self._passed_ms = log(start_price), shock, 0

    def advance(self, step_ms: int) -> float:
        """Return the next price, USD per coin."""
        self._passed_ms += step_ms
        share = min(self._passed_ms / (self._shock.minutes * MINUTE_MS), 1.0)
        return exp(self._start + share * log(1 + self._shock.move))


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where price came to rest, USD per coin: the furthest that it went in the direction of the move."""

    start_price: float
    quiet_rest: float
    """Without liquidations."""
    rest: float
    """With them."""
    liquidated_usd: float

    @property
    def amplification(self) -> float:
        """How many times as far, in the log of the price, liquidations carried it; 1 where they did nothing."""
        quiet = log(self.quiet_rest / self.start_price)
        return log(self.rest / self.start_price) / quiet if quiet else 1.0


def shocked(market: AccountMarket, shock: Shock, step_ms: int = STEP_MS) -> Outcome:
    """Return what `shock` does to `market` from its present moment on; the market itself stays as it is.

    Both runs start from the same state and draw from the same chance. Stops are triggered in both, for they are
    no liquidations.
    """
    start = market.index_price
    rest, liquidated_usd = _run(market, shock, step_ms, liquidates=True)
    quiet_rest, _ = _run(market, shock, step_ms, liquidates=False)
    return Outcome(start, quiet_rest, rest, liquidated_usd)


def resting_depths(market: AccountMarket, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return bids and asks (USD, all venues) that rest within `distances` (fractions of the price) of the middle.

    Distances beyond the book's reach give what there is.
    """
    near = np.minimum(np.asarray(distances, dtype=np.float64), 1 - exp(-REACH))
    return market.book.resting_usd(1, -np.log1p(-near)), market.book.resting_usd(-1, np.log1p(near))


def _run(market: AccountMarket, shock: Shock, step_ms: int, *, liquidates: bool) -> tuple[float, float]:
    fork = market.fork(ShockPath(market.undisturbed_price, shock))
    if not liquidates:
        fork.stop_liquidating()
    furthest, liquidated_usd, quiet_since = market.index_price, 0.0, 0.0
    passed = 0.0
    while passed < shock.longest_minutes and passed - quiet_since < shock.quiet_minutes:
        ended = fork.step(step_ms).liquidations
        passed += step_ms / MINUTE_MS
        if len(ended):
            liquidated_usd += float((ended.price * ended.lots * fork.quantity_steps[ended.venue]).sum())
        if len(ended) or passed <= shock.minutes:
            quiet_since = passed
        if copysign(1.0, shock.move) * (fork.index_price - furthest) > 0:
            furthest = fork.index_price
    return furthest, liquidated_usd
