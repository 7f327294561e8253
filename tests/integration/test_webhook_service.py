"""Alerts from Kafka to a receiver, over restarts of the webhook: each once."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl
import pytest
from pydantic import SecretStr

from liqheat.domain.events import Batch, Kind, schema_of
from liqheat.platform.clock import ManualClock
from liqheat.platform.codec import encode
from liqheat.platform.kafka import producer
from liqheat.platform.settings import Kafka, Settings, Webhook
from liqheat.platform.topics import Topic
from sinks.webhook.service import WebhookService

pytestmark = pytest.mark.kafka

NOW = 1_767_225_660_000


@pytest.fixture
def received() -> Iterator[tuple[str, list[str]]]:
    """The address of a receiver, and the ids of the alerts it got."""
    got: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            got.append(self.headers["Idempotency-Key"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", got
    server.shutdown()
    server.server_close()


def send(kafka: Kafka, *alert_ids: str, odd: int = 0) -> None:
    """Send alerts in one message, with `odd` rows more that no reader may take."""
    rows = [
        {name: "" if dtype == pl.String() else 1 for name, dtype in schema_of(Kind.ALERTS).polars.items()}
        | {"alert_id": alert_id, "event_time": NOW, "side": 1}
        for alert_id in (*alert_ids, *["odd"] * odd)
    ]
    frame = pl.DataFrame(rows, schema=schema_of(Kind.ALERTS).polars).with_columns(
        mark_price=pl.when(pl.col("alert_id") == "odd").then(-1.0).otherwise(pl.col("mark_price"))
    )
    headers, value = encode(Batch.of_market(Kind.ALERTS, "all", "VIRTUAL", "", frame))
    sending = producer(kafka)
    sending.send(kafka.topic(Topic.ALERTS), key=b"VIRTUAL", value=value, headers=headers).get(timeout=10)
    sending.close()


def run_until(service: WebhookService, done: Callable[[], bool]) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=service.run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + 20
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert done()


def test_each_alert_is_sent_once_though_it_comes_again_and_the_webhook_restarts(
    kafka: Kafka, received: tuple[str, list[str]]
) -> None:
    url, got = received
    settings = Settings(kafka=kafka, webhook=Webhook(url=SecretStr(url)))
    send(kafka, "first", "second", odd=1)
    send(kafka, "first")
    run_until(WebhookService(settings, ManualClock(NOW)), lambda: len(got) >= 2)
    # A processor that restarted says "second" again, then something new.
    send(kafka, "second", "third")
    run_until(WebhookService(settings, ManualClock(NOW)), lambda: "third" in got)
    assert got == ["first", "second", "third"]
