"""`liqheat score --worlds`: every method over worlds drawn from committed seeds, printed or given as JSON."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from liqheat.cli.world_run import JudgedWorld


def score_worlds(
    count: int,
    *,
    held_out: bool,
    as_json: bool,
    console: "Console",
    run_all: "Callable[[list[Any], Callable[[Any], JudgedWorld]], Iterable[JudgedWorld]]",
) -> None:
    """Score `count` worlds and print the figures.

    Args:
        count: how many of the committed seeds, from the first.
        held_out: take the seeds kept apart for judging instead of those for development.
        as_json: print JSON, world by world and in sum.
        console: where the table goes.
        run_all: runs the work of each world, over processes or not, and returns what it gave in order.

    Raises:
        ConfigurationError: fewer seeds are committed.
    """
    import json

    from liqheat.cli.judging import ORACLE
    from liqheat.cli.world_run import WorldRun, score_world
    from liqheat.platform.settings import load
    from liqheat.scoring.world_figures import summaries, with_oracle
    from liqheat.simulator.world import seeds_of

    part = "held_out" if held_out else "development"
    settings = load().engine
    runs = [WorldRun(seed, engine=settings) for seed in seeds_of(part, count)]
    judged = list(run_all(runs, score_world))
    worlds = [with_oracle(one.methods, ORACLE) for one in judged]
    overall = summaries(worlds)
    if as_json:
        each = [
            {"seed": one.seed, "world": one.description, "methods": methods}
            for one, methods in zip(judged, worlds, strict=True)
        ]
        methods = {
            name: {measure: asdict(one) for measure, one in measures.items()} for name, measures in overall.items()
        }
        print(json.dumps({"seeds": part, "worlds": each, "methods": methods}, indent=2))
        return
    _print_table(console, f"{len(worlds)} worlds ({part.replace('_', ' ')}), median (worst tenth)", overall)


def _print_table(console: "Console", title: str, overall: dict[str, dict[str, Any]]) -> None:
    from rich.table import Table

    from liqheat.scoring.world_figures import MEASURES

    table = Table(title=title, title_justify="left")
    table.add_column("method")
    for heading in MEASURES.values():
        table.add_column(heading, justify="right")
    for name, measures in overall.items():
        cells = (
            "-" if (one := measures[key]).median is None else f"{one.median:.2f} ({one.worst_tenth:.2f})"
            for key in MEASURES
        )
        table.add_row(name, *cells)
    console.print(table)
