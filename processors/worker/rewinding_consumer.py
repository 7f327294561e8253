"""Faust's consumer, made able to go back.

In a rebalance Faust throws away messages that it has fetched and not delivered. It then goes to the
committed offset, but stays where it is on a partition that has none yet, and messages fetched before may
slip in after. The driver notices what is missing; here it is fetched again.
"""

from typing import Any

from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP


class RewindingConsumer(Consumer):
    """Goes back to an offset between two fetches, the only moment when nothing it fetched is on its way."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._wanted: dict[TP, int] = {}

    def rewind(self, place: TP, offset: int) -> None:
        """Deliver the messages of `place` from `offset` on again, after those already fetched."""
        self._wanted[place] = offset

    def committed_offset(self, place: TP) -> int | None:
        """Return the offset at which the group goes on, None where it has committed none."""
        return self._committed_offset.get(place)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was wanted; the next assignment begins anew."""
        self._wanted.clear()
        await super().on_partitions_revoked(revoked)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's own
        while self._wanted:
            place, offset = self._wanted.popitem()
            await self._thread.call_thread(self._go_back, place, offset)
        return await super()._getmany(active_partitions, timeout)

    async def _go_back(self, place: TP, offset: int) -> None:
        client = self._thread._ensure_consumer()
        # In the client's own thread the assignment cannot change between these two lines.
        if place in client.assignment():
            client.seek(place, offset)
            # Faust drops messages below the offset that it has read, and takes a leap for a hole that needs
            # no acknowledgement; these messages come again.
            self._read_offset[place] = offset or None
            self._gap.pop(place, None)
