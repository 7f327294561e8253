"""The usual way, to compare with: a Faust agent with one JSON event a message and a windowed Table."""

import asyncio
import math
from typing import Any

import faust


class Event(faust.Record, serializer="json"):
    """One opened position."""

    symbol: str
    price: float
    quantity: float
    side: int
    leverage: float


class PlainWorker:
    """Counts notional by liquidation price bucket in tumbling one-minute windows."""

    def __init__(self, bootstrap_servers: str, name: str, partitions: int) -> None:
        self.events = 0
        self.app = faust.App(
            name,
            broker=f"kafka://{bootstrap_servers}",
            store="memory://",
            web_enabled=False,
            autodiscover=False,
            topic_partitions=partitions,
            topic_disable_leader=True,
            stream_wait_empty=False,
        )
        topic = self.app.topic(f"{name}-events", value_type=Event)
        table = self.app.Table("buckets", default=int, partitions=partitions).tumbling(60.0, expires=600.0)

        async def count(stream: Any) -> None:
            async for event in stream:
                liquidation_price = event.price * (1 - event.side / event.leverage)
                bucket = math.floor(math.log10(liquidation_price) * 1_000)
                table[f"{event.symbol}/{bucket}"] += round(event.price * event.quantity * 1e6)
                self.events += 1

        self.app.agent(topic, name="count")(count)

    async def run_until(self, events: int) -> None:
        """Start, and stop once that number of events was counted."""
        await self.app.start()
        while self.events < events:  # noqa: ASYNC110 - an event would slow what is measured
            await asyncio.sleep(0.01)
        await self.app.stop()
