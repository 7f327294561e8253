"""What a person does with the page in a real browser: search, zoom, hide, ask what if, take away, share the address."""

import asyncio
import json
import math
from collections.abc import AsyncIterator

import pytest
from clickhouse_connect.driver.client import Client

from liqheat.domain.market import Venue
from liqheat.domain.signals import Cascade
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.clock import SystemClock
from liqheat.platform.settings import Viewer
from liqheat.viewer.server import ViewerServer
from tests.e2e.conftest import Page
from tests.grafana_frontend.node import axe_source
from tests.support.viewer_map import STORED_FACTOR, Level, insert_cascades, insert_minute

pytestmark = [pytest.mark.browser, pytest.mark.clickhouse]

NOW = SystemClock().now_ms() // MINUTE_MS * MINUTE_MS
MINUTES = 40
READY = "document.getElementById('chart').data && document.getElementById('summary').textContent"
LEVELS = [Level("long", 0.951, 500_000.0), Level("long", 0.931, 2e6), Level("short", 1.051, 40_000.0)]
CELLS = "document.getElementById('chart').data.find(trace => trace.name === 'cells')"
DRAWN = f"{CELLS}.z.flat().filter(z => z !== null).length"


def falling_cascade() -> Cascade:
    """A fall by 5% rests at 7%, one by 10% at 20%; 1 and 3 million USD are liquidated by then."""
    amounts = dict.fromkeys((f"{name}_{n}_usd" for name in ("at_risk", "expected", "depth") for n in (1, 2, 5)), 10**12)
    return Cascade(
        window_start=NOW,
        side=1,
        mark_price=1.0,
        move_percent=[2.0, 5.0, 10.0],
        rest_percent=[2.0, 7.0, 20.0],
        liquidated_usd=[0, 10**12, 3 * 10**12],
        beyond_percent=math.nan,
        trigger_percent=8.0,
        trigger_price=0.92,
        trigger_rest_percent=15.0,
        trigger_liquidated_usd=2 * 10**12,
        **amounts,
        absorption_1=0.5,
        absorption_2=1.5,
        absorption_5=2.5,
        book_reach_percent=2.0,
        book_coverage=0.8,
        refill=0.3,
        revision=1,
    )


@pytest.fixture
async def address(clickhouse: Client) -> AsyncIterator[str]:
    for minute in range(MINUTES):
        start = NOW - (MINUTES - 1 - minute) * MINUTE_MS
        insert_minute(clickhouse, "binance", start, 1.0, LEVELS, open_interest_usd=30e6)
    insert_minute(clickhouse, "binance", NOW, 300.0, [Level("long", 290.0, 1e6)], symbol="TAO", turnover_24h_usd=1e6)
    insert_cascades(clickhouse, "VIRTUAL", [falling_cascade()])
    async with ViewerServer(Viewer(port=0), lambda: clickhouse, STORED_FACTOR) as server:
        yield f"{server.address}?symbol=VIRTUAL&range=1h"


async def type_text(page: Page, text: str) -> None:
    for letter in text:
        for kind in ("keyDown", "keyUp"):
            await page.call("Input.dispatchKeyEvent", type=kind, text=letter if kind == "keyDown" else "", key=letter)


async def press_key(page: Page, key: str, code: int) -> None:
    for kind in ("keyDown", "keyUp"):
        await page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


async def test_a_symbol_is_found_by_the_keyboard_alone(page: Page, address: str) -> None:
    await page.open(address)
    await page.eventually(READY)
    await type_text(page, "/")
    assert await page.evaluate("document.activeElement.id") == "symbol"
    await type_text(page, "ta")
    await press_key(page, "Enter", 13)
    await page.eventually("document.getElementById('price').textContent === '$300.00'")
    assert "symbol=TAO" in await page.evaluate("location.search")
    assert page.errors == []


