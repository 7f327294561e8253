"""`liqheat map`: the engine without Kafka, normalised events in, heatmap rows out, one JSON per line."""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from liqheat.cli.bad_lines import BadLines
    from liqheat.domain.events import Batch, Event

_MOST_DIGITS = 10
_SPAN = 256
"""Batches that the engine applies together: the rows are those of one at a time, for about half the work."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="map")(map_events)


def map_events(
    file: Path | None = typer.Argument(
        None, help="File of events, one JSON per line, may be packed (gzip, Zstandard); default: standard input."
    ),
    every: str = typer.Option("", help="Print the map at every multiple of this: 60m, 1h, 30m."),
    at: list[str] = typer.Option([], help="Print the map at this time (s, ms or ISO 8601, UTC); may be given again."),
    strict: bool = typer.Option(False, "--strict", help="Stop at the first line that cannot be read."),
) -> None:
    """Turn normalised events, as `liqheat normalise` prints them, into the liquidation map.

    Rows hold `symbol, venue, side, basis, window_start` (ms)`, price_low, price_high, at_risk_usd,
    expected_usd, confidence` of the minute that starts at each time asked for; without --every and --at, of each
    market's last minute.
    A line that cannot be read, or is of a time that has not come, is said on standard error with its number; so are
    rows that the engine refuses. The rest goes on, and the exit status is 1 at the end.
    """
    import polars as pl

    from liqheat.cli.bad_lines import BadLines
    from liqheat.cli.map_events import batches, read_events
    from liqheat.cli.packed_files import lines_of
    from liqheat.cli.progress import progress
    from liqheat.cli.times import note, read_time
    from liqheat.platform.clock import SystemClock
    from liqheat.platform.errors import ConfigurationError, PoisonMessage

    step = _duration_ms(every) if every else None
    wanted = [time for text in at if (time := read_time(text, "--at")) is not None]
    if file is not None and file.is_dir():
        raise ConfigurationError(f"Expected a file, {file} is a directory")
    if file is not None and not file.exists():
        raise ConfigurationError(f"There is no file {file}")
    events: list[Event] = []
    bad_lines, clock = BadLines(strict), SystemClock()
    for number, line in lines_of(file, bad_lines):
        try:
            events += read_events(line, clock.now_ms()) if line.strip() else []
        except PoisonMessage as poison:
            bad_lines.add(number, poison.reason)
    with progress("Events", len(events)) as advance:
        log = batches(events)
        chosen = [rows for levels in _levels(log, bad_lines, advance) if len(rows := _choose(levels, step, wanted))]
    if chosen:
        rows = pl.concat([_rows(levels) for levels in chosen])
        # Written here: polars' own error where nobody reads the output could not be told from others.
        sys.stdout.write(rows.sort("window_start", "symbol", "venue", "side", "basis", "price_low").write_ndjson())
    elif not events:
        note("the map is empty, for there are no events")
    elif wanted:
        note("the map is empty at the times asked for: they are before the first minute with a map")
    bad_lines.end()


def _levels(
    log: "Iterator[Batch]", bad_lines: "BadLines", advance: "Callable[[int], None]"
) -> "Iterator[pl.DataFrame]":
    """Run the engine over `log`; yield each market's levels, all its minutes and the last one still open.

    What the engine refuses goes to `bad_lines`, with its state as before, as the worker does. Events are sorted, so no
    minute waits for late ones. `advance` is called with the number of events done.
    """
    import polars as pl

    from liqheat.domain.events import Kind
    from liqheat.platform.codec import rows_of
    from liqheat.platform.errors import PoisonMessage
    from liqheat.platform.settings import load
    from processors.heatmap import engine

    state = engine.new_state(load().engine.model_copy(update={"lateness_ms": 0, "closing_spread_ms": 0}))
    columns = ("symbol", "window_start", "side", "basis", "bucket", "at_risk_usd", "expected_usd", "confidence")
    frames: list[pl.DataFrame] = []

    def take(outputs: "list[Batch]") -> None:
        for output in outputs:
            if output.kind is Kind.HEATMAP_LEVELS:
                levels = output.frame.select(pl.lit(output.venue).alias("venue"), *columns)
                frames.append(levels.filter(pl.col("at_risk_usd").list.max() > 0))

    done = 0
    while span := list(islice(log, _SPAN)):
        try:
            take(engine.apply_span(state, [rows_of(batch) for batch in span]))
        except PoisonMessage:
            for batch in span:
                try:
                    take(engine.apply(state, batch))
                except PoisonMessage as poison:
                    bad_lines.add(_place_of(batch), poison.reason, what=batch.kind.value)
        done += sum(batch.frame.height for batch in span)
        advance(done)
    take(engine.open_minutes(state))
    if frames:
        yield from pl.concat(frames).partition_by("symbol", "venue")


def _rows(levels: "pl.DataFrame") -> "pl.DataFrame":
    """Return one row per bucket, leverage bands summed, in USD."""
    import polars as pl

    from liqheat.domain.money import MICRO_USD_PER_USD
    from liqheat.domain.price_grid import lower_edge, upper_edge
    from liqheat.platform.settings import load

    factor = load().engine.grid_factor
    summed = (
        levels.explode("bucket", "at_risk_usd", "expected_usd", "confidence", empty_as_null=False)
        .filter(pl.col("at_risk_usd") > 0)
        .group_by("symbol", "venue", "window_start", "side", "basis", "bucket")
        .agg(
            confidence=(pl.col("confidence") * pl.col("at_risk_usd")).sum() / pl.col("at_risk_usd").sum(),
            at_risk_usd=pl.col("at_risk_usd").sum() / MICRO_USD_PER_USD,
            expected_usd=pl.col("expected_usd").sum() / MICRO_USD_PER_USD,
        )
    )
    buckets = summed["bucket"].to_numpy()
    return summed.select(
        "symbol",
        "venue",
        pl.when(pl.col("side") > 0).then(pl.lit("long")).otherwise(pl.lit("short")).alias("side"),
        "basis",
        "window_start",
        pl.Series("price_low", lower_edge(buckets, factor)),
        pl.Series("price_high", upper_edge(buckets, factor)),
        "at_risk_usd",
        "expected_usd",
        "confidence",
    )


def _place_of(batch: "Batch") -> str:
    """Say which rows these are, for lines come sorted and batched."""
    first = batch.frame.row(0, named=True)
    return f"of {batch.venue} {first['symbol']} from {first['event_time']}"


def _choose(rows: "pl.DataFrame", step: int | None, wanted: list[int]) -> "pl.DataFrame":
    """Return one market's levels of the minutes asked for; of a time past its last minute, the last."""
    import polars as pl

    last = rows["window_start"].max()
    if last is None:
        return rows
    if step is None and not wanted:
        return rows.filter(pl.col("window_start") == last)
    starts = [min(time - time % 60_000, last) for time in wanted]
    is_wanted = pl.col("window_start").is_in(starts)
    return rows.filter(is_wanted if step is None else is_wanted | (pl.col("window_start") % step == 0))


def _duration_ms(text: str) -> int:
    """Read a duration in whole minutes, hours or days: `15m`, `1h`, `1d`.

    Raises:
        ConfigurationError: it is none.
    """
    from liqheat.platform.errors import ConfigurationError

    units = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
    if not (text[:-1].isdecimal() and len(text) < _MOST_DIGITS and text[-1:] in units and int(text[:-1]) > 0):
        raise ConfigurationError(f"Expected --every as whole minutes, hours or days (15m, 1h, 1d), was {text!r}")
    return int(text[:-1]) * units[text[-1]]
