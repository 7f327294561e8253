"""`liqheat catalyst`: write down events, import them, list them, and watch news feeds."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ingest.catalysts.items import Tagged

catalyst = typer.Typer(help="News and known events that may set a cluster off.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group of commands to `app`."""
    app.add_typer(catalyst, name="catalyst")


@catalyst.command()
def add(
    symbol: list[str] = typer.Argument(..., help="Canonical symbols, for example VIRTUAL."),
    title: str = typer.Option(..., help="What happens."),
    at: str = typer.Option(..., help="When: ISO 8601, UTC unless it says otherwise."),
    link: str = typer.Option("", help="Where to read more."),
    importance: str = typer.Option("normal", help="low, normal or high."),
) -> None:
    """Write down one event."""
    from ingest.catalysts.items import Tagged, event
    from liqheat.domain.instruments import is_symbol, symbol_asked
    from liqheat.platform.errors import ConfigurationError

    item = event(at, title, "command", link, importance)
    symbols = [symbol_asked(name) for name in symbol]
    if odd := [name for name, asked in zip(symbol, symbols, strict=True) if not is_symbol(asked)]:
        raise ConfigurationError(f"Expected a symbol such as VIRTUAL, was {odd[0][:40]!r}")
    _publish([Tagged(name, item) for name in symbols])
    typer.echo(item.catalyst_id)


@catalyst.command("import")
def import_(
    file: Path = typer.Argument(..., help="CSV with the columns time,symbol,title[,link,importance]."),
    strict: bool = typer.Option(False, "--strict", help="Import nothing where a line cannot be read."),
) -> None:
    """Write down the events of a CSV; importing it again changes nothing.

    A line that cannot be read is said on standard error with its number; the rest goes on, and the exit status is 1.
    """
    from ingest.catalysts.items import read_csv
    from liqheat.cli.bad_lines import BadLines
    from liqheat.platform.errors import ConfigurationError

    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"Cannot read {file} ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"Cannot read {file}: it is no UTF-8 from byte {error.start} on") from error
    bad_lines = BadLines()
    tagged = read_csv(text, file.name, None if strict else bad_lines.add)
    if tagged:
        _publish(tagged)
    typer.echo(f"{len(tagged)} catalysts of {len({each.symbol for each in tagged})} symbols")
    bad_lines.end()


@catalyst.command("list")
def list_(
    symbol: str = typer.Option(None, help="Only this symbol."),
    limit: int = typer.Option(50, min=1, max=10_000, help="How many of the newest to show."),
    data_dir: Path = typer.Option(None, help="Data directory of a finished demo, instead of the server."),
) -> None:
    """Show what is stored, newest first."""
    from liqheat.cli.stored_data import stored_data
    from liqheat.domain.instruments import symbol_asked

    with stored_data(data_dir) as client:
        rows = client.query(
            "SELECT event_time, symbol, importance, title, source FROM catalysts "
            "WHERE {symbol:String} IN ('', symbol) ORDER BY event_time DESC, symbol LIMIT {limit:UInt32}",
            parameters={"symbol": symbol_asked(symbol or ""), "limit": limit},
        ).result_rows
    for moment, name, importance, title, source in rows:
        typer.echo(f"{moment:%Y-%m-%d %H:%M}  {name:<10}  {importance:<6}  {title}  ({source})")


@catalyst.command()
def watch() -> None:
    """Read the feeds of LIQHEAT_CATALYSTS__FEEDS until stopped."""
    import asyncio
    import signal

    from ingest.catalysts.service import CatalystService
    from liqheat.domain.instruments import ALL_SYMBOLS, DEFAULT_WATCH_LIST
    from liqheat.platform import logging
    from liqheat.platform.ending import limit_the_end
    from liqheat.platform.kafka import close_producer, producer
    from liqheat.platform.settings import load
    from liqheat.platform.watching import watched

    settings = load()
    logging.configure(settings.service.log_level, settings.service.log_style)
    wanted = {*settings.ingest.symbols, *settings.catalysts.names} - {ALL_SYMBOLS} | set(DEFAULT_WATCH_LIST)
    sending = producer(settings.kafka)

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        limit_the_end()
        service = CatalystService(settings, wanted, sending)
        with watched(settings, "catalysts", service.problem):
            await service.run(stop)

    try:
        asyncio.run(run())
    finally:
        close_producer(sending, 5)


def _publish(tagged: "list[Tagged]") -> None:
    from ingest.catalysts.service import publish
    from liqheat.platform.kafka import close_producer, producer
    from liqheat.platform.settings import load

    kafka = load().kafka
    sending = producer(kafka)
    try:
        publish(kafka, sending, tagged)
    finally:
        close_producer(sending, 5)
