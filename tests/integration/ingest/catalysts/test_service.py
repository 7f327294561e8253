"""The catalysts' service: publishes what is new, buries what is no feed, ends when it should."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ingest.catalysts.service import CatalystService
from liqheat.domain.events import Kind
from liqheat.platform.clock import ManualClock
from liqheat.platform.codec import decode
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.settings import Catalysts, Settings
from tests.support.news import NOW, RSS, SYMBOLS


class Sent:
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.first = asyncio.Event()
        self.is_taking = True
        self.loop: asyncio.AbstractEventLoop | None = None

    def send(self, topic: str, **message: Any) -> "Sent":
        self.messages.append((topic, message))
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.first.set)
        return self

    def get(self, timeout: float) -> None:
        assert timeout > 0

    def flush(self, timeout: float) -> None:
        assert timeout > 0

    def succeeded(self) -> bool:
        return self.is_taking

    exception = "the broker is away"

    def titles(self) -> list[tuple[str, str]]:
        batches = [decode(m["headers"], m["value"]) for topic, m in self.messages if topic == "catalysts"]
        assert all(batch.kind is Kind.CATALYSTS for batch in batches)
        return [(batch.symbols[0], title) for batch in batches for title in batch.frame["title"]]


async def test_the_service_publishes_what_is_new_and_buries_what_is_no_feed(tmp_path: Path) -> None:
    answers = [RSS, RSS, RSS.replace(b"</channel>", b"<item><title>GRASS unlock</title></item></channel>"), b"<html>"]

    async def feed(_: web.Request) -> web.Response:
        return web.Response(body=answers.pop(0))

    application = web.Application()
    application.router.add_get("/feed", feed)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/feed"
    missing = str(tmp_path / "missing.xml")
    producer = Sent()
    settings = Settings(catalysts=Catalysts(feeds=(url, missing)))
    service = CatalystService(settings, SYMBOLS, producer, ManualClock(NOW))
    try:
        async with aiohttp.ClientSession() as session:
            assert [await service.read(session, url) for _ in range(3)] == [3, 0, 1]
            assert producer.titles()[-1] == ("GRASS", "GRASS unlock")
            assert await service.read(session, missing) == 0
            assert service.problem() is None
            assert await service.read(session, url) == 0
    finally:
        await runner.cleanup()
    topic, letter = producer.messages[-1]
    assert (topic, letter["value"]) == ("dead-letters", b"<html>")
    assert ("stage", b"catalysts") in letter["headers"]
    assert "No feed can be read" in str(service.problem())


async def test_the_service_stops_when_asked(tmp_path: Path) -> None:
    file = tmp_path / "feed.xml"
    file.write_bytes(RSS)
    producer, stop = Sent(), asyncio.Event()
    producer.loop = asyncio.get_running_loop()
    service = CatalystService(Settings(catalysts=Catalysts(feeds=(str(file),))), SYMBOLS, producer, ManualClock(NOW))
    running = asyncio.create_task(service.run(stop))
    await asyncio.wait_for(producer.first.wait(), 5)
    stop.set()
    await asyncio.wait_for(running, 5)


def test_no_feed_is_a_sentence() -> None:
    with pytest.raises(ConfigurationError, match="LIQHEAT_CATALYSTS__FEEDS"):
        CatalystService(Settings(), SYMBOLS, Sent())


async def test_a_dead_letter_waits_for_the_broker_and_a_feed_that_stays_broken_is_one(tmp_path: Path) -> None:
    file = tmp_path / "feed.xml"
    file.write_bytes(b"<html>")
    producer = Sent()
    producer.is_taking = False
    settings = Settings(catalysts=Catalysts(feeds=(str(file),), interval=0.01))
    service = CatalystService(settings, SYMBOLS, producer, ManualClock(NOW))
    async with aiohttp.ClientSession() as session:
        assert [await service.read(session, str(file)) for _ in range(3)] == [0, 0, 0]
    assert [message["value"] for _, message in producer.messages] == [b"<html>"]
    # The next round sends what was not taken.
    producer.is_taking, stop = True, asyncio.Event()
    producer.loop = asyncio.get_running_loop()
    running = asyncio.create_task(service.run(stop))
    await asyncio.wait_for(producer.first.wait(), 5)
    stop.set()
    await asyncio.wait_for(running, 5)
    assert [message["value"] for _, message in producer.messages] == [b"<html>", b"<html>"]
