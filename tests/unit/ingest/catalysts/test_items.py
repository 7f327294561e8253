"""Catalysts: which symbols a text names, feeds and CSV read into events, and the service around them."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ingest.catalysts.items import Tagger, event, read_csv, read_feed, to_batches
from ingest.catalysts.service import CatalystService
from liqheat.domain.events import Kind
from liqheat.platform.clock import ManualClock
from liqheat.platform.codec import decode
from liqheat.platform.errors import ConfigurationError, PoisonMessage
from liqheat.platform.settings import Catalysts, Settings

NOW = 1_767_225_600_000
SYMBOLS = ("VIRTUAL", "FET", "TAO", "GRASS", "RENDER")

RSS = b"""<?xml version="1.0"?>
<rss version="2.0"><channel><title>Wire</title>
<item><title>Bittensor subnet upgrade goes live</title><link>https://example.org/1</link><guid>g-1</guid>
  <pubDate>Wed, 31 Dec 2025 23:30:00 GMT</pubDate>
  <description>&lt;b&gt;TAO&lt;/b&gt; and $fet holders vote.</description></item>
<item><title>Gardeners render grass greener</title><guid>g-2</guid></item>
<item><title>VIRTUAL listed</title><link>javascript:alert(1)</link></item>
</channel></rss>"""

ATOM = b"""<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>Atom</title><id>a</id><updated>2026-01-01T00:00:00Z</updated>
<entry><title>Render Network ships</title><id>e-1</id><link href="https://example.org/r"/>
<updated>2026-01-01T01:00:00+02:00</updated></entry></feed>"""


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("TAO breaks out", ["TAO"]),
        ("the tao of trading", []),
        ("$tao and $VIRTUAL", ["TAO", "VIRTUAL"]),
        ("virtual reality", []),
        ("Bittensor and bittensor's rival fetch.ai", ["FET", "TAO"]),
        ("TAOX is another coin", []),
        ("VIRTUAL/USDT (GRASS)", ["GRASS", "VIRTUAL"]),
        ("Artificial Superintelligence Alliance", ["FET"]),
    ],
)
def test_a_text_names_a_symbol_by_ticker_cashtag_or_name(text: str, symbols: list[str]) -> None:
    assert Tagger(SYMBOLS).symbols_in(text) == symbols


def test_more_names_come_from_the_settings() -> None:
    assert Tagger(SYMBOLS, {"VIRTUAL": ("Luna Agent",)}).symbols_in("luna agent speaks") == ["VIRTUAL"]


def test_an_rss_feed_becomes_tagged_events() -> None:
    items = read_feed(RSS, "wire", NOW, Tagger(SYMBOLS))
    assert [(each.symbol, each.catalyst.event_time, each.catalyst.title) for each in items] == [
        ("FET", NOW - 1_800_000, "Bittensor subnet upgrade goes live"),
        ("TAO", NOW - 1_800_000, "Bittensor subnet upgrade goes live"),
        ("VIRTUAL", NOW, "VIRTUAL listed"),
    ]
    assert items[0].catalyst.link == "https://example.org/1"
    assert items[2].catalyst.link == "", "only web addresses are kept"


def test_an_atom_feed_is_read_with_its_offset() -> None:
    (item,) = read_feed(ATOM, "atom", NOW, Tagger(SYMBOLS))
    assert (item.symbol, item.catalyst.event_time) == ("RENDER", NOW - 3_600_000)


def test_an_item_read_again_has_the_same_id() -> None:
    first, second = (read_feed(RSS, "wire", NOW + delay, Tagger(SYMBOLS)) for delay in (0, 60_000))
    assert [each.catalyst.catalyst_id for each in first] == [each.catalyst.catalyst_id for each in second]
    assert len({each.catalyst.catalyst_id for each in first}) == 2


@pytest.mark.parametrize(
    "content", [b"", b"<html><body>Not found</body></html>", b"\x00\xff\xfe", b"{}", __file__.encode()]
)
def test_what_is_no_feed_is_poison(content: bytes) -> None:
    with pytest.raises(PoisonMessage, match="Expected an RSS or Atom feed"):
        read_feed(content, "wire", NOW, Tagger(SYMBOLS))


def test_a_csv_is_read_and_a_wrong_line_is_named() -> None:
    good = "time,symbol,title,importance\n2026-01-01,virtual fet,Unlock,high\n2026-01-02T12:00+02:00,TAO,Vote,\n"
    items = read_csv(good, "calendar.csv")
    assert [(each.symbol, each.catalyst.importance) for each in items] == [
        ("VIRTUAL", "high"),
        ("FET", "high"),
        ("TAO", "normal"),
    ]
    assert items[2].catalyst.event_time == NOW + 34 * 3_600_000
    for bad, sentence in (
        ("symbol,title\n", "missing: time"),
        ("time,symbol,title\nyesterday,TAO,x\n", "Line 2: Expected an ISO 8601 time, was 'yesterday'"),
        ("time,symbol,title\n2026-01-01,TAO,x\n2026-01-01,,x\n", "Line 3: expected a symbol"),
        ("time,symbol,title,importance\n2026-01-01,TAO,x,huge\n", "out of low, normal, high"),
    ):
        with pytest.raises(PoisonMessage, match=sentence):
            read_csv(bad, "calendar.csv")


def test_an_event_without_title_is_refused() -> None:
    with pytest.raises(PoisonMessage, match="Expected a title"):
        event("2026-01-01", "  ", "command")


class Sent:
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.first = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    def send(self, topic: str, **message: Any) -> "Sent":
        self.messages.append((topic, message))
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.first.set)
        return self

    def get(self, timeout: float) -> None:
        assert timeout > 0

    def titles(self) -> list[tuple[str, str]]:
        batches = [decode(m["headers"], m["value"]) for topic, m in self.messages if topic == "catalysts"]
        assert all(batch.kind is Kind.CATALYSTS for batch in batches)
        return [(batch.symbol, title) for batch in batches for title in batch.frame["title"]]


def test_catalysts_survive_the_codec() -> None:
    batches = to_batches(read_feed(RSS, "wire", NOW, Tagger(SYMBOLS)))
    assert [batch.symbol for batch in batches] == ["FET", "TAO", "VIRTUAL"]


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


async def test_the_service_stops_when_told(tmp_path: Path) -> None:
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
