"""What the driver asks of Kafka's client while a rebalance takes a partition away."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from liqheat.platform.settings import Kafka
from processors.worker.checkpoint import CheckpointTable
from processors.worker.faust_outlet import FaustOutlet


async def test_the_end_of_a_partition_that_has_just_been_taken_away_is_not_known() -> None:
    client = AIOKafkaConsumer()
    with pytest.raises(AssertionError, match="not assigned"):
        client.highwater(TopicPartition("position-events", 3))
    outlet = FaustOutlet(cast(Any, SimpleNamespace(consumer=client)), cast(CheckpointTable, None), Kafka())
    assert outlet.end_offset(3) is None
    await client.stop()
