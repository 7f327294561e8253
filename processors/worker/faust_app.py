"""Faust set up for the worker: an app that reaches Kafka as the settings say, and the table of checkpoints in it.

Used by `processors.worker.app`. Partitions, group and changelog are Faust's; it creates no topic and keeps no file.
"""

from typing import Any

import faust

from liqheat.platform.errors import ConfigurationError, FatalError
from liqheat.platform.kafka_refusal import ssl_context
from liqheat.platform.settings import Kafka
from liqheat.platform.topics import MAXIMUM_STATE_BYTES, Topic
from processors.worker.checkpoint import CheckpointTable
from processors.worker.rewinding_consumer import RewindingConsumer

GROUP = "liqheat-processors"
_TABLE = "engine-state"
# Each is a bundle of messages; what waits is fetched twice where the worker asks for missed messages meanwhile.
_WAITING_MESSAGES = 8


class _App(faust.App):
    """Faust without what a worker that keeps nothing on disk does not need."""

    async def on_first_start(self) -> None:
        """Make no directories: the table lives in memory and in its changelog."""

    async def on_stop(self) -> None:
        """Stop, and drop checkpoints that a broker which is away did not take: Faust would raise an error for them.

        The next worker applies again what they held.
        """
        await super().on_stop()
        waiting = self.producer.buffer.pending
        while not waiting.empty():
            waiting.get_nowait()


def make_app(kafka: Kafka) -> faust.App:
    """Return the Faust app that reaches Kafka as the settings say; it creates no topics."""
    app = _App(
        kafka.topic_prefix + GROUP,
        broker=[f"kafka://{server}" for server in kafka.bootstrap_servers.replace(" ", "").split(",")],
        broker_credentials=_credentials(kafka),
        autodiscover=False,
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=kafka.partitions,
        topic_replication_factor=kafka.replication_factor,
        # Faust would wait for acknowledgements that only a checkpoint gives.
        stream_wait_empty=False,
        stream_buffer_maxsize=_WAITING_MESSAGES,
        stream_recovery_delay=0.0,
        broker_session_timeout=kafka.session_seconds,
        broker_heartbeat_interval=kafka.session_seconds / 3,
        broker_rebalance_timeout=max(15.0, kafka.session_seconds),
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4_194_304,
        producer_acks=-1,
        # aiokafka compresses lz4 at level 9: ten times the time of zstd, and larger. The broker packs it as the topic
        # says.
        producer_compression_type="zstd",
        producer_linger=0.005,
        producer_max_batch_size=262_144,
        producer_max_request_size=MAXIMUM_STATE_BYTES,
        producer_request_timeout=30.0,
    )
    consumer = type("LogConsumer", (RewindingConsumer,), {"log_topic": kafka.topic(Topic.POSITION_EVENTS)})
    app.transport.Consumer = consumer  # type: ignore[misc]  # how Faust lets it be replaced
    return app


def make_table(app: faust.App, kafka: Kafka) -> CheckpointTable:
    """Return the table of checkpoints, which `app` reads back from its changelog.

    Raises:
        FatalError: Faust's name for the changelog is not that of `Topic.ENGINE_STATE`.
    """
    table = CheckpointTable(app, name=_TABLE, key_type=bytes, value_type=bytes, partitions=kafka.partitions)
    app.tables.add(table)
    expected = kafka.topic(Topic.ENGINE_STATE)
    if table.changelog_topic_name != expected:
        raise FatalError(f"Faust names the changelog {table.changelog_topic_name}, the topics say {expected}")
    return table


def _credentials(kafka: Kafka) -> Any:
    try:
        context = ssl_context(kafka)
    except OSError as error:
        raise ConfigurationError(f"Cannot read the certificates or the key for Kafka: {error}") from error
    if not kafka.security_protocol.startswith("SASL"):
        return faust.SSLCredentials(context) if context else None
    if kafka.sasl_mechanism is None or kafka.sasl_username is None or kafka.sasl_password is None:
        raise ConfigurationError(
            f"{kafka.security_protocol} needs LIQHEAT_KAFKA__SASL_MECHANISM, __SASL_USERNAME and __SASL_PASSWORD"
        )
    return faust.SASLCredentials(
        username=kafka.sasl_username,
        password=kafka.sasl_password.get_secret_value(),
        ssl_context=context,
        mechanism=kafka.sasl_mechanism,
    )
