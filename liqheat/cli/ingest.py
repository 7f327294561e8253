"""`liqheat ingest` and `liqheat backfill`: one venue's feeds, or only its history, to Kafka."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from liqheat.domain.market import Venue

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from liqheat.platform.settings import Settings


def register(app: typer.Typer) -> None:
    """Add both commands to `app`."""
    app.command()(ingest)
    app.command()(backfill)


def ingest(
    venue: Venue = typer.Option(..., help="The venue to read.", case_sensitive=False),
    symbols: str = typer.Option("", help="Symbols separated by commas, or `all`; default: LIQHEAT_INGEST__SYMBOLS."),
    backfill: str = typer.Option(
        "", help="History read before going live (6h, 2d); default: LIQHEAT_INGEST__BACKFILL."
    ),
) -> None:
    """Read one venue's public feeds into Kafka until stopped; SIGTERM and Ctrl-C deliver what was read."""
    from ingest.backfill import duration_ms
    from ingest.feed_health import conditions_of
    from ingest.service import open_service
    from liqheat.platform.clock import SystemClock
    from liqheat.platform.watching import watched

    settings = _prepare(symbols)
    history_ms = duration_ms(backfill or settings.ingest.backfill)

    async def run() -> None:
        async with open_service(settings, venue, SystemClock()) as service:
            with watched(settings, f"ingest-{venue.value}", service.problem, more=conditions_of(service)):
                await service.run(history_ms)

    run_until_stopped(run())


def backfill(
    since: str = typer.Option(..., help="How far back to read: 90m, 24h, 7d."),
    venue: list[Venue] = typer.Option(
        [], help="A venue to read, more than once for several; default: LIQHEAT_VENUES.", case_sensitive=False
    ),
    symbols: str = typer.Option("", help="Symbols separated by commas, or `all`; default: LIQHEAT_INGEST__SYMBOLS."),
    state: Path | None = typer.Option(None, help="File that notes what is done; with it an interrupted run goes on."),
) -> None:
    """Publish history read by REST, oldest first, and stop."""
    from ingest.backfill import duration_ms
    from ingest.backfill_state import Progressed
    from ingest.service import open_service
    from liqheat.cli.progress import history_progress
    from liqheat.platform.clock import SystemClock

    settings = _prepare(symbols)
    history_ms = duration_ms(since)
    progressed = Progressed(state)

    async def run() -> None:
        for name in venue or settings.venues:
            async with open_service(settings, name, SystemClock()) as service:
                with history_progress(name) as progress:
                    await service.backfill(history_ms, progressed, progress)

    run_until_stopped(run())


def _prepare(symbols: str) -> "Settings":
    """Read the settings, set up logs, and create the topics that are missing."""
    from liqheat.platform import logging, settings
    from liqheat.platform.kafka import create_topics

    loaded = settings.load()
    logging.configure(loaded.service.log_level, loaded.service.log_style)
    create_topics(loaded.kafka)
    return with_symbols(loaded, symbols)


def with_symbols(settings: "Settings", symbols: str) -> "Settings":
    """Return `settings` with the watch list of the command line, where it gives one."""
    from liqheat.domain.instruments import as_asked
    from liqheat.platform.environment import words_of

    names = tuple(dict.fromkeys(as_asked(name) for name in words_of(symbols, "--symbols")))
    if not names:
        return settings
    return settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"symbols": names})})


def run_until_stopped(work: "Coroutine[None, None, None]") -> None:
    """Run `work` until it ends, or SIGTERM or SIGINT cancels it, which is no failure.

    Raises:
        LiqheatError: the first error that ended the work, out of its task group.
    """
    import asyncio
    import signal

    from liqheat.platform.ending import limit_the_end
    from liqheat.platform.errors import LiqheatError

    async def stoppable() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        stopped: list[int] = []

        def stop(number: int) -> None:
            stopped.append(number)
            task.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number)
        limit_the_end()
        try:
            await task
        except asyncio.CancelledError:
            if not stopped:
                raise

    try:
        asyncio.run(stoppable())
    except BaseExceptionGroup as group:
        # A task group wraps what ended it; the command line shows the first error of ours as one line.
        error: BaseException | None = group.subgroup(LiqheatError)
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if error is None:
            raise
        raise error from group
