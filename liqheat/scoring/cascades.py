"""How well predicted cascades hold: predictions beside what simulated markets with real books then did.

`score_cascades` takes a prediction function, opens worlds, shocks each at several moments (`simulator.twin`), and
compares. It knows nothing of how the prediction is made. `liqheat.simulator` makes the truth; no code is shared
with the cascade engine.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import numpy.typing as npt

from liqheat.domain.events import Batch
from liqheat.domain.windows import HOUR_MS
from liqheat.simulator.account_market import AccountMarket
from liqheat.simulator.simulation import batches_of, reference_batches
from liqheat.simulator.twin import Shock, resting_depths, shocked
from liqheat.simulator.world import World, open_world

FloatArray = npt.NDArray[np.float64]

DISTANCES = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.10)
"""Distances from the middle at which resting depth is stated, fractions of the price, as depth events have them."""
MOVES = (-0.10, -0.05, -0.03, -0.02, -0.01, 0.01, 0.02, 0.03, 0.05, 0.10)
BREAKS_THROUGH = 1.5
"""Amplification from which a cluster has set off a chain: price is carried at least half as far again."""
_STEP_MS = 30_000
_STEPS_PER_MINUTE = 2


@dataclass(frozen=True, slots=True)
class BookDepths:
    """Resting orders of all venues at one moment."""

    middle: float
    """USD per coin."""
    distances: FloatArray
    """Shape (n,), fractions of the price, rising."""
    bids_usd: FloatArray
    """Shape (n,): resting between the middle and each distance below it, USD."""
    asks_usd: FloatArray
    """The same above it."""


@dataclass(frozen=True, slots=True)
class ExpectedLevels:
    """What is expected to be liquidated where, all venues together; arrays of one length, in any order."""

    prices: FloatArray
    """Liquidation prices, USD per coin: of longs below the middle, of shorts above."""
    usd: FloatArray


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a move is said to lead to."""

    rest_price: float
    """Where price comes to rest, USD per coin."""
    amplification: float
    """How many times as far as the move itself, in the log of the price; at least 1."""


Predict = Callable[[BookDepths, ExpectedLevels, float], Prediction]
"""`predict(book_depths, expected_levels, move)`; `move` is a signed fraction of the price."""


class Map:
    """What the levels are read from; this one knows every position, so that only the chain is predicted.

    A subclass reads an engine's map instead: `take` gets every batch that the world publishes.
    """

    def take(self, batch: Batch) -> None:
        """Take what a venue published."""

    def levels(self, market: AccountMarket) -> ExpectedLevels:
        """Return the levels of `market` as they are now."""
        table = market.positions
        rows = table.open_rows
        prices = table.liquidation_price[rows]
        known = np.isfinite(prices)
        usd = table.quantity(rows) * market.mark_prices[table.venue[rows]]
        return ExpectedLevels(prices[known], usd[known])


@dataclass(frozen=True, slots=True)
class Case:
    """One shock of one moment: what could be known before, and what came of it."""

    seed: int
    moment: int
    move: float
    book: BookDepths
    levels: ExpectedLevels
    rest_price: float
    amplification: float

    @property
    def swept_usd(self) -> float:
        """At risk within the move itself, USD."""
        reached = self.book.middle * (1 + self.move)
        prices = self.levels.prices
        inside = (
            (prices >= reached) & (prices <= self.book.middle)
            if self.move < 0
            else (prices <= reached) & (prices >= self.book.middle)
        )
        return float(self.levels.usd[inside].sum())


@dataclass(frozen=True, slots=True)
class CascadeFigures:
    """How well one method's predictions hold; `cases` of them."""

    cases: int
    rank_correlation: float
    """Of predicted and realised amplification (Spearman); NaN where either never differs."""
    median_error: float
    """Median of |log(predicted amplification / realised)|."""
    median_rest_error: float
    """Median distance of predicted and realised resting price, % of price."""
    said_to_break: int
    """Cases of which `BREAKS_THROUGH` was predicted."""
    broke_of_those: float
    """Share of them in which it came about; NaN of none."""
    broke: int
    """Cases in which it came about."""
    foreseen_of_those: float
    """Share of them of which it was predicted; NaN of none."""
    trigger_error: float
    """Median of |log(predicted trigger / realised)| over moments and directions that have both; NaN of none."""


