"""`liqheat alerts-webhook`: send alerts to a webhook (generic JSON, Slack, Telegram)."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("alerts-webhook")(alerts_webhook)


def alerts_webhook() -> None:
    """Send alerts to LIQHEAT_WEBHOOK__URL until stopped: one process, each alert once."""
    import signal
    import threading

    from liqheat.platform import logging
    from liqheat.platform.ending import limit_the_end
    from liqheat.platform.settings import load
    from liqheat.platform.topics import Topic
    from liqheat.platform.watching import watched
    from sinks.webhook.service import WebhookService

    settings = load()
    logging.configure(settings.service.log_level, settings.service.log_style)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    limit_the_end()
    running = WebhookService(settings)
    group = settings.webhook.group
    with watched(settings, "alerts-webhook", running.problem, group=group, topics=(Topic.ALERTS,)):
        running.run(stop)
