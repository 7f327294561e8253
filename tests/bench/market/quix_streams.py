"""The usual way with Quix Streams: one JSON event per message, a sum per symbol in tumbling minutes.

Run by the bench in an environment that has it: quix_streams.py BROKER TOPIC EVENTS STATE_DIRECTORY; prints rows per
second of processor time from the first event to the last. Lighter than what the worker does: no price buckets.
"""

import sys
import time
from importlib import import_module
from typing import Any

broker, topic_name, wanted, state_directory = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
quixstreams: Any = import_module("quixstreams")
seen, started, rate = 0, 0.0, 0.0


def notional(event: dict[str, Any]) -> float:
    """Return the position's notional, having found where it is liquidated; notes the first and the last event."""
    global seen, started, rate
    if not seen:
        started = time.process_time()
    seen += 1
    if seen == wanted:
        rate = (wanted - 1) / (time.process_time() - started)
    liquidation_price = event["price"] * (1 - event["side"] / event["leverage"])
    return float(event["price"] * event["quantity"]) if liquidation_price > 0 else 0.0


application = quixstreams.Application(
    broker_address=broker,
    consumer_group=f"{topic_name}-quix",
    auto_offset_reset="earliest",
    state_dir=state_directory,
    loglevel="ERROR",
)
frame = application.dataframe(application.topic(topic_name, value_deserializer="json"))
frame.apply(notional).tumbling_window(60_000).sum().current()
application.run(count=wanted, timeout=300.0)
sys.stdout.write(f"{rate:.0f}\n")
