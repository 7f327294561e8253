"""The work behind `liqheat score`: one simulated log through the engine and the baselines, judged every hour.

The composition root may join simulator, engine and scoring; a `Run` is one market of one regime, and its
result can be pickled, so that runs go over processes.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from liqheat.domain.events import Batch, Kind
from liqheat.domain.market import Side
from liqheat.domain.windows import HOUR_MS
from liqheat.platform.settings import Engine as EngineSettings
from liqheat.scoring.baselines import BASELINES, Method
from liqheat.scoring.measures import Profile, Tally, profile_within, swept_usd
from liqheat.simulator.market import Market
from liqheat.simulator.regimes import REAL_BTC
from liqheat.simulator.simulation import SimulationConfig, batches_of, make_market, reference_batches
from liqheat.simulator.tape import Step
from liqheat.simulator.traders import LEVERAGE_MIXES, Population
from liqheat.simulator.truth import Truth, truth_of
from processors.heatmap import engine

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

OURS = "liqheat"
SIDES = (Side.LONG, Side.SHORT)


@dataclass(frozen=True, slots=True)
class Run:
    """One simulated market to score: `hours` of log, of which the first `burn_in` are not judged."""

    regime: str
    symbol: str
    mix: str
    seed: int
    hours: int
    burn_in: int
    traders: int
    step_ms: int = 10_000
    open_interest_ms: int = 60_000
    engine: EngineSettings = field(default_factory=EngineSettings)


@dataclass(slots=True)
class Judged:
    """What a run gave: tallies by method, and the last hour's maps for the picture."""

    run: Run
    tallies: dict[str, Tally]
    picture: list[tuple[str, str, float, Profile, Profile]] = field(default_factory=list)
    """(venue, side, mark, true, ours) at the end."""


Maps = dict[tuple[str, Side], tuple[IntArray, FloatArray]]


class _Ours:
    """The engine's map, read from its own published rows."""

    def __init__(self, settings: EngineSettings) -> None:
        self.state = engine.new_state(settings)

    def take(self, batch: Batch) -> None:
        engine.apply(self.state, batch)

    def maps(self, factor: int) -> Maps:
        del factor
        maps: Maps = {}
        for batch in engine.open_minutes(self.state):
            if batch.kind is not Kind.HEATMAP_LEVELS:
                continue
            frame = batch.frame.explode("bucket", "at_risk_usd", empty_as_null=False)
            buckets, usd = frame["bucket"].to_numpy().astype(np.int64), frame["at_risk_usd"].to_numpy() / 1e6
            for side in SIDES:
                of_side = (frame["side"] == int(side)).to_numpy()
                before = maps.get((batch.venue, side), (np.zeros(0, np.int64), np.zeros(0)))
                maps[batch.venue, side] = (
                    np.concatenate([before[0], buckets[of_side]]),
                    np.concatenate([before[1], usd[of_side]]),
                )
        return maps


class _Baseline:
    """One baseline over all venues of a symbol."""

    def __init__(self, kind: type[Method], factor: int) -> None:
        self._kind, self._factor = kind, factor
        self._markets: dict[str, Method] = {}

    def take(self, batch: Batch) -> None:
        if batch.venue not in self._markets:
            self._markets[batch.venue] = self._kind(self._factor)  # type: ignore[call-arg]
        self._markets[batch.venue].take(batch)

    def maps(self, factor: int) -> Maps:
        del factor
        return {(venue, side): market.map(side) for venue, market in self._markets.items() for side in SIDES}


@dataclass(slots=True)
class _Judgement:
    """A map judged at one hour that waits for what the next hour brings."""

    profiles: dict[tuple[str, str, Side], Profile]
    standing: set[tuple[int, int, int]]
    low: FloatArray
    high: FloatArray
    liquidated: dict[tuple[str, Side], float]


