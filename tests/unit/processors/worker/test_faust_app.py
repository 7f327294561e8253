"""Faust as the worker uses it: what its own way of stopping would make of a broker that is away."""

import asyncio
from types import SimpleNamespace
from typing import Any

from liqheat.platform.settings import Kafka
from processors.worker.faust_app import make_app


async def test_checkpoints_that_a_broker_did_not_take_are_no_error_at_the_end() -> None:
    app = make_app(Kafka())
    taken = asyncio.Event()

    async def publish(waiting: Any, *, wait: bool) -> None:
        """Never return, as where the broker is away."""
        taken.set()
        await asyncio.Event().wait()

    checkpoint: Any = SimpleNamespace(message=SimpleNamespace(channel=SimpleNamespace(publish_message=publish)))
    buffer = app.producer.buffer
    await buffer.start()
    buffer.put(checkpoint)
    await taken.wait()
    buffer.put(checkpoint)
    await app.on_stop()
    await buffer.stop()
    assert buffer.size == 0
