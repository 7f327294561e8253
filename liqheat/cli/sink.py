"""`liqheat sink`: carry the pipeline's output from Kafka into ClickHouse."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(sink)


def sink(
    migrate: bool = typer.Option(False, "--migrate", help="Apply missing migrations first (needs the right to)."),
) -> None:
    """Read the output topics into ClickHouse until stopped; SIGTERM writes and commits what was read."""
    import signal
    import threading

    from liqheat.cli.evidence import studies
    from liqheat.platform import logging
    from liqheat.platform.clickhouse import open_clickhouse
    from liqheat.platform.ending import limit_the_end
    from liqheat.platform.health import Condition, Level
    from liqheat.platform.settings import load
    from liqheat.platform.watching import broker_watch, watched
    from sinks.clickhouse import migrate as migrations
    from sinks.clickhouse.tables import TOPICS
    from sinks.service import Sink

    settings = load()
    service = settings.service
    logging.configure(service.log_level, service.log_style)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    limit_the_end()
    client = open_clickhouse(settings.clickhouse)
    try:
        if migrate:
            migrations.migrate(client, settings)
        running = Sink(settings, client, studies=studies(settings))
        more = [Condition("polling", running.stuck, Level.LIVE)]
        group = settings.sink.group
        running.broker = broker_watch(settings.kafka, group, TOPICS, running.reached)
        watch = watched(settings, "sink", running.problem, group=group, database=True, more=more, broker=running.broker)
        with watch:
            running.run(stop)
    finally:
        client.close()
