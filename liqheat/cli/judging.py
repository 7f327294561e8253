"""Maps of a simulated market judged every hour against its positions, for each venue and side.

Shared by the score of the regimes (`scoring_run`) and of worlds (`world_run`): the engine, the baselines and the
oracle are all `Mapper`s, and a `Judge` compares them with the truth and with what the next hour liquidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from liqheat.domain.events import Batch, Kind
from liqheat.domain.market import Side
from liqheat.domain.price_grid import bucket_of, middle
from liqheat.platform.codec import rows_of
from liqheat.platform.settings import Engine as EngineSettings
from liqheat.scoring.baselines import BASELINES, Method
from liqheat.scoring.measures import REACH, Profile, Tally, profile_within, swept_usd
from liqheat.scoring.oracle import KnownPositions, distance_tables, spread
from liqheat.simulator.account_market import AccountMarket
from liqheat.simulator.market import Market
from liqheat.simulator.tape import Step
from liqheat.simulator.truth import Truth, truth_of
from processors.heatmap import engine

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

OURS = "liqheat"
ORACLE = "oracle without margins"
SIDES = (Side.LONG, Side.SHORT)
_NOTHING = (np.zeros(0, np.int64), np.zeros(0))

Maps = dict[tuple[str, Side], tuple[IntArray, FloatArray]]
"""Buckets (any order, repeated ones add up) and USD by venue and side."""


class Mapper(Protocol):
    """A way to make maps from what the venues of a market publish."""

    def take(self, batches: Sequence[Batch]) -> None:
        """Take the next batches of the log, in order."""

    def maps(self, factor: int) -> tuple[Maps, Maps]:
        """Return what is at risk and what is expected to be executed, on the grid level `factor`."""


class EngineMaps:
    """The engine's map, read from its own published rows."""

    def __init__(self, settings: EngineSettings) -> None:
        self.state = engine.new_state(settings)
        self._factor = settings.grid_factor

    def take(self, batches: Sequence[Batch]) -> None:
        """Take the next batches of the log, in order."""
        engine.apply_span(self.state, [rows_of(batch) for batch in batches])

    def maps(self, factor: int) -> tuple[Maps, Maps]:
        """Return what is at risk, and what is expected to be executed."""
        at_risk: Maps = {}
        expected: Maps = {}
        for batch in engine.open_minutes(self.state):
            if batch.kind is not Kind.HEATMAP_LEVELS:
                continue
            frame = batch.frame.explode("bucket", "at_risk_usd", "expected_usd", empty_as_null=False)
            buckets = bucket_of(middle(frame["bucket"].to_numpy().astype(np.int64), self._factor), factor)
            for side in SIDES:
                of_side = (frame["side"] == int(side)).to_numpy()
                for maps, column in ((at_risk, "at_risk_usd"), (expected, "expected_usd")):
                    before = maps.get((batch.venue, side), _NOTHING)
                    usd = frame[column].to_numpy() / 1e6
                    maps[batch.venue, side] = (
                        np.concatenate([before[0], buckets[of_side]]),
                        np.concatenate([before[1], usd[of_side]]),
                    )
        return at_risk, expected


class BaselineMaps:
    """One baseline over all venues of a symbol."""

    def __init__(self, kind: type[Method], factor: int) -> None:
        self._kind, self._factor = kind, factor
        self._markets: dict[str, Method] = {}

    def take(self, batches: Sequence[Batch]) -> None:
        """Take the next batches of the log, in order."""
        for batch in batches:
            if batch.venue not in self._markets:
                self._markets[batch.venue] = self._kind(self._factor)  # type: ignore[call-arg]
            self._markets[batch.venue].take(batch)

    def maps(self, factor: int) -> tuple[Maps, Maps]:
        """Return the baseline's one map twice: it does not part at risk from expected."""
        del factor
        maps = {(venue, side): market.map(side) for venue, market in self._markets.items() for side in SIDES}
        return maps, maps


class OracleMaps:
    """The oracle of `scoring.oracle`: it reads the market's own positions and ignores the log."""

    def __init__(self, market: AccountMarket) -> None:
        self._market = market

    def take(self, batches: Sequence[Batch]) -> None:
        """Ignore what is published."""

    def maps(self, factor: int) -> tuple[Maps, Maps]:
        """Return where the oracle thinks that positions are liquidated."""
        market, table = self._market, self._market.positions
        maps: Maps = {}
        for side in SIDES:
            rows = table.open_rows
            rows = rows[table.side[rows] == int(side)]
            notional = table.quantity(rows) * table.entry_price[rows]
            known = KnownPositions(table.venue[rows], table.entry_price[rows], notional, table.worst_price[rows])
            tables = distance_tables(int(side), known, table.liquidation_price[rows])
            for number, listing in enumerate(market.listings):
                here = known.venue == number
                part = KnownPositions(known.venue[here], known.entry[here], known.notional[here], known.worst[here])
                prices, usd = spread(int(side), part, tables, float(market.mark_prices[number]), 1.1 * REACH)
                maps[listing.venue.value, side] = (bucket_of(prices, factor), usd)
        return maps, maps


