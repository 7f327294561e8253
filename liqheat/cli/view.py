"""`liqheat view` and `liqheat serve-local`: the page over a ClickHouse server, or with the sink in one process.

Embedded ClickHouse is one engine a process, so the local stack's sink and page share one.
"""

from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from clickhouse_connect.driver.client import Client

    from liqheat.platform.settings import Settings
    from sinks.service import Sink


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(view)
    app.command("serve-local", hidden=True)(serve_local)


def view(
    port: int = typer.Option(
        None,
        min=0,
        max=65_535,
        help="Port of the page; 0 takes a free one.",
        show_default="LIQHEAT_VIEWER__PORT, 8080",
    ),
    data_dir: Path = typer.Option(None, help="Show what `liqheat demo` or `live` left here, instead of a server's."),
) -> None:
    """Serve the page over the ClickHouse of the settings, until interrupted."""
    from liqheat.local.data_directory import stored_in
    from liqheat.platform import clickhouse, logging, settings

    loaded = settings.load()
    logging.configure(loaded.service.log_level, "console")
    if port is not None:
        loaded = loaded.model_copy(update={"viewer": loaded.viewer.model_copy(update={"port": port})})
    stored = stored_in(loaded.clickhouse, data_dir)

    def open_client() -> "Client":
        return clickhouse.open_clickhouse(stored, readonly=True, threads=1)

    # A server may be back later, a folder that another process holds is refused now, and held from here on.
    with closing(open_client()) if stored.interface == "chdb" else nullcontext():
        _run(loaded, open_client, None)


def serve_local() -> None:
    """Run the sink and the page in one process over embedded ClickHouse; part of `liqheat demo` and `live`."""
    from liqheat.cli.evidence import studies
    from liqheat.platform import clickhouse, logging, settings
    from liqheat.platform.kafka import create_topics
    from sinks.clickhouse.migrate import migrate
    from sinks.service import Sink

    loaded = settings.load()
    logging.configure(loaded.service.log_level, loaded.service.log_style)
    client = clickhouse.open_clickhouse(loaded.clickhouse)
    migrate(client, loaded)
    create_topics(loaded.kafka)
    client.close()
    _run(
        loaded,
        lambda: clickhouse.open_clickhouse(loaded.clickhouse, threads=1),
        Sink(loaded, clickhouse.open_clickhouse(loaded.clickhouse), studies=studies(loaded)),
    )


def _run(settings: "Settings", open_client: "Callable[[], Client]", sink: "Sink | None") -> None:
    import asyncio

    asyncio.run(_serve(settings, open_client, sink))


async def _serve(settings: "Settings", open_client: "Callable[[], Client]", sink: "Sink | None") -> None:
    """Serve until a signal, or until the sink's thread ends; its error is then raised here."""
    import asyncio
    import signal
    import threading
    from contextlib import ExitStack

    import structlog

    from liqheat.platform.ending import limit_the_end
    from liqheat.platform.health import Condition, Level
    from liqheat.platform.watching import broker_watch, watched
    from liqheat.viewer.server import ViewerServer

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    limit_the_end()
    with ExitStack() as stack:
        if sink is not None:
            more = [Condition("polling", sink.stuck, Level.LIVE)]
            group = settings.sink.group
            sink.broker = broker_watch(settings.kafka, group, (), sink.reached)
            watch = watched(settings, "serve-local", sink.problem, group=group, more=more, broker=sink.broker)
            stack.enter_context(watch)
        async with ViewerServer(settings.viewer, open_client, settings.engine.grid_factor) as viewer:
            structlog.get_logger().info("viewer_ready", address=viewer.address)
            if sink is None:
                print(f"Heatmap: {viewer.address}  (Ctrl-C ends)")
                await stop.wait()
                return
            finish = threading.Event()
            consuming = asyncio.ensure_future(asyncio.to_thread(sink.run, finish))
            interrupted = asyncio.ensure_future(stop.wait())
            await asyncio.wait({consuming, interrupted}, return_when=asyncio.FIRST_COMPLETED)
            interrupted.cancel()
            finish.set()
            await consuming