async def test_the_slider_hides_small_buckets_and_the_address_keeps_it(page: Page, address: str) -> None:
    await page.open(address)
    await page.eventually(READY)
    assert await page.evaluate(DRAWN) == 3 * MINUTES
    await page.evaluate(
        "(() => { const slider = document.getElementById('least'); slider.value = 41;"
        " slider.dispatchEvent(new Event('input')); })()"
    )
    await page.eventually(f"{DRAWN} === {2 * MINUTES}")
    shared = await page.evaluate("location.href")
    await page.open("about:blank")
    await page.open(shared)
    await page.eventually(f"{READY} && {DRAWN} === {2 * MINUTES}")


async def test_a_zoom_asks_for_finer_data_of_what_is_seen_and_is_taken_back(page: Page, address: str) -> None:
    await page.open(address.replace("range=1h", "range=24h"))
    await page.eventually(READY)
    width = f"(() => {{ const x = {CELLS}.x; return x[1] - x[0]; }})()"
    assert await page.evaluate(width) == 5 * MINUTE_MS
    start, end = NOW - 20 * MINUTE_MS, NOW
    await page.evaluate(
        "Plotly.relayout('chart', {"
        f"'xaxis.range[0]': {start}, 'xaxis.range[1]': {end},"
        " 'yaxis.range[0]': 0.92, 'yaxis.range[1]': 1.0}).then(() => 1)"
    )
    await page.eventually(f"{width} === {MINUTE_MS}")
    assert f"from={start}" in await page.evaluate("location.search")
    rows = await page.evaluate(f"{CELLS}.y.length")
    await page.press("#unzoom")
    await page.eventually(f"{width} === {5 * MINUTE_MS}")
    assert rows > 20
    assert "from=" not in await page.evaluate("location.search")
    assert page.errors == []


async def test_what_if_says_what_a_move_liquidates_and_where_it_rests(page: Page, address: str) -> None:
    await page.open(f"{address}&what=0.95")
    await page.eventually(f"{READY} && !document.getElementById('answer').hidden")
    answer = await page.text("#answer")
    assert "to $0.9500\N{MINUS SIGN}5.00%" in answer
    assert "liquidated by the time it rests$1.00M" in answer
    assert "comes to rest at$0.9300 (\N{MINUS SIGN}7.00%)" in answer
    assert "amplification1.40\N{MULTIPLICATION SIGN}" in answer
    # A quarter percent per key; the answer and the address follow.
    await page.evaluate("document.getElementById('what').focus()")
    await press_key(page, "PageDown", 34)
    await page.eventually("document.getElementById('answer').textContent.includes('$0.9310')")
    assert "what=0.931" in await page.evaluate("location.search")
    await press_key(page, "Escape", 27)
    await page.eventually("document.getElementById('answer').hidden")
    assert page.errors == []