def score(run: Run) -> Judged:
    """Simulate `run`, feed every method the same log, and judge them every hour after the burn-in."""
    config = SimulationConfig(
        seed=run.seed,
        symbols=(run.symbol,),
        regime=run.regime,
        hours=run.hours,
        step_ms=run.step_ms,
        open_interest_ms=run.open_interest_ms,
        population=Population.with_mix(run.mix, run.traders),
    )
    market = make_market(config, run.symbol)
    factor = run.engine.grid_factor
    methods: dict[str, _Ours | _Baseline] = {OURS: _Ours(run.engine)}
    methods |= {name: _Baseline(kind, factor) for name, kind in BASELINES.items()}
    judged = Judged(run, {name: Tally.empty() for name in methods})
    for batch in reference_batches(market):
        for method in methods.values():
            method.take(batch)
    waiting: _Judgement | None = None
    blocks = round(run.hours * HOUR_MS / config.open_interest_ms)
    for number in range(1, blocks + 1):
        steps = [market.step(config.step_ms) for _ in range(config.open_interest_ms // config.step_ms)]
        for batch in batches_of(market, steps):
            for method in methods.values():
                method.take(batch)
        if waiting is not None:
            _follow(waiting, market, steps)
        elapsed = number * config.open_interest_ms
        if elapsed % HOUR_MS == 0 and elapsed >= run.burn_in * HOUR_MS:
            if waiting is not None:
                _settle(waiting, market, judged)
            waiting = _judge(market, methods, judged, factor, last=number == blocks)
    return judged


def _judge(
    market: Market, methods: dict[str, "_Ours | _Baseline"], judged: Judged, factor: int, last: bool
) -> _Judgement:
    truth = truth_of(market)
    real = _true_maps(truth, factor)
    nothing = (np.zeros(0, np.int64), np.zeros(0))
    waiting = _Judgement({}, _standing(market), market.mark_prices.copy(), market.mark_prices.copy(), {})
    for name, method in methods.items():
        maps = method.maps(factor)
        for venue, mark in truth.mark_prices.items():
            for side in SIDES:
                true = profile_within(*real.get((venue, side), nothing), mark, side, factor)
                inferred = profile_within(*maps.get((venue, side), nothing), mark, side, factor)
                judged.tallies[name].add(true, inferred, mark)
                waiting.profiles[name, venue, side] = inferred
                if last and name == OURS:
                    judged.picture.append((venue, side.label, mark, true, inferred))
    return waiting


def _true_maps(truth: Truth, factor: int) -> Maps:
    frame = truth.map(factor)
    return {
        (str(venue), Side(int(side))): (part["bucket"].to_numpy(), part["at_risk_usd"].to_numpy() / 1e6)
        for (venue, side), part in frame.partition_by("venue", "side", as_dict=True).items()
    }


def _standing(market: Market) -> set[tuple[int, int, int]]:
    """Return who stands now, as (venue, account, side): only their liquidations count for calibration."""
    table = market.positions
    rows = table.open_rows
    return set(zip(table.venue[rows].tolist(), table.account[rows].tolist(), table.side[rows].tolist(), strict=True))


def _follow(waiting: _Judgement, market: Market, steps: list[Step]) -> None:
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


def _settle(waiting: _Judgement, market: Market, judged: Judged) -> None:
    places = {listing.venue.value: number for number, listing in enumerate(market.listings)}
    for (name, venue, side), profile in waiting.profiles.items():
        reached = (waiting.low if side is Side.LONG else waiting.high)[places[venue]]
        predicted = swept_usd(profile, side, float(reached))
        judged.tallies[name].add_move(predicted, waiting.liquidated.get((venue, side), 0.0))


def standard_runs(
    seeds: int, hours: int, burn_in: int, settings: EngineSettings, first_seed: int = 1, crowd: float = 1.0
) -> list[Run]:
    """Return the runs of a score: every regime on a thin token and the real BTC path on a deep one, mixes in turn.

    A usual crowd's liquidations are 3,000 USD on average, as trackers report of the whole market (383 M USD of
    85,494 traders, 420 M of 110,613 in 2021; 151 M of 63,012 in 2024). `crowd` times as many traders hold the
    same open interest: a tenth of them are ten times larger, and each map is a matter of fewer positions.
    """
    mixes = tuple(LEVERAGE_MIXES)
    plan = [
        # The largest first: it takes the longest, and whatever core is free takes the rest.
        (REAL_BTC, "BTC", 120_000, 5),
        ("trending", "VIRTUAL", 40_000, 0),
        ("ranging", "FARTCOIN", 40_000, 1),
        ("crash", "TAO", 40_000, 2),
        ("squeeze", "WLD", 40_000, 3),
        ("bleed", "AIXBT", 30_000, 4),
    ]
    return [
        Run(
            regime,
            symbol,
            mixes[(place + seed - 1) % len(mixes)],
            seed,
            hours,
            burn_in,
            max(round(traders * crowd), 100),
            engine=settings,
        )
        for seed in range(first_seed, first_seed + seeds)
        for regime, symbol, traders, place in plan
    ]
