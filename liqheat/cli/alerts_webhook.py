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
    from liqheat.platform.health import HealthServer
    from liqheat.platform.settings import load
    from sinks.webhook.service import WebhookService

    settings = load()
    logging.configure(settings.service.log_level, settings.service.log_style)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    running = WebhookService(settings)
    with HealthServer("alerts-webhook", running.problem, settings.service.host, settings.service.port):
        running.run(stop)
