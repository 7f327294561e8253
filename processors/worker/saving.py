"""Checkpoints in the order that makes results exact: outputs first, then the state, then the group's offset.

Called by the driver for some symbols of a partition at a time, so that messages get through in between.
"""

import asyncio
import time
from typing import Generic

from liqheat.platform.metrics import CHECKPOINT_BYTES, CHECKPOINTS_WRITTEN
from processors.worker.checkpoint import Checkpoint
from processors.worker.engine import Engine, State
from processors.worker.partition import Outlet, Partition, SymbolPlace


class Saver(Generic[State]):
    """Writes what `engine` knows of symbols through `outlet`."""

    def __init__(self, engine: Engine[State], outlet: Outlet) -> None:
        self._engine = engine
        self._outlet = outlet

    async def save(self, partition: Partition[State], symbols: list[SymbolPlace]) -> float:
        """Write checkpoints of `symbols`; let the group's offset move past what all checkpoints cover.

        Returns:
            Seconds spent on it, without waiting for the broker or for the partition.
        """
        async with partition.busy:
            # From here: who holds a partition may wait for the broker, and a pause is reckoned from what was spent.
            started = time.monotonic()
            deliveries, partition.deliveries = partition.deliveries, []
            packed = [(each, each.uncovered, self._packed(partition, each)) for each in symbols]
            for each in symbols:
                each.uncovered = None
            reached = partition.reached
            spent = time.monotonic() - started
        try:
            await asyncio.gather(*deliveries)
            if partition.is_lost:
                return spent
            await asyncio.gather(
                *(self._outlet.save(each.name, partition.number, checkpoint) for each, _, checkpoint in packed)
            )
        except BaseException:
            for each, uncovered, _ in packed:
                each.uncovered = uncovered if each.uncovered is None else min(each.uncovered, uncovered or 0)
            raise
        for each, _, checkpoint in packed:
            CHECKPOINTS_WRITTEN.inc()
            CHECKPOINT_BYTES.labels(each.name).set(len(checkpoint))
        if not partition.is_lost:
            self._go_on(partition, reached)
        return spent

    def _packed(self, partition: Partition[State], symbol: SymbolPlace) -> bytes:
        state = self._engine.dump(partition.state, symbol.name)
        return Checkpoint(partition.number, symbol.applied_offset, state).pack(symbol.name)

    def _go_on(self, partition: Partition[State], reached: int) -> None:
        """Let the group's offset move past the messages before `reached` that all checkpoints cover."""
        offset = partition.covered_up_to(reached)
        if offset > partition.committed:
            partition.committed = offset
            self._outlet.go_on_from(partition.number, offset)