def score_cascades(
    predict: Predict, worlds: Iterable[World], *, new_map: Callable[[World], Map] = lambda _: Map(), hours: int = 6
) -> dict[str, CascadeFigures]:
    """Judge `predict` and the baseline of at-risk alone over shocks of `worlds`.

    Args:
        predict: the prediction; it gets the book and the levels of the moment, and the move.
        worlds: where it is judged.
        new_map: makes what the levels of a world are read from; the true positions by default.
        hours: simulated hours of each world; it is shocked after every two of them.

    Returns:
        Figures by method: "prediction" and "at risk alone".
    """
    cases = [case for world in worlds for case in cases_of(world, new_map(world), hours)]
    predicted = [predict(case.book, case.levels, case.move) for case in cases]
    return {"prediction": judge(cases, predicted), "at risk alone": judge(cases, at_risk_alone(cases))}


def cases_of(world: World, read: Map, hours: int, moves: Sequence[float] = MOVES) -> list[Case]:
    """Return the shocks of one world: every two hours, each of `moves`."""
    market = open_world(world)
    for batch in reference_batches(market):
        read.take(batch)
    cases = []
    for minute in range(hours * 60):
        steps = [market.step(_STEP_MS) for _ in range(_STEPS_PER_MINUTE)]
        for batch in batches_of(market, steps, throttled=world.is_sampled):
            read.take(batch)
        if (minute + 1) % (2 * HOUR_MS // 60_000) == 0:
            cases += _shocks(world, market, read.levels(market), moves)
    return cases


def _shocks(world: World, market: AccountMarket, levels: ExpectedLevels, moves: Sequence[float]) -> list[Case]:
    distances = np.array(DISTANCES)
    bids, asks = resting_depths(market, distances)
    book = BookDepths(market.index_price, distances, bids, asks)
    cases = []
    for move in moves:
        outcome = shocked(market, Shock(move))
        cases.append(Case(world.seed, market.now, move, book, levels, outcome.rest, outcome.amplification))
    return cases


def at_risk_alone(cases: Sequence[Case]) -> list[Prediction]:
    """Return what at-risk says without a book: amplification grows with what lies within the move.

    The one scale that it needs is chosen in hindsight, as the best for these cases, so that it is the hardest
    rival of its kind.
    """
    swept = np.array([case.swept_usd for case in cases])
    realised = np.array([case.amplification for case in cases])
    scales = np.geomspace(1e3, 1e12, 91)
    errors = [np.median(np.abs(np.log((1 + swept / scale) / realised))) for scale in scales]
    amplifications = 1 + swept / scales[int(np.argmin(errors))]
    return [
        Prediction(case.book.middle * (1 + case.move) ** float(factor), float(factor))
        for case, factor in zip(cases, amplifications, strict=True)
    ]


def judge(cases: Sequence[Case], predicted: Sequence[Prediction]) -> CascadeFigures:
    """Return how well `predicted` (one value per case) holds."""
    said = np.array([one.amplification for one in predicted])
    came = np.array([case.amplification for case in cases])
    rest = [
        abs(one.rest_price - case.rest_price) / case.book.middle for one, case in zip(predicted, cases, strict=True)
    ]
    says, breaks = said >= BREAKS_THROUGH, came >= BREAKS_THROUGH
    triggers = _trigger_errors(cases, says, breaks)
    return CascadeFigures(
        cases=len(cases),
        rank_correlation=rank_correlation(said, came),
        median_error=float(np.median(np.abs(np.log(said / came)))),
        median_rest_error=float(100 * np.median(rest)),
        said_to_break=int(says.sum()),
        broke_of_those=float(breaks[says].mean()) if says.any() else float("nan"),
        broke=int(breaks.sum()),
        foreseen_of_those=float(says[breaks].mean()) if breaks.any() else float("nan"),
        trigger_error=float(np.median(triggers)) if triggers else float("nan"),
    )


def rank_correlation(first: FloatArray, second: FloatArray) -> float:
    """Return Spearman's rank correlation, ties sharing their mean rank; NaN where one of them never differs."""
    ranks = np.stack([_ranks(first), _ranks(second)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    spread = np.sqrt((ranks**2).sum(axis=1)).prod()
    return float((ranks[0] * ranks[1]).sum() / spread) if spread else float("nan")


def _ranks(values: FloatArray) -> FloatArray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place], dtype=np.float64)


def _trigger_errors(cases: Sequence[Case], says: npt.NDArray[np.bool_], breaks: npt.NDArray[np.bool_]) -> list[float]:
    """Return how far the least move said to break through is from the least that did, by moment and direction."""
    found: dict[tuple[int, int, bool], list[list[float]]] = {}
    for case, say, broke in zip(cases, says.tolist(), breaks.tolist(), strict=True):
        said_at, broke_at = found.setdefault((case.seed, case.moment, case.move > 0), [[], []])
        if say:
            said_at.append(abs(case.move))
        if broke:
            broke_at.append(abs(case.move))
    return [abs(log(min(said_at) / min(broke_at))) for said_at, broke_at in found.values() if said_at and broke_at]
