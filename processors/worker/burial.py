"""What cannot be applied, to the dead letters: whole messages, or the failing rows of one; too many in a row stop.

The driver decides what is buried; here it is sent, counted and held against the limit of its partition.
"""

import asyncio
from typing import Generic

import structlog

from liqheat.platform.errors import PoisonMessage
from liqheat.platform.metrics import DEAD_LETTERS
from liqheat.platform.topics import Topic
from processors.worker.dead_letters import STAGE, letter_headers
from processors.worker.engine import State
from processors.worker.partition import Outlet, Partition
from processors.worker.reading import LogMessage, Refused, origin_of

_LOG = structlog.get_logger()


class Burial(Generic[State]):
    """Sends dead letters through `outlet`."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._letters = DEAD_LETTERS.labels(STAGE)

    async def bury(self, partition: Partition[State], message: LogMessage, error: PoisonMessage) -> None:
        """Make a whole message a dead letter."""
        await self._send(partition, message, error.reason, message.value)
        await self.note_poison(partition, error, message)

    async def bury_rows(self, partition: Partition[State], message: LogMessage, refused: Refused) -> None:
        """Make a dead letter of some rows of a message."""
        await self._send(partition, message, refused.reason, refused.value)

    async def _send(self, partition: Partition[State], message: LogMessage, reason: str, value: bytes | None) -> None:
        self._letters.inc()
        _LOG.warning("dead letter", reason=reason, origin=str(origin_of(message)))
        headers = letter_headers(message, reason)
        partition.deliveries.append(await self._outlet.send(Topic.DEAD_LETTERS, value, headers, None))

    async def note_poison(self, partition: Partition[State], error: PoisonMessage, message: LogMessage) -> None:
        """Count a message of which nothing could be taken.

        Raises:
            DeadLetterLimitExceeded: it is one too many in a row; all letters are with the broker by then.
        """
        partition.limit.count(error.reason, origin_of(message))
        if partition.limit.reached:
            # The operator shall find the letters that the message speaks of.
            await asyncio.gather(*partition.deliveries)
            raise partition.limit.error()
