"""`liqheat score`: simulated markets with known positions, our map and the methods in use, judged alike."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from liqheat.cli.scoring_run import Judged

QUICK = {"seeds": 1, "hours": 42, "burn_in": 18}
FULL = {"seeds": 3, "hours": 72, "burn_in": 24}
OF_REGIMES = ("quick", "report", "regime", "seeds", "first_seed", "crowd")
"""Options that concern the markets of the regimes, and no worlds."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(score)


def score(
    context: typer.Context,
    quick: bool = typer.Option(False, "--quick", help="One seed and shorter markets: under five minutes on 2 cores."),
    as_json: bool = typer.Option(False, "--json", help="Print the figures of each method as JSON."),
    report: Path = typer.Option(None, help="Write a page with tables and pictures to this file."),
    regime: list[str] = typer.Option([], help="Only these regimes; may be repeated.", show_default="all"),
    seeds: int = typer.Option(None, min=1, help="Markets for each regime."),
    first_seed: int = typer.Option(1, min=1, help="First of the seeds; the engine was tuned on 1 to 3."),
    crowd: float = typer.Option(
        1.0, min=0.01, max=10, help="Traders, times the usual; fewer are larger, and each of them matters more."
    ),
    processes: int = typer.Option(None, min=1, help="Markets at once.", show_default="one per core"),
    worlds: int = typer.Option(
        0, min=0, help="Instead of the regimes, this many worlds drawn from wide ranges, by committed seeds."
    ),
    held_out: bool = typer.Option(
        False, "--held-out", help="With --worlds: the seeds kept apart for judging, by which nothing is chosen."
    ),
) -> None:
    """Measure the map against markets whose positions are known, beside the methods in use.

    For each method: earth mover's distance (% of price), overlap and top-5 hit rate within 10% of the mark, notional
    inferred over true, and calibration (what the map said the next hour's move would liquidate, against what was).
    With --worlds: median and worst tenth over worlds, beside an oracle that knows every entry and size but no margin.
    """
    import os

    from rich.console import Console

    from liqheat.cli.output_files import check_output
    from liqheat.cli.score_runs import run_all as over_processes
    from liqheat.cli.score_worlds import score_worlds
    from liqheat.cli.scoring_run import standard_runs
    from liqheat.platform.errors import ConfigurationError
    from liqheat.platform.settings import load

    if held_out and not worlds:
        raise ConfigurationError("Expected --worlds with --held-out: only worlds have seeds kept apart")
    check_output(report)
    console = Console()

    def run_all(runs: list[Any], work: Callable[[Any], Any]) -> Iterable[Any]:
        return over_processes(runs, processes or os.cpu_count() or 1, work)

    if worlds:
        _refuse_beside_worlds(context)
        score_worlds(worlds, held_out=held_out, as_json=as_json, console=console, run_all=run_all)
        return
    plan = QUICK if quick else FULL
    runs = standard_runs(seeds or plan["seeds"], plan["hours"], plan["burn_in"], load().engine, first_seed, crowd)
    known = sorted({run.regime for run in runs})
    unknown = set(regime) - set(known)
    if unknown:
        raise ConfigurationError(f"Expected regimes out of {', '.join(known)}, was {', '.join(sorted(unknown))}")
    _score_regimes(
        [run for run in runs if not regime or run.regime in regime], known, as_json, report, console, run_all
    )


def _refuse_beside_worlds(context: typer.Context) -> None:
    """Refuse options that say which markets of the regimes are scored, or draw them: worlds have their own.

    Raises:
        ConfigurationError: one was given.
    """
    from liqheat.platform.errors import ConfigurationError

    given = [
        f"--{name.replace('_', '-')}"
        for name in OF_REGIMES
        if (source := context.get_parameter_source(name)) is not None and not source.name.startswith("DEFAULT")
    ]
    if given:
        raise ConfigurationError(
            f"Expected --worlds without {', '.join(given)}: worlds are drawn from committed seeds and have no page"
        )


def _score_regimes(
    runs: list[Any],
    known: list[str],
    as_json: bool,
    report: Path | None,
    console: Any,
    run_all: Callable[[list[Any], Callable[[Any], Any]], Iterable[Any]],
) -> None:
    import json

    from liqheat.cli.scoring_run import score as score_run

    judged: list[Judged] = list(run_all(runs, score_run))
    overall = _figures(judged)
    by_regime = {name: _figures([one for one in judged if one.run.regime == name]) for name in dict.fromkeys(known)}
    by_regime = {name: methods for name, methods in by_regime.items() if methods}
    if as_json:
        print(json.dumps({"methods": overall, "regimes": by_regime}, indent=2))
    else:
        _print_table(console, "all regimes", overall)
        for name, methods in by_regime.items():
            _print_table(console, name, methods)
    if report is not None:
        report.write_text(_page(judged, overall, by_regime))
        print(f"Wrote {report}", file=sys.stderr)


def _figures(judged: "list[Judged]") -> dict[str, dict[str, float | None]]:
    from liqheat.scoring.measures import Tally

    totals: dict[str, Tally] = {}
    for one in judged:
        for name, tally in one.tallies.items():
            totals.setdefault(name, Tally.empty()).join(tally)
    return {name: tally.figures() for name, tally in totals.items()}


def _print_table(console: Any, title: str, methods: dict[str, dict[str, float | None]]) -> None:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for heading in ("method", "EMD %", "overlap", "top-5", "notional", "calibration error"):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for name, figures in methods.items():
        keys = ("emd_pct", "overlap", "top5_hit_rate", "notional_ratio", "calibration_error")
        table.add_row(name, *("-" if figures[key] is None else f"{figures[key]:.2f}" for key in keys))
    console.print(table)


def _page(judged: "list[Judged]", overall: dict[str, Any], by_regime: dict[str, Any]) -> str:
    from liqheat.cli.judging import OURS
    from liqheat.scoring.report import page, picture

    pictures = []
    for one in judged:
        venue = one.picture[0][0]
        sides = [(side, true, ours) for of_venue, side, _, true, ours in one.picture if of_venue == venue]
        title = f"{one.run.symbol} on {venue}, {one.run.regime}, leverage mix {one.run.mix} (not shown to the methods)"
        pictures.append(picture(title, one.picture[0][2], sides))
    return page(overall, by_regime, pictures, OURS)
