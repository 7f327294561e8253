"""Asks the broker every second or two how it is, on a thread and a connection of its own.

The clients that carry data cannot say it: they wait, try again and stay silent for as long as a minute. The health
endpoint of every service has a watch, which also measures how far the service's consumer group is behind.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError, KafkaTimeoutError, RequestTimedOutError

from liqheat.platform.errors import ConfigurationError
from liqheat.platform.kafka import client_settings, unreachable
from liqheat.platform.lag import LagJudge
from liqheat.platform.server_watch import ANSWER_SECONDS, ServerWatch
from liqheat.platform.settings import Kafka

T = TypeVar("T")

Reached = Callable[[], Mapping[tuple[str, int], int | None]]
"""Gives the offset before which a service has dealt with everything, of each partition (topic, number) that it reads
now; None where it has dealt with nothing yet. Called from a thread of its own."""


class BrokerWatch(ServerWatch):
    """Says whether the broker answers and the group keeps up; a context manager around its thread."""

    def __init__(
        self,
        kafka: Kafka,
        group: str | None = None,
        topics: Sequence[str] = (),
        *,
        reached: Reached | None = None,
        connect: Callable[[Kafka], Any] | None = None,
    ) -> None:
        """Watch the cluster, and the lag of `group` (its full name) on `topics` where one is given.

        `reached` is how far the service itself is, where it commits less often than it gets on. `connect` opens the
        client, kafka-python's by default.
        """
        super().__init__(f"Kafka at {kafka.bootstrap_servers}", self._ask_broker, self._drop_client)
        self._kafka = kafka
        self._group = group
        self._topics = tuple(topics)
        self._reached = reached
        self._connect = connect or _connect
        self._client: Any = None
        self._judge = LagJudge()
        self._has_lag = group is not None

    def lag(self) -> str | None:
        """Return how the group falls behind, None while it keeps up or nothing is known."""
        return None if self.is_failing else self._judge.problem()

    def standing(self, topic: str, partitions: Iterable[int]) -> dict[int, float]:
        """Return for how many seconds nothing was done of each of `partitions` with messages to read.

        Empty while the broker does not answer.
        """
        return {} if self.is_failing else _of_topic(topic, partitions, self._judge.standing())

    def halted(self) -> dict[str, float] | None:
        """Return the same of each partition (`topic[number]`); None while the broker does not answer."""
        return None if self.is_failing else self._judge.standing()

    def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offset that the next message of each of `partitions` will get, as the broker said last."""
        return {} if self.is_failing else _of_topic(topic, partitions, self._judge.ends)

    def _ask_broker(self) -> str | None:
        try:
            if self._client is None:
                self._client = self._connect(self._kafka)
            self._client.describe_cluster()
            if self._has_lag:
                self._measure()
        except (KafkaError, OSError) as error:
            return _sentence(self._kafka, error)
        return None

    def _measure(self) -> None:
        """Hand the judge how far the group and this service are, and where the log ends."""
        assert self._group is not None  # noqa: S101 - measured only with a group
        committed = self._committed(self._group)
        own = None if self._reached is None else {TopicPartition(*place): at for place, at in self._reached().items()}
        places = [*dict.fromkeys([*committed, *(own or ())])]
        if not places:
            return
        ends = self._client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
        # What is no longer kept is not waited for.
        begins = self._client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
        behind = {
            name_of(*place): (max(committed.get(place, 0), int(begins[place].offset)), int(end.offset))
            for place, end in ends.items()
        }
        reached = None if own is None else {name_of(*place): at or 0 for place, at in own.items()}
        self._judge.note(time.monotonic(), behind, reached)

    def _committed(self, group: str) -> Mapping[TopicPartition, int]:
        offsets = self._client.list_group_offsets(group).get(group, {})
        return {
            place: int(found.offset)
            for place, found in offsets.items()
            if found.offset >= 0 and (not self._topics or place.topic in self._topics)
        }

    def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            client.close()
        except (KafkaError, OSError, RuntimeError):
            # It is given up because it does not work; a second failure says nothing new.
            return


def name_of(topic: str, partition: int) -> str:
    """Return how a partition is called in lags and problems."""
    return f"{topic}[{partition}]"


def _of_topic(topic: str, partitions: Iterable[int], values: Mapping[str, T]) -> dict[int, T]:
    names = {number: name_of(topic, number) for number in partitions}
    return {number: values[name] for number, name in names.items() if name in values}


def _sentence(kafka: Kafka, error: Exception) -> str:
    found = unreachable(kafka, error)
    if isinstance(error, (RequestTimedOutError, KafkaTimeoutError)) and not isinstance(found, ConfigurationError):
        return f"Kafka at {kafka.bootstrap_servers} does not answer"
    return str(found)


def _connect(kafka: Kafka) -> KafkaAdminClient:
    limit = round(ANSWER_SECONDS * 1_000)
    return KafkaAdminClient(
        **(client_settings(kafka) | {"bootstrap_timeout_ms": limit}),
        request_timeout_ms=limit,
        reconnect_backoff_max_ms=1_000,
    )
