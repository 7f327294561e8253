"""kafka-python clients as the settings want them, topic creation, and dead letters.

Ingest, sinks and the command share this; the processors have their own client inside Faust. Driver
exceptions leave this module as `TransientError` or `FatalError`.
"""

import time
from collections.abc import Mapping
from typing import Any

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from liqheat.platform.errors import ConfigurationError, LiqheatError, Origin, TransientError
from liqheat.platform.kafka_refusal import refusal
from liqheat.platform.settings import Kafka
from liqheat.platform.topics import COMPRESSION, Topic

log = structlog.get_logger()

MAXIMUM_MESSAGE_BYTES = 1_000_000
MAXIMUM_VALUE_BYTES = MAXIMUM_MESSAGE_BYTES - 50_000
"""Most bytes of a value of ours: the rest is room for headers, key and Kafka's own framing."""
BOOTSTRAP_MS = 20_000
"""How long a client tries to reach a broker at its start."""


def client_settings(kafka: Kafka) -> dict[str, Any]:
    """Return what every kafka-python client needs to connect."""
    common: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers.replace(" ", "").split(","),
        "security_protocol": kafka.security_protocol,
        "bootstrap_timeout_ms": BOOTSTRAP_MS,
    }
    if kafka.ssl_ca_file is not None:
        common["ssl_cafile"] = str(kafka.ssl_ca_file)
    if kafka.ssl_certificate_file is not None:
        common["ssl_certfile"] = str(kafka.ssl_certificate_file)
        common["ssl_keyfile"] = str(kafka.ssl_key_file or kafka.ssl_certificate_file)
    if kafka.ssl_key_password is not None:
        common["ssl_password"] = kafka.ssl_key_password.get_secret_value()
    if kafka.sasl_mechanism is not None:
        if kafka.sasl_username is None or kafka.sasl_password is None:
            raise ConfigurationError(
                "SASL needs LIQHEAT_KAFKA__SASL_USERNAME and LIQHEAT_KAFKA__SASL_PASSWORD beside the mechanism"
            )
        common |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.sasl_password.get_secret_value(),
        }
    return common


def unreachable(kafka: Kafka, error: Exception) -> LiqheatError:
    """Return the error to raise when no broker lets us in: a wrong password or certificate is called that."""
    refused = refusal(kafka)
    if refused is not None:
        return ConfigurationError(refused)
    return TransientError(
        f"Cannot reach Kafka at {kafka.bootstrap_servers} ({type(error).__name__}: {error}); "
        "set LIQHEAT_KAFKA__BOOTSTRAP_SERVERS to a running broker"
    )


def producer(kafka: Kafka) -> KafkaProducer:
    """Return a producer that waits for all replicas and keeps order.

    Raises:
        TransientError: no broker answers.
    """
    try:
        return KafkaProducer(
            **client_settings(kafka),
            acks="all",
            compression_type=COMPRESSION,
            linger_ms=5,
            max_request_size=MAXIMUM_MESSAGE_BYTES,
        )
    except KafkaError as error:
        raise unreachable(kafka, error) from error


def close_producer(producer: Any, seconds: float) -> None:
    """Close a kafka-python producer within `seconds`; what it could not deliver by then is logged, not raised."""
    try:
        producer.close(timeout=seconds)
    except KafkaError as error:
        log.warning("a producer was closed with messages left", reason=str(error))


def consumer(kafka: Kafka, *, group: str | None, **overrides: Any) -> KafkaConsumer:
    """Return a consumer from the earliest offset that commits only when asked to.

    Raises:
        TransientError: no broker answers.
    """
    options: dict[str, Any] = {
        "group_id": group,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "max_partition_fetch_bytes": 4 * MAXIMUM_MESSAGE_BYTES,
    }
    try:
        return KafkaConsumer(**client_settings(kafka), **(options | overrides))
    except KafkaError as error:
        raise unreachable(kafka, error) from error


def create_topics(kafka: Kafka) -> list[str]:
    """Create the topics that are missing; return their names.

    Raises:
        TransientError: no broker answers.
    """
    created = []
    try:
        admin = KafkaAdminClient(**client_settings(kafka))
        try:
            existing = set(admin.list_topics())
            for topic in Topic:
                name = kafka.topic(topic)
                if name in existing:
                    continue
                try:
                    admin.create_topics(
                        [
                            NewTopic(
                                name=name,
                                num_partitions=topic.partitions(kafka.partitions),
                                replication_factor=kafka.replication_factor,
                                topic_configs=topic.configuration(),
                            )
                        ]
                    )
                    created.append(name)
                except TopicAlreadyExistsError:
                    # Another service won the race to create it.
                    continue
        finally:
            admin.close()
    except KafkaError as error:
        raise unreachable(kafka, error) from error
    return created


def partitions_of(client: Any, topic: str, patience: float = 10.0) -> list[int]:
    """Return the partition numbers of `topic` as the consumer `client` knows them, in order.

    A broker needs a moment before it lists a topic that was just made, so it is asked again for `patience` seconds.

    Raises:
        TransientError: there is no such topic.
    """
    deadline = time.monotonic() + patience
    while not (numbers := client.partitions_for_topic(topic)):
        if time.monotonic() > deadline:
            raise TransientError(f"The topic {topic} is missing; run `liqheat topics create`")
        time.sleep(0.2)
        # Reads all topics again.
        client.topics()
    return sorted(numbers)


def dead_letter_headers(
    reason: str, origin: Origin, stage: str, original: Mapping[str, bytes] | None = None
) -> list[tuple[str, bytes]]:
    """Return the headers of a dead letter; its value is the original, byte for byte up to `MAXIMUM_VALUE_BYTES`.

    Original headers stay under `original.<name>`.
    """
    headers = [
        ("reason", reason.encode()),
        ("stage", stage.encode()),
        ("origin_topic", origin.topic.encode()),
        ("origin_partition", str(origin.partition).encode()),
        ("origin_offset", str(origin.offset).encode()),
    ]
    return headers + [(f"original.{name}", value) for name, value in (original or {}).items()]
