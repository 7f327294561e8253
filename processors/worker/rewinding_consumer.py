"""Faust's consumer, made able to go back, to hand over messages in bundles, and to commit what it is given.

In a rebalance Faust throws away messages that it has fetched and not delivered. It then goes to the
committed offset, but stays where it is on a partition that has none yet, and messages fetched before may
slip in after. The driver notices what is missing; here it is fetched again.

Faust spends some hundred microseconds on every message it delivers, more than the engine does. So of the messages
of the log that were fetched together, only the last of each bundle goes through it, and `bundle` gives all of them.
Offsets are committed as the driver says, not as messages are acknowledged.
"""

from typing import Any

from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

BUNDLE_MESSAGES = 512
BUNDLE_BYTES = 2_000_000
"""Most messages of one bundle, and bytes after which it ends."""


class RewindingConsumer(Consumer):
    """Goes back to an offset between two fetches, the only moment when nothing it fetched is on its way."""

    log_topic = ""
    """Whose messages are bundled; set before it starts."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._wanted: dict[TP, int] = {}
        self._bundles: dict[tuple[int, int], list[Any]] = {}
        self._done: dict[TP, int] = {}

    def rewind(self, place: TP, offset: int) -> None:
        """Deliver the messages of `place` from `offset` on again, after those already fetched."""
        self._wanted[place] = offset

    def committed_offset(self, place: TP) -> int | None:
        """Return the offset at which the group goes on, None where it has committed none."""
        return self._committed_offset.get(place)

    def go_on_from(self, place: TP, offset: int) -> None:
        """Have `offset` committed as the one at which the group goes on."""
        self._done[place] = offset

    def bundle(self, partition: int, offset: int) -> list[Any]:
        """Return the records of the bundle whose last message was delivered, once; empty if it was dropped."""
        return self._bundles.pop((partition, offset), [])

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was wanted, fetched and done; the next assignment begins with nothing."""
        self._wanted.clear()
        self._bundles.clear()
        await super().on_partitions_revoked(revoked)
        self._done.clear()

    async def seek_wait(self, partitions: Any) -> None:
        """Go to offsets; where a rebalance has left Faust without one, to the beginning, from which all comes again."""
        await super().seek_wait({place: max(offset or 0, 0) for place, offset in partitions.items()})

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Any:
        return (place for place in list(self._done) if topics is None or place in topics or place.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._done.get(tp)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Keep no list of the offsets that were not delivered one by one."""

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's own
        while self._wanted:
            place, offset = self._wanted.popitem()
            await self._thread.call_thread(self._go_back, place, offset)
        fetched = await super()._getmany(active_partitions, timeout)
        return {
            place: self._bundled(place, records) if place.topic == self.log_topic else records
            for place, records in fetched.items()
        }

    def _bundled(self, place: TP, records: list[Any]) -> list[Any]:
        """Keep `records` in bundles, and return the last one of each."""
        lasts: list[Any] = []
        current: list[Any] = []
        size = 0
        for record in records:
            current.append(record)
            size += len(record.value or b"")
            if len(current) == BUNDLE_MESSAGES or size >= BUNDLE_BYTES or record is records[-1]:
                self._bundles[place.partition, record.offset] = current
                lasts.append(record)
                current, size = [], 0
        return lasts

    async def _go_back(self, place: TP, offset: int) -> None:
        client = self._thread._ensure_consumer()
        # In the client's own thread the assignment cannot change between these two lines.
        if place in client.assignment():
            client.seek(place, offset)
            # Faust drops messages below the offset that it has read, and takes a leap for a hole that needs
            # no acknowledgement; these messages come again.
            self._read_offset[place] = offset or None
