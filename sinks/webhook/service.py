"""The webhook as a service: reads the topic `alerts`, hands each to the sender, commits what is dealt with.

One process reads all partitions. After a restart it first reads the latest alerts before its committed
offset again, only to remember them, so that one repeated by a restarted processor is not sent twice.
"""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError

from liqheat.domain.events import Batch, Kind
from liqheat.domain.signals import Alert
from liqheat.platform import kafka, metrics
from liqheat.platform.clock import Clock, SystemClock
from liqheat.platform.dead_letters import KafkaDeadLetters
from liqheat.platform.errors import Origin, PoisonMessage
from liqheat.platform.odd_rows import decode_sane_rows
from liqheat.platform.polling import CalmPoll
from liqheat.platform.settings import Settings
from liqheat.platform.topics import Topic
from sinks.webhook.sender import WebhookSender

log = structlog.get_logger()

STAGE = "webhook"
RECALLED_MESSAGES = 1_000
POLL_SECONDS = 0.5


class WebhookService:
    """Delivers alerts until asked to stop."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._sender = WebhookSender(settings.webhook, clock or SystemClock())
        self._dead_letters = KafkaDeadLetters(settings.kafka, STAGE)
        self._problem: str | None = "The webhook has not started"

    def problem(self) -> str | None:
        """Say what is wrong, for the health endpoint; None while all is well."""
        return self._problem

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set.

        Raises:
            TransientError: Kafka cannot be reached, or the topic is missing.
        """
        asyncio.run(self._run(stop))

    async def _run(self, stop: threading.Event) -> None:
        group = self._settings.kafka.topic_prefix + self._settings.webhook.group
        consumer = await asyncio.to_thread(kafka.consumer, self._settings.kafka, group=group)
        try:
            first_new = await asyncio.to_thread(self._assign, consumer)
            self._problem = None
            async with self._sender:
                poll = CalmPoll(consumer)
                while not stop.is_set():
                    polled = await asyncio.to_thread(poll, POLL_SECONDS)
                    await self._deliver(consumer, polled, first_new)
        except KafkaError as error:
            raise kafka.unreachable(self._settings.kafka, error) from error
        finally:
            await asyncio.to_thread(consumer.close, autocommit=False, timeout_ms=5_000)
            self._dead_letters.close()

    def _assign(self, consumer: KafkaConsumer) -> dict[Any, int]:
        """Take all partitions, `RECALLED_MESSAGES` back; return the first offset of each that is new."""
        topic = self._settings.kafka.topic(Topic.ALERTS)
        partitions = [TopicPartition(topic, number) for number in kafka.partitions_of(consumer, topic)]
        consumer.assign(partitions)
        beginnings = consumer.beginning_offsets(partitions)
        first_new = {}
        for partition in partitions:
            committed = consumer.committed(partition)
            first_new[partition] = beginnings[partition] if committed is None else committed
            consumer.seek(partition, max(beginnings[partition], first_new[partition] - RECALLED_MESSAGES))
        return first_new

    async def _deliver(
        self, consumer: KafkaConsumer, polled: Mapping[Any, Sequence[Any]], first_new: Mapping[Any, int]
    ) -> None:
        for partition, messages in polled.items():
            for message in messages:
                for symbol, alert in self._alerts(message):
                    if message.offset < first_new[partition]:
                        self._sender.remember(alert.alert_id)
                    else:
                        await self._sender.deliver(symbol, alert)
                if message.offset >= first_new[partition]:
                    offset = OffsetAndMetadata(message.offset + 1, "", -1)
                    await asyncio.to_thread(self._dead_letters.flush)
                    await asyncio.to_thread(consumer.commit, {partition: offset}, timeout_ms=10_000)

    def _alerts(self, message: Any) -> list[tuple[str, Alert]]:
        metrics.MESSAGES_CONSUMED.labels(Topic.ALERTS.label).inc()
        origin = Origin(message.topic, message.partition, message.offset)
        headers = dict(message.headers)
        try:
            read = decode_sane_rows(headers, message.value)
            if read.batch.kind is not Kind.ALERTS:
                raise PoisonMessage(f"Expected alerts, was {read.batch.kind.value!r}")
        except PoisonMessage as error:
            self._dead_letters.add(error.reason, origin, headers, message.value or b"")
            return []
        if read.odd is not None:
            self._dead_letters.add(read.reason, origin, headers, read.odd)
        return alerts_of(read.batch)


def alerts_of(batch: Batch) -> list[tuple[str, Alert]]:
    """Return the alerts of a batch with their symbol, oldest first."""
    return [(symbol, Alert(*row)) for symbol, _, *row in batch.frame.iter_rows()]
