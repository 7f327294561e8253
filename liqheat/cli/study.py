"""`liqheat study`: what price did after it met large clusters, against like moments without one.

Composition only: ClickHouse into histories, the study, words and tables or JSON.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from liqheat.scoring.study import Study
    from liqheat.scoring.study_moments import History
    from liqheat.viewer.queries import Client


_PERCENT = typer.Option(
    None,
    min=0.01,
    help="Clusters count from this share of average daily volume, %.",
    show_default="LIQHEAT_STUDY__PERCENT, 5",
)
_NEAR = typer.Option(
    None,
    min=0.01,
    max=20,
    help="Price is near a cluster from this distance on, %.",
    show_default="LIQHEAT_STUDY__NEAR, 1",
)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(study)


def study(
    symbol: list[str] = typer.Argument(None, help="Canonical symbols.", show_default="all that are stored"),
    percent: float = _PERCENT,
    near: float = _NEAR,
    days: float = typer.Option(
        None, min=0.1, help="How many of the last days to read.", show_default="all that is stored"
    ),
    data_dir: Path = typer.Option(None, help="Data directory of a finished demo, instead of the server."),
    draws: int = typer.Option(2_000, min=100, max=100_000, help="How often time is drawn again for the intervals."),
    as_json: bool = typer.Option(False, "--json", help="Print the figures as one JSON object."),
) -> None:
    """Say whether clusters attract price, repel it, or do nothing, over the stored history.

    Looks at what followed over 5, 15, 60 and 240 minutes once price came near a large cluster, entered it,
    or swept it: realised volatility, return towards the cluster, and liquidations of its side. Each case is compared
    with moments of the same symbol that had the same recent volatility and trend and no cluster near. Where daily
    volume is not known (backfilled history), it is taken from what was traded.
    """
    import json

    from rich.console import Console

    from liqheat.cli.stored_data import stored_data
    from liqheat.domain.instruments import symbol_asked
    from liqheat.domain.windows import DAY_MS, MINUTE_MS
    from liqheat.platform.clock import SystemClock
    from liqheat.platform.errors import FatalError
    from liqheat.platform.settings import load
    from liqheat.scoring import study as measures
    from liqheat.scoring.study_words import in_words, verdict
    from liqheat.viewer.study_history import symbols

    usual = load().study
    percent, near = percent or usual.percent, near or usual.near
    end = SystemClock().now_ms() + MINUTE_MS
    start = 0 if days is None else end - round(days * DAY_MS)
    with stored_data(data_dir) as client:
        stored = symbols(client, start, end)
        names = [symbol_asked(name) for name in symbol] if symbol else stored
        if unknown := sorted(set(names) - set(stored)):
            raise FatalError(f"Nothing is stored of {', '.join(unknown)}; known are {', '.join(stored) or 'none'}")
        if not names:
            raise FatalError("Nothing is stored yet: let `liqheat demo` or the services run for a while")
        found = measures.study(_histories(client, names, start, end, percent), percent, near, draws)
    if as_json:
        print(json.dumps(found.figures() | {"verdict": verdict(found), "words": in_words(found)}, indent=2))
        return
    console = Console(soft_wrap=True, highlight=False)
    for line in in_words(found):
        console.print(line, markup=False)
    _print_tables(console, found)


def _histories(client: "Client", names: list[str], start: int, end: int, percent: float) -> "Iterator[History]":
    """Read one symbol after the other, with a bar on standard error while it takes time."""
    from liqheat.cli.progress import counted_progress
    from liqheat.viewer.study_history import read_history

    with counted_progress("Studying", len(names)) as advance:
        for done, name in enumerate(names):
            advance(done, f"Studying {name}")
            history = read_history(client, name, start, end, percent)
            if history is not None:
                yield history


def _print_tables(console: "Console", found: "Study") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from liqheat.scoring.study_words import TITLES, usd

    for stage, result in found.stages.items():
        if not result.estimates:
            continue
        enough = "" if result.is_enough else ", too few"
        title = f"{TITLES[stage]}: {result.cases} cases{enough}, {result.unmatched} without a like moment"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("after")
        for heading in ("", "cases", "controls", "difference", "95% interval"):
            table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
        for measure, name in (
            ("towards", "return towards"),
            ("volatility", "volatility"),
            ("executed", "liquidations"),
        ):
            for minutes, one in result.estimates[measure].items():
                text = usd if measure == "executed" else _percent
                values = [text(value) for value in (one.case, one.control, one.difference)]
                table.add_row(f"{minutes} min", name, *values, f"{text(one.low)} to {text(one.high)}")
        console.print(table)
    console.print(
        f"{found.symbols} symbols, {found.minutes:,} judged minutes; clusters from {found.percent:g}% of daily volume, "
        f"within {found.near:g}%; time drawn again in blocks of {found.block_hours} h."
    )


def _percent(value: float) -> str:
    return f"{value:+.2f}%" if value == value else "-"
