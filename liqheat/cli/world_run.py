"""The work behind `liqheat score --worlds`: one drawn world through every method, judged every hour.

The composition root may join simulator, engine and scoring. The engine gets what the venues publish and nothing
else. A `WorldRun` and its result can be pickled, so that worlds go over processes.
"""

from dataclasses import dataclass, field

from liqheat.cli.judging import ORACLE, Judge, Mapper, OracleMaps, mappers_of
from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.platform.settings import Engine as EngineSettings
from liqheat.simulator.simulation import batches_of, reference_batches
from liqheat.simulator.world import open_world, world_of


@dataclass(frozen=True, slots=True)
class WorldRun:
    """One world to score: `hours` of log, of which the first `burn_in` are not judged."""

    seed: int
    hours: int = 60
    burn_in: int = 36
    step_ms: int = 20_000
    engine: EngineSettings = field(default_factory=EngineSettings)


@dataclass(frozen=True, slots=True)
class JudgedWorld:
    """What a world gave: figures of each method by its name."""

    seed: int
    description: str
    methods: dict[str, dict[str, float | None]]


def score_world(run: WorldRun) -> JudgedWorld:
    """Open the world of `run`, feed every method the same log, and judge them every hour after the burn-in."""
    world = world_of(run.seed)
    market = open_world(world)
    mappers: dict[str, Mapper] = {**mappers_of(run.engine), ORACLE: OracleMaps(market)}
    judge = Judge(market, mappers, run.engine.grid_factor)
    first = list(reference_batches(market))
    for mapper in mappers.values():
        mapper.take(first)
    for minute in range(1, run.hours * 60 + 1):
        steps = [market.step(run.step_ms) for _ in range(MINUTE_MS // run.step_ms)]
        batches = list(batches_of(market, steps, throttled=world.is_sampled))
        for mapper in mappers.values():
            mapper.take(batches)
        judge.follow(steps)
        if minute % (HOUR_MS // MINUTE_MS) == 0 and minute >= run.burn_in * 60:
            judge.judge()
    feed = "sampled" if world.is_sampled else "whole"
    return JudgedWorld(
        run.seed,
        f"{world.coin.symbol}, {world.regime}, {world.people.leverage_mix}, {feed} feed",
        {name: tally.figures() for name, tally in judge.tallies.items()},
    )
