"""`liqheat backtest`: how well the map would have done on a real history, beside the methods in use.

Composition only: files or ClickHouse into bars, the walk forward, judgement, JSON and a page.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from liqheat.cli.bad_lines import BadLines
    from liqheat.scoring.bars import Bars, Executed


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(backtest)


def backtest(
    events: Path = typer.Argument(
        None, help="File of normalised events, one JSON per line, as `normalise` prints them."
    ),
    bars: Path = typer.Option(None, help="CSV of bars: time, open, high, low, close, volume, open_interest."),
    liquidations: Path = typer.Option(None, help="CSV of executed liquidations: time, long..., short... in USD."),
    clickhouse: bool = typer.Option(False, "--clickhouse", help="Read the minutes that the sink stored."),
    data_dir: Path = typer.Option(None, help="Data directory of a finished demo, instead of the server."),
    market: str = typer.Option("", help="venue:SYMBOL, where the source has several markets."),
    liquidations_from: str = typer.Option("", help="ISO 8601 or ms: before it no liquidations were recorded."),
    start: str = typer.Option("", "--from", help="First judged time.", show_default="after 4 weeks, at most a third"),
    end: str = typer.Option("", "--until", help="End of the judged time.", show_default="the end of the data"),
    sampled: bool = typer.Option(False, "--sampled", help="The liquidations are a sample of what was executed."),
    rivals: bool = typer.Option(True, help="Run the methods in use beside the model."),
    draws: int = typer.Option(200, min=0, max=10_000, help="How often weeks are drawn again for the intervals."),
    as_json: bool = typer.Option(False, "--json", help="Print the figures as JSON."),
    report: Path = typer.Option(None, help="Write a page with pictures to this HTML file."),
    strict: bool = typer.Option(False, "--strict", help="Stop at the first line that cannot be read."),
) -> None:
    """Judge the map on a real history: how much is executed where price goes, and where.

    Walks forward without a look ahead: the map is asked before each bar, a liquidation is shown once its interval has
    ended. `streamed` renews the map with every bar, `frozen` with every hour; `place` is over 6, 24 and 72 hours.
    Files may be packed (gzip, Zstandard); columns are found by how their names begin. The venue is then
    `combined`.
    A line that cannot be read is said on standard error with its number (in CSV what it held counts as unknown, not as
    none); the rest goes on, and the exit status is 1 at the end.
    """
    from liqheat.cli.backtest_run import judge
    from liqheat.cli.bad_lines import BadLines
    from liqheat.cli.output_files import check_output
    from liqheat.cli.times import read_time

    check_output(report)
    bad_lines = BadLines(strict)
    history, executed, name = _read(
        events, bars, liquidations, clickhouse, data_dir, market, liquidations_from, bad_lines
    )
    span = (read_time(start, "--from"), read_time(end, "--until"))
    is_sampled = sampled or name.split(":")[0] == "binance"
    with _progress(history) as advance:
        result = judge(history, executed, name, span, draws, advance, is_sampled=is_sampled, with_rivals=rivals)
    if as_json:
        print(json.dumps(_finite(result.figures), indent=2, default=_plain, allow_nan=False))
    else:
        _print_tables(result.figures)
    if report is not None:
        from liqheat.scoring.backtest_report import page

        report.write_text(page(result.figures, result.pictures))
        print(f"Wrote {report}", file=sys.stderr)
    bad_lines.end()


def _read(
    events: Path | None,
    bars: Path | None,
    liquidations: Path | None,
    clickhouse: bool,
    data_dir: Path | None,
    market: str,
    liquidations_from: str,
    bad_lines: "BadLines",
) -> "tuple[Bars, Executed, str]":
    from liqheat.cli.bar_files import read_csv
    from liqheat.cli.minute_bars import read_events_file
    from liqheat.cli.times import read_time
    from liqheat.platform.errors import ConfigurationError

    known_from = read_time(liquidations_from, "--liquidations-from")
    stored = clickhouse or data_dir is not None
    if (bars is None) != (liquidations is None):
        given, missing = ("--bars", "--liquidations") if liquidations is None else ("--liquidations", "--bars")
        raise ConfigurationError(f"{given} also needs {missing}, which is missing")
    if [events is not None, bars is not None, stored].count(True) != 1:
        raise ConfigurationError("Expected a file of events, or --bars with --liquidations, or --clickhouse")
    for file in (events, bars, liquidations):
        if file is not None and file.is_dir():
            raise ConfigurationError(f"Expected a file, {file} is a directory")
        if file is not None and not file.exists():
            raise ConfigurationError(f"There is no file {file}")
    if events is not None:
        return read_events_file(events, market, known_from, bad_lines)
    if stored:
        from liqheat.cli.stored_bars import read_stored

        return read_stored(data_dir, market, known_from)
    assert bars is not None and liquidations is not None  # noqa: S101, PT018 - for the type checker; said above
    name = market if ":" in market else f"combined:{market or 'BARS'}"
    return *read_csv(bars, liquidations, known_from, bad_lines), name


@contextmanager
def _progress(bars: "Bars") -> Iterator[Callable[[int], None]]:
    from rich.console import Console

    from liqheat.cli.progress import progress

    if not Console(file=sys.stderr).is_terminal:
        yield _said_by_month(bars)
        return
    with progress("Bars", len(bars)) as advance:
        yield advance


def _said_by_month(bars: "Bars") -> Callable[[int], None]:
    """Return what says on standard error how far the walk is, a line per month of history."""
    from liqheat.cli.times import note, time_text

    said = time_text(int(bars.start[0]))[:7]

    def advance(done: int) -> None:
        nonlocal said
        month = time_text(int(bars.start[min(done, len(bars) - 1)]))[:7]
        if month != said or done == len(bars):
            note(f"walked through {said}, {done / len(bars):.0%} of the bars")
            said = month

    return advance


def _finite(value: Any) -> Any:
    """Return the figures with None where there is no number: JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def _print_tables(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(
        f"{figures['market']}, judged {figures['judged_hours']} hours, {figures['from']} to {figures['until']}",
        markup=False,
    )
    for part in ("streamed", "frozen"):
        table = Table(title=f"Amount, {part}", title_justify="left")
        for heading in ("method", "Spearman", "Pearson", "partial", "MAE of log10", "predicted / executed"):
            table.add_column(heading, justify="left" if heading == "method" else "right")
        for name, row in figures[part].items():
            keys = ("spearman", "pearson", "partial", "mae_log", "ratio")
            table.add_row(name, *(_with_interval(row[key], row["interval"][key]) for key in keys))
        console.print(table)
    table = Table(title="Place: nats over uniform / AUC", title_justify="left")
    horizons = [key for key in figures["place"] if key.isdigit()]
    for heading in ("method", *(f"{hours} h" for hours in horizons)):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for name in figures["streamed"]:
        rows = [figures["place"][hours]["methods"][name] for hours in horizons]
        table.add_row(name, *(f"{_figure(row['nats'], '+.3f')} / {_figure(row['auc'], '.3f')}" for row in rows))
    if horizons:
        console.print(table)
    ours = next(iter(figures["streamed"].values()))
    by_month = ", ".join(f"{month} {_figure(row['ratio'], '.2f')}" for month, row in ours["by_month"].items())
    by_move = ", ".join(f"{move}% {ratio:.2f}" for move, ratio in ours["ratio_by_move"].items())
    console.print(f"Predicted / executed, streamed: {by_month}; by hourly move: {by_move}")


def _with_interval(value: float, bounds: tuple[float, float]) -> str:
    """Return a figure and its interval, which is NaN where nothing was drawn again."""
    if not all(math.isfinite(bound) for bound in bounds):
        return _figure(value, ".3g")
    return f"{_figure(value, '.3g')} ({_figure(bounds[0], '.2g')} to {_figure(bounds[1], '.2g')})"


def _figure(value: float, form: str) -> str:
    return f"{value:{form}}" if math.isfinite(value) else "none"
