"""The page in a real browser, over a map made by hand: what a person sees, presses and reads."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from clickhouse_connect.driver.client import Client

from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.clock import ManualClock, SystemClock
from liqheat.platform.errors import ConfigurationError, Origin
from liqheat.platform.settings import ClickHouse, Settings, Signals, Viewer
from liqheat.viewer.server import ViewerServer
from processors.signals.state import SignalState
from sinks.clickhouse.rows import rows_of
from sinks.clickhouse.tables import STORED
from sinks.clickhouse.writer import ClickHouseWriter
from tests.e2e.conftest import Page
from tests.support.signal_cases import heatmap_frame, market, said_of
from tests.support.viewer_map import STORED_FACTOR, Level, insert_gap, insert_liquidation, insert_minute

pytestmark = [pytest.mark.browser, pytest.mark.clickhouse]
# These tests write rows only, so that one schema serves them all.
clickhouse = pytest.fixture(lambda shared_clickhouse: shared_clickhouse)

NOW = SystemClock().now_ms() // MINUTE_MS * MINUTE_MS
MINUTES = 45

# Levels are kept in steps of 1 %: 1,200,000 is read back as 1,204,950, and shown with as many digits as it has.
LONGS = [Level("long", price, usd) for price, usd in ((0.951, 500_000.0), (0.931, 1_200_000.0), (0.916, 300_000.0))]
SHORTS = [Level("short", price, usd) for price, usd in ((1.051, 400_000.0), (1.071, 900_000.0), (1.086, 200_000.0))]


def fill(client: Client) -> None:
    """45 minutes of two venues: three long levels below $1.00, three short ones above, one band apart."""
    for minute in range(MINUTES):
        start = NOW - (MINUTES - 1 - minute) * MINUTE_MS
        mark = 1.0 + 0.004 * (((minute + 5) % 9) - 4) / 4
        insert_minute(
            client,
            "binance",
            start,
            mark,
            LONGS + SHORTS,
            expected_scale_long=0.87,
            expected_scale_short=1.0,
            open_interest_usd=30e6,
        )
        insert_minute(client, "bybit", start, mark, [Level("short", 1.0612, 100_000.0, "50x+")])
    insert_liquidation(client, "binance", NOW - 10 * MINUTE_MS, "long", 0.996, 50_000.0)
    insert_gap(client, "bybit", NOW - 20 * MINUTE_MS, NOW - 17 * MINUTE_MS, filled=False)


@pytest.fixture
async def address(clickhouse: Client) -> AsyncIterator[str]:
    async with ViewerServer(Viewer(port=0), lambda: clickhouse, STORED_FACTOR) as server:
        yield server.address


# Of the drawn heatmap: [cells below the mark, of which green; cells above it, of which red], by column's own mark.
DRAWN = """(() => {
  const traces = document.getElementById("chart").data;
  const cells = traces.find(trace => trace.name === "cells");
  const close = traces.filter(trace => trace.mode === "lines")[3];
  const counts = { below: 0, green: 0, above: 0, red: 0 };
  cells.z.forEach((line, row) => line.forEach((z, column) => {
    if (z === null || !close.y.length) return;
    const mark = close.y[close.x.findIndex(time => time >= cells.x[column])];
    if (cells.y[row] < mark) { counts.below++; counts.green += z < 0; } else { counts.above++; counts.red += z > 0; }
  }));
  return JSON.stringify(counts);
})()"""
READY = "document.getElementById('chart').data && document.getElementById('summary').textContent"


async def test_longs_are_drawn_green_below_the_price_and_shorts_red_above(
    page: Page, clickhouse: Client, address: str
) -> None:
    fill(clickhouse)
    await page.open(f"{address}?symbol=VIRTUAL&range=1h")
    summary = await page.eventually(READY)
    assert "$2.01M of long positions at risk below" in summary
    assert "$1.60M of short positions at risk above the mark price of $1.0000" in summary
    counts = json.loads(await page.evaluate(DRAWN))
    assert counts == {"below": 3 * MINUTES, "green": 3 * MINUTES, "above": 4 * MINUTES, "red": 4 * MINUTES}
    assert page.errors == []


async def test_every_number_has_its_unit_and_every_colour_its_meaning(
    page: Page, clickhouse: Client, address: str
) -> None:
    fill(clickhouse)
    await page.open(address)
    await page.eventually(READY)
    figures = await page.text("#figures")
    assert "ADV$100M24 h turnover, all venues" in figures
    assert "Longs within \N{MINUS SIGN}5%$502k0.50% of ADV" in figures
    assert "Funding+0.0100%settles in 1 h" in figures
    assert "Observed0%of the map; the rest is inferred" in figures
    footer = await page.text("footer")
    assert "Long liquidations, below the price" in footer
    assert "Short liquidations, above the price" in footer
    assert "% of ADV per bucket of $0.005" in footer
    assert "Inferred, not observed" in footer
    assert "mark price (binance)" in footer
    trust = await page.text("#trust")
    assert "binance" in trust
    assert "0.87 / 1.00" in trust
    assert "12 missing, disconnected" in await page.text("#gaps")
    rungs = await page.text("#ladder .rung:not(.head) > span:first-of-type")
    prices = [float(price) for price in re.findall(r"\$(\d\.\d+)", rungs)]
    assert len(prices) == 8
    assert prices == sorted(prices, reverse=True)
    assert "$1.20M" in await page.text("#ladder .rung.long b")


def insert_signals(client: Client) -> None:
    """What the pipeline concludes of two minutes: price comes within 5 % of 6M of longs; above are 7M of shorts."""
    state, writer = SignalState("VIRTUAL"), ClickHouseWriter(client, ClickHouse(database=str(client.database)))
    offset = 0
    for minute, mark in ((NOW - MINUTE_MS, 1.05), (NOW, 1.0)):
        frame = heatmap_frame(minute, {0.95: 6e6}, {1.06: 7e6})
        said = market(minute, mark, frame, funding_rate=0.0001, next_funding_time=NOW + 91 * MINUTE_MS)
        for batch in said_of(state, said, Signals()):
            writer.insert(STORED[batch.kind].table.name, [rows_of(batch, Origin(batch.kind.value, 0, offset))])
            offset += 1


async def test_the_signals_say_why_and_what_a_move_would_liquidate(
    page: Page, clickhouse: Client, address: str
) -> None:
    fill(clickhouse)
    insert_signals(clickhouse)
    await page.open(f"{address}?symbol=VIRTUAL&range=1h")
    await page.eventually("document.getElementById('signals').textContent")
    signals = await page.text("#signals")
    assert "max painshorts $1.0700 ($7.00M), longs $0.95500 ($6.00M)" in signals
    assert re.search(r"why downcluster \d+/40, imbalance \d+/20, funding 5/15, open interest 0/15", signals)
    assert "funding 4 hlongs pay" in signals
    # The nearer edges are $0.96 and $1.06: 4 % below $1.00 and 6 % above.
    assert "down$0$0$6.00M$6.00M" in signals
    assert "up$0$0$0$7.00M" in signals
    assert "binance+0.0100%1 h 30 min" in signals
    # Nothing is cut off at the right of the narrow column.
    assert await page.evaluate(
        "document.querySelector('aside').scrollWidth <= document.querySelector('aside').clientWidth"
    )
    news = await page.text("#news")
    assert "approaching the long cluster 0.95-0.96, $6.00M (6.0% of ADV), begins 4.00% from the mark" in news
    assert page.errors == []


async def test_a_venue_switched_off_is_gone_and_comes_back(page: Page, clickhouse: Client, address: str) -> None:
    fill(clickhouse)
    await page.open(f"{address}?symbol=VIRTUAL&range=1h")
    await page.eventually(READY)
    shorts = "document.getElementById('summary').textContent.match(/and (\\S+) of short/)[1]"
    assert await page.evaluate(shorts) == "$1.60M"
    await page.press("#venues button[data-value=bybit]")
    await page.eventually(f"{shorts} === '$1.50M'")
    assert "venues=binance" in await page.evaluate("location.search")
    await page.press("#venues button[data-value=binance]")
    await page.eventually("document.getElementById('notice').textContent.startsWith('Nothing at risk in this')")
    await page.press("#venues button[data-value=bybit]")
    await page.eventually(f"{shorts} === '$100k'")
    await page.press("#bands button[data-value='50x+']")
    await page.eventually(f"{shorts} === '$0'")
    assert page.errors == []


async def test_a_new_minute_appears_without_a_reload(page: Page, clickhouse: Client, address: str) -> None:
    fill(clickhouse)
    await page.open(f"{address}?symbol=VIRTUAL&range=1h")
    await page.eventually(READY)
    await page.evaluate("window.untouched = true")
    insert_minute(clickhouse, "binance", NOW + MINUTE_MS, 1.003, [Level("long", 0.981, 7e6)], open_interest_usd=30e6)
    await page.eventually("document.getElementById('price').textContent === '$1.0030'", patience=15)
    assert "$7.01M of long" in await page.text("#summary")
    # The columns before have moved along and kept their cells.
    counts = json.loads(await page.evaluate(DRAWN))
    assert counts["below"] == counts["green"] == 3 * MINUTES + 1
    assert await page.evaluate("window.untouched")


async def test_hovering_shows_the_cell_in_numbers(page: Page, clickhouse: Client, address: str) -> None:
    fill(clickhouse)
    await page.open(f"{address}?symbol=VIRTUAL&range=1h")
    await page.eventually(READY)
    spot = await page.evaluate(
        "(() => { const axis = document.getElementById('chart')._fullLayout, box = document.querySelector("
        "'#chart .xy .nsewdrag, #chart .nsewdrag').getBoundingClientRect(); return [box.left + axis.xaxis.d2p("
        f"{NOW - 5 * MINUTE_MS + 30_000}), box.top + axis.yaxis.d2p(0.93125)] }})()"
    )
    await page.point(*spot)
    text = await page.eventually(
        "!document.getElementById('hover').hidden && document.getElementById('hover').textContent"
    )
    assert "price$0.9300 \N{EN DASH} $0.9325" in text
    assert "longs at risk$1.20M" in text
    assert "1.2% of ADV" in text


async def test_an_empty_database_says_what_to_wait_for(page: Page, address: str) -> None:
    await page.open(address)
    await page.eventually("document.getElementById('notice').textContent.startsWith('Waiting for the first minute')")
    assert "is the sink running?" in await page.text("#notice")


async def test_a_database_without_tables_says_what_to_do(
    page: Page, empty_clickhouse: Client, settings: Settings
) -> None:
    async with ViewerServer(Viewer(port=0), lambda: empty_clickhouse, STORED_FACTOR) as server:
        await page.open(server.address)
        await page.eventually("document.getElementById('notice').textContent.includes('liqheat migrate')")


async def test_a_viewer_that_went_away_is_noticed(page: Page, clickhouse: Client) -> None:
    fill(clickhouse)
    async with ViewerServer(Viewer(port=0), lambda: clickhouse, STORED_FACTOR) as server:
        await page.open(server.address)
        await page.eventually(READY)
    await page.eventually("document.getElementById('notice').textContent.startsWith('No answer from liqheat')")
    assert await page.text("#live") == "not connected"


@pytest.mark.parametrize(("width", "height", "dark"), [(390, 844, True), (1280, 800, False)])
async def test_it_fits_a_phone_and_a_light_room(
    page: Page, clickhouse: Client, address: str, width: int, height: int, dark: bool
) -> None:
    fill(clickhouse)
    await page.open(address, width=width, height=height, dark=dark)
    await page.eventually(READY)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    light = await page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] > 200")
    assert light is not dark
    assert page.errors == []


async def test_it_answers_get_alone_loads_nothing_from_elsewhere_and_refuses_what_is_wrong(
    clickhouse: Client,
) -> None:
    async with ViewerServer(Viewer(port=0), lambda: clickhouse, STORED_FACTOR, ManualClock()) as server:
        async with aiohttp.ClientSession(server.address) as session:
            async with session.get("/") as answer:
                html = await answer.text()
                assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
            assert not re.search(r"(src|href)=\"(https?:)?//", html)
            async with session.post("/api/markets") as answer:
                assert answer.status == 405
                assert "Content-Security-Policy" in answer.headers
            async with session.get("/api/heatmap", params={"symbol": "nobody's"}) as answer:
                assert answer.status == 400
                assert await answer.json() == {"problem": "Expected a symbol such as VIRTUAL"}
            async with session.get("/../server.py") as answer:
                assert answer.status == 404
            async with session.get("/plotly.js") as answer:
                assert (await answer.content.read(100)).startswith(b"/**\n* plotly.js")
        with pytest.raises(ConfigurationError, match="choose another with --port"):
            async with ViewerServer(Viewer(port=server.port), lambda: clickhouse, STORED_FACTOR):
                pass


def test_the_page_ships_with_the_package() -> None:
    static = Path(__file__).parents[2] / "liqheat" / "viewer" / "static"
    assert {path.suffix for path in static.iterdir()} == {".html", ".js", ".css"}