def mappers_of(settings: EngineSettings) -> dict[str, Mapper]:
    """Return the engine and every baseline by name."""
    baselines = {name: BaselineMaps(kind, settings.grid_factor) for name, kind in BASELINES.items()}
    return {OURS: EngineMaps(settings), **baselines}


@dataclass(slots=True)
class _Waiting:
    """Maps judged at one hour that wait for what the next hour brings."""

    expected: dict[tuple[str, str, Side], Profile]
    standing: set[tuple[int, int, int]]
    low: FloatArray
    high: FloatArray
    liquidated: dict[tuple[str, Side], float]


class Judge:
    """Compares the maps of `mappers` with the truth of `market`, hour by hour."""

    def __init__(self, market: Market, mappers: dict[str, Mapper], factor: int) -> None:
        self.tallies = {name: Tally.empty() for name in mappers}
        self.latest: list[tuple[str, str, float, Profile, Profile]] = []
        """(venue, side, mark, true, ours) of the last judgement."""
        self._market, self._mappers, self._factor = market, mappers, factor
        self._waiting: _Waiting | None = None

    def follow(self, steps: list[Step]) -> None:
        """Take note of how far price went and which of the positions held were liquidated."""
        waiting, market = self._waiting, self._market
        if waiting is None:
            return
        for step in steps:
            np.minimum(waiting.low, step.mark_prices, out=waiting.low)
            np.maximum(waiting.high, step.mark_prices, out=waiting.high)
            ended = step.liquidations
            for venue, account, side, price, lots in zip(
                ended.venue.tolist(), ended.account.tolist(), ended.side.tolist(), ended.price, ended.lots, strict=True
            ):
                if (venue, account, side) in waiting.standing:
                    key = (market.listings[venue].venue.value, Side(side))
                    usd = float(price * lots * market.quantity_steps[venue])
                    waiting.liquidated[key] = waiting.liquidated.get(key, 0.0) + usd

    def judge(self) -> None:
        """Judge every map as it is now, and settle what the hour since the last judgement brought."""
        self._settle()
        truth = truth_of(self._market)
        real = _true_maps(truth, self._factor)
        marks = self._market.mark_prices
        waiting = _Waiting({}, _standing(self._market), marks.copy(), marks.copy(), {})
        self.latest = []
        for name, mapper in self._mappers.items():
            at_risk, expected = mapper.maps(self._factor)
            for venue, mark in truth.mark_prices.items():
                for side in SIDES:
                    true, inferred, executed = (
                        profile_within(*maps.get((venue, side), _NOTHING), mark, side, self._factor)
                        for maps in (real, at_risk, expected)
                    )
                    self.tallies[name].add(true, inferred, mark)
                    waiting.expected[name, venue, side] = executed
                    if name == OURS:
                        self.latest.append((venue, side.label, mark, true, inferred))
        self._waiting = waiting

    def _settle(self) -> None:
        waiting, market = self._waiting, self._market
        if waiting is None:
            return
        places = {listing.venue.value: number for number, listing in enumerate(market.listings)}
        for (name, venue, side), profile in waiting.expected.items():
            reached = (waiting.low if side is Side.LONG else waiting.high)[places[venue]]
            predicted = swept_usd(profile, side, float(reached))
            self.tallies[name].add_move(predicted, waiting.liquidated.get((venue, side), 0.0))


def _true_maps(truth: Truth, factor: int) -> Maps:
    frame = truth.map(factor)
    return {
        (str(venue), Side(int(side))): (part["bucket"].to_numpy(), part["at_risk_usd"].to_numpy() / 1e6)
        for (venue, side), part in frame.partition_by("venue", "side", as_dict=True).items()
    }


def _standing(market: Market) -> set[tuple[int, int, int]]:
    """Return whose positions are open now, as (venue, account, side): only their liquidations count for calibration."""
    table = market.positions
    rows = table.open_rows
    return set(zip(table.venue[rows].tolist(), table.account[rows].tolist(), table.side[rows].tolist(), strict=True))
