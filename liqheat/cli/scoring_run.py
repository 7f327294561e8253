"""The work behind `liqheat score`: one simulated log through the engine and the baselines, judged every hour.

The composition root may join simulator, engine and scoring; a `Run` is one market of one regime, and its
result can be pickled, so that runs go over processes.
"""

from dataclasses import dataclass, field

from liqheat.cli.judging import Judge, mappers_of
from liqheat.domain.windows import HOUR_MS
from liqheat.platform.settings import Engine as EngineSettings
from liqheat.scoring.measures import Profile, Tally
from liqheat.simulator.regimes import REAL_BTC
from liqheat.simulator.simulation import SimulationConfig, batches_of, make_market, reference_batches
from liqheat.simulator.traders import LEVERAGE_MIXES, Population


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
    mappers = mappers_of(run.engine)
    judge = Judge(market, mappers, run.engine.grid_factor)
    first = list(reference_batches(market))
    for mapper in mappers.values():
        mapper.take(first)
    blocks = round(run.hours * HOUR_MS / config.open_interest_ms)
    for number in range(1, blocks + 1):
        steps = [market.step(config.step_ms) for _ in range(config.open_interest_ms // config.step_ms)]
        batches = list(batches_of(market, steps))
        for mapper in mappers.values():
            mapper.take(batches)
        judge.follow(steps)
        elapsed = number * config.open_interest_ms
        if elapsed % HOUR_MS == 0 and elapsed >= run.burn_in * HOUR_MS:
            judge.judge()
    return Judged(run, judge.tallies, judge.latest)


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
