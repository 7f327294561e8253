"""Reads the configured news feeds again and again, and publishes what is new to the topic `catalysts`.

One process for all feeds. A feed that does not answer is asked again at the next round; one that cannot be
read becomes a dead letter. `publish` also serves `liqheat catalyst add` and `import`.
"""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from kafka.errors import KafkaError

from ingest.catalysts.items import Tagged, Tagger, read_feed, to_batches
from liqheat.platform import kafka, metrics
from liqheat.platform.clock import Clock, SystemClock
from liqheat.platform.codec import encode
from liqheat.platform.dead_letters import KafkaDeadLetters
from liqheat.platform.errors import ConfigurationError, Origin, PoisonMessage, TransientError
from liqheat.platform.settings import Kafka, Settings
from liqheat.platform.topics import Topic

log = structlog.get_logger()

STAGE = "catalysts"
LARGEST_FEED = 2_000_000
FETCH_SECONDS = 20.0
_SEND_SECONDS = 10.0


def publish(settings: Kafka, producer: Any, tagged: Sequence[Tagged]) -> None:
    """Send catalysts and return once the broker has them.

    Raises:
        TransientError: it has not.
    """
    try:
        sent = []
        for batch in to_batches(tagged):
            headers, value = encode(batch)
            topic = settings.topic(Topic.CATALYSTS)
            sent.append(producer.send(topic, key=batch.symbols[0].encode(), value=value, headers=headers))
        for delivery in sent:
            delivery.get(timeout=_SEND_SECONDS)
    except KafkaError as error:
        raise kafka.unreachable(settings, error) from error
    for each in tagged:
        metrics.CATALYSTS_PUBLISHED.labels(each.catalyst.source).inc()


class CatalystService:
    """Watches feeds until asked to stop."""

    def __init__(self, settings: Settings, symbols: Iterable[str], producer: Any, clock: Clock | None = None) -> None:
        """Take a kafka-python producer, which the caller closes.

        Raises:
            ConfigurationError: no feed is configured.
        """
        if not settings.catalysts.feeds:
            raise ConfigurationError("Set LIQHEAT_CATALYSTS__FEEDS to RSS or Atom addresses or files, as a JSON list")
        self._settings = settings
        self._producer = producer
        self._dead_letters = KafkaDeadLetters(settings.kafka, STAGE, producer)
        self._clock = clock or SystemClock()
        self._tagger = Tagger(symbols, settings.catalysts.names)
        self._published: dict[str, set[tuple[str, str]]] = {}
        self._failing: dict[str, str] = {}

    def problem(self) -> str | None:
        """Say what is wrong, for the health endpoint: only that no feed at all can be read."""
        if len(self._failing) < len(self._settings.catalysts.feeds):
            return None
        return "No feed can be read: " + "; ".join(f"{feed}: {reason}" for feed, reason in self._failing.items())

    async def run(self, stop: asyncio.Event) -> None:
        """Read all feeds every `catalysts.interval` seconds until `stop` is set."""
        timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
            while not stop.is_set():
                for feed in self._settings.catalysts.feeds:
                    await self.read(session, feed)
                await asyncio.to_thread(self._send_dead_letters)
                try:
                    await asyncio.wait_for(stop.wait(), self._settings.catalysts.interval)
                except TimeoutError:
                    continue

    async def read(self, session: aiohttp.ClientSession, feed: str) -> int:
        """Read one feed and publish its new items; return how many. A feed that fails is noted, not raised."""
        content = b""
        try:
            content = await _fetch(session, feed)
            items = await asyncio.to_thread(read_feed, content, feed, self._clock.now_ms(), self._tagger)
            known = self._published.get(feed, set())
            new = [each for each in items if (each.symbol, each.catalyst.catalyst_id) not in known]
            await asyncio.to_thread(publish, self._settings.kafka, self._producer, new)
        except TransientError as error:
            self._failing[feed] = str(error)
            log.warning("feed not read", feed=feed, reason=str(error))
            return 0
        except PoisonMessage as error:
            # A feed that stays broken the same way is one dead letter, not one per round.
            if self._failing.get(feed) != error.reason:
                self._failing[feed] = error.reason
                log.warning("feed is no feed", feed=feed, reason=error.reason)
                self._dead_letters.add(error.reason, Origin(feed), {}, content)
                await asyncio.to_thread(self._send_dead_letters)
            return 0
        self._failing.pop(feed, None)
        # What left the feed need not be remembered: it does not come back, and if it did it would replace itself.
        self._published[feed] = {(each.symbol, each.catalyst.catalyst_id) for each in items}
        return len(new)

    def _send_dead_letters(self) -> None:
        try:
            self._dead_letters.flush()
        except TransientError as error:
            log.warning("dead letters wait for the broker", reason=str(error))


async def _fetch(session: aiohttp.ClientSession, feed: str) -> bytes:
    """Return the document at an address or path.

    Raises:
        TransientError: it cannot be had now, or is larger than `LARGEST_FEED`.
    """
    if not feed.startswith(("http://", "https://")):
        try:
            return await asyncio.to_thread(Path(feed).read_bytes)
        except OSError as error:
            raise TransientError(f"cannot read the file ({error.strerror})") from error
    try:
        async with session.get(feed) as response:
            if response.status != 200:
                raise TransientError(f"status {response.status}")
            content = await response.content.read(LARGEST_FEED + 1)
            while len(content) <= LARGEST_FEED and (more := await response.content.read(LARGEST_FEED)):
                content += more
    except (aiohttp.ClientError, TimeoutError) as error:
        raise TransientError(f"no answer ({type(error).__name__})") from error
    if len(content) > LARGEST_FEED:
        raise TransientError(f"larger than {LARGEST_FEED} bytes")
    return content