async def test_what_if_is_dragged_on_the_map(page: Page, address: str) -> None:
    await page.open(address)
    await page.eventually(READY)
    x, y = await page.evaluate(
        "(() => { const box = document.querySelector('#what b').getBoundingClientRect();"
        " return [box.left + 5, box.top + box.height / 2]; })()"
    )
    await page.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
    for step in range(1, 6):
        await page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y + 20 * step, button="left")
    await page.call("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y + 100, button="left", clickCount=1)
    assert "longs, at risk on the way" in await page.eventually("document.getElementById('answer').textContent")
    assert await page.evaluate("Number(new URLSearchParams(location.search).get('what')) < 1")


async def test_the_curve_says_from_where_a_move_is_carried_on(page: Page, address: str) -> None:
    await page.open(address)
    await page.eventually(READY)
    cascade = await page.text("#cascade")
    assert "from $0.92000 on (\N{MINUS SIGN}8.0%) a move is carried half as far again" in cascade
    assert "at risk within 2% is 1.5\N{MULTIPLICATION SIGN} the book" in cascade
    assert "books of 80% of open interest" in await page.text("#cascade-note")
    assert "Unproven for this symbol" in await page.text("#record")


async def test_candles_are_drawn_when_asked_for(page: Page, address: str) -> None:
    await page.open(address)
    await page.eventually(READY)
    await page.press("#style button[data-value=candles]")
    await page.eventually("document.getElementById('chart').data.some(trace => trace.type === 'candlestick')")
    assert "style=candles" in await page.evaluate("location.search")
    assert page.errors == []


async def test_the_table_taken_away_holds_the_cells_that_are_drawn(page: Page, address: str) -> None:
    await page.open(address)
    await page.eventually(READY)
    await page.evaluate(
        "(() => { const make = URL.createObjectURL; URL.createObjectURL = blob =>"
        " { blob.text().then(text => { window.taken = text; }); return make(blob); }; })()"
    )
    await page.press("#csv")
    lines = (await page.eventually("window.taken")).strip().splitlines()
    assert lines[0] == "window_start,price_low,price_high,side,at_risk_usd,mark_price"
    assert len(lines) == 1 + 3 * MINUTES
    assert lines[-1].split(",")[1:4] == ["1.05", "1.055", "short"]
    await page.evaluate(
        "window.clicked = 0; HTMLAnchorElement.prototype.click = function () { window.clicked = this.href; }"
    )
    await page.press("#png")
    assert (await page.eventually("window.clicked")).startswith("data:image/png")


async def test_expected_liquidations_are_shown_when_asked_for(page: Page, address: str) -> None:
    await page.open(address)
    await page.eventually(READY)
    await page.press("#measure button[data-value=expected]")
    await page.eventually(
        "document.getElementById('chart').layout.annotations[0].text.startsWith('Liquidations expected')"
    )
    assert "$627k of long" in await page.text("#summary")
    assert page.errors == []


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
async def test_no_key_figure_is_cut_and_the_map_fills_its_card(
    page: Page, address: str, width: int, height: int
) -> None:
    await page.open(address, width=width, height=height)
    await page.eventually(READY)
    await asyncio.sleep(0.1)
    cut = await page.evaluate(
        "[...document.querySelectorAll('#figures *, .group button, th, td')]"
        ".filter(one => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflow !== 'visible').length"
    )
    assert cut == 0
    blank = await page.evaluate(
        "(() => { const { xaxis } = document.getElementById('chart')._fullLayout;"
        f" return xaxis.d2c(xaxis.range[0]) - ({NOW - (MINUTES - 1) * MINUTE_MS}); }})()"
    )
    assert blank == 0
    fills = await page.evaluate(
        "(() => { const chart = document.querySelector('#chart .main-svg').getBoundingClientRect();"
        " const card = document.querySelector('.picture').getBoundingClientRect();"
        " return [card.width - chart.width, card.height - chart.height]; })()"
    )
    assert all(0 <= gap <= 4 for gap in fills)


async def test_five_venues_do_not_make_the_page_wider_than_a_telephone(
    page: Page, clickhouse: Client, address: str
) -> None:
    for venue in Venue:
        insert_minute(clickhouse, venue.value, NOW, 1.0, LEVELS)
    await page.open(address, width=390, height=844)
    await page.eventually("document.querySelectorAll('#venues button').length === 5")
    await page.eventually(READY)
    wide = await page.evaluate(
        "[...document.querySelectorAll('header *, #figures, .picture, aside section, footer')]"
        ".filter(one => one.getBoundingClientRect().right > 390).map(one => one.id || one.textContent)"
    )
    assert wide == []


@pytest.mark.parametrize("dark", [True, False])
async def test_axe_finds_nothing_that_keeps_anybody_out(page: Page, address: str, dark: bool) -> None:
    await page.open(f"{address}&what=0.95", dark=dark)
    await page.eventually(READY)
    await page.evaluate(axe_source() + ";1")
    found = await page.evaluate(
        "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] }).then(answer =>"
        " JSON.stringify(answer.violations.map(one =>"
        " [one.id, one.impact, one.nodes.slice(0, 4).map(node => node.html)])))"
    )
    assert json.loads(found) == []
