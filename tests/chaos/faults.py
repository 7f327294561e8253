"""What can go wrong, who has to say so within ten seconds, and how it is healed. Seeded; the runner draws from here."""

import random
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.chaos.messages import INJECTIONS, MessageWriter
from tests.chaos.pipeline import CLICKHOUSE, CLOCKED, EXCHANGE, INGESTS, KAFKA, SERVICES, SINKS, WORKERS, Pipeline

GONE = "no answer"
"""What is expected of a service that is itself killed or frozen."""


def _nothing() -> None:
    """There is nothing to heal."""


@dataclass(frozen=True)
class Fault:
    """One fault: `expected` names the condition that each concerned service must report while it lasts."""

    name: str
    begin: Callable[[], None]
    heal: Callable[[], None] = _nothing
    expected: Mapping[str, str] = field(default_factory=dict)
    heals_itself: bool = False
    """Whether it may be over before it can be seen: a killed process is started again at once."""


def draw(pipeline: Pipeline, writer: MessageWriter, can_fill_disk: bool, chance: random.Random) -> Iterator[Fault]:
    """Yield faults for ever: each kind once in a round, in another order each round, victims at random."""
    while True:
        kinds = list(_kinds(pipeline, writer, can_fill_disk, chance))
        chance.shuffle(kinds)
        for kind in kinds:
            yield kind()


def _kinds(
    pipeline: Pipeline, writer: MessageWriter, can_fill_disk: bool, chance: random.Random
) -> Iterator[Callable[[], Fault]]:
    for group in (INGESTS, WORKERS, SINKS):
        yield partial(_on_one, pipeline, chance, group, _kill)
        yield partial(_on_one, pipeline, chance, group, _freeze)
    yield partial(_kill, pipeline, KAFKA, dict.fromkeys(SERVICES, "broker"))
    yield partial(_freeze, pipeline, KAFKA, dict.fromkeys(SERVICES, "broker"))
    yield partial(_kill, pipeline, CLICKHOUSE, dict.fromkeys(SINKS, "clickhouse"))
    yield partial(_freeze, pipeline, CLICKHOUSE, dict.fromkeys(SINKS, "clickhouse"))
    yield partial(_freeze, pipeline, EXCHANGE, dict.fromkeys(INGESTS, "venue"))
    if can_fill_disk:
        yield partial(Fault, "disk of ClickHouse full", pipeline.fill_disk, pipeline.free_disk)
    if pipeline.has_faketime:
        yield partial(_jump, pipeline, None, chance)
        yield partial(_jump, pipeline, list(CLOCKED), chance)
    for name in INJECTIONS:
        yield partial(Fault, name, partial(writer.inject, name))


def _on_one(
    pipeline: Pipeline,
    chance: random.Random,
    group: Sequence[str],
    what: Callable[[Pipeline, str, Mapping[str, str]], Fault],
) -> Fault:
    return what(pipeline, chance.choice(group), {})


def _kill(pipeline: Pipeline, victim: str, expected: Mapping[str, str]) -> Fault:
    concerned = expected or {victim: GONE}
    return Fault(
        f"{victim} killed", lambda: pipeline.signal(victim, signal.SIGKILL), expected=concerned, heals_itself=True
    )


def _freeze(pipeline: Pipeline, victim: str, expected: Mapping[str, str]) -> Fault:
    return Fault(
        f"{victim} frozen",
        lambda: pipeline.signal(victim, signal.SIGSTOP),
        lambda: pipeline.signal(victim, signal.SIGCONT),
        expected or {victim: GONE},
    )


def _jump(pipeline: Pipeline, chosen: list[str] | None, chance: random.Random) -> Fault:
    """Set the clock of `chosen`, one at random for None."""
    victims = chosen or [chance.choice(CLOCKED)]
    seconds = chance.choice([-1_800, -60, 60, 1_800])

    def set_all(ahead: int) -> None:
        for victim in victims:
            pipeline.set_clock(victim, ahead)

    who = victims[0] if len(victims) == 1 else "all ingests and workers"
    return Fault(
        f"clock of {who} {seconds:+,d} s",
        lambda: set_all(seconds),
        lambda: set_all(0),
        dict.fromkeys(victims, "clock"),
    )
