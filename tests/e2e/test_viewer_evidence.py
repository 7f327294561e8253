"""The card *Evidence* in a real browser: plain words, cases and intervals, of the symbol that is shown and of all."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from clickhouse_connect.driver.client import Client

from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.platform.clock import SystemClock
from liqheat.platform.settings import Viewer
from liqheat.viewer.server import ViewerServer
from tests.e2e.conftest import Page
from tests.grafana_frontend.node import axe_source
from tests.support.evidence import insert_evidence, made_up
from tests.support.viewer_map import STORED_FACTOR, Level, insert_minute

pytestmark = [pytest.mark.browser, pytest.mark.clickhouse]

NOW = SystemClock().now_ms() // MINUTE_MS * MINUTE_MS
HOUR = NOW // HOUR_MS * HOUR_MS
SYMBOLS = ("VIRTUAL", "FET", "WLD")
CARD = "document.getElementById('evidence').textContent"


@pytest.fixture
async def address(clickhouse: Client) -> AsyncIterator[str]:
    """Three symbols with a map; VIRTUAL has evidence of its own, FET too little, WLD has not been judged."""
    for symbol in SYMBOLS:
        for minute in range(5):
            start = NOW - (4 - minute) * MINUTE_MS
            insert_minute(clickhouse, "binance", start, 1.0, [Level("long", 0.951, 5e5)], symbol=symbol)
    async with ViewerServer(Viewer(port=0), lambda: clickhouse, STORED_FACTOR) as server:
        yield server.address


def judge(client: Client) -> None:
    insert_evidence(client, made_up(), "VIRTUAL", HOUR)
    insert_evidence(client, made_up(cases=4, blocks=2), "FET", HOUR)
    insert_evidence(client, made_up(cases=900, blocks=30, symbols=240), "all", HOUR)


async def test_it_says_what_clusters_do_with_cases_and_intervals(page: Page, clickhouse: Client, address: str) -> None:
    judge(clickhouse)
    await page.open(f"{address}?symbol=VIRTUAL&range=1h")
    card = await page.eventually(CARD)
    assert "Clusters attract price. In the hour after it came within 1% of one, it went 0.25% further" in card
    assert "(95% interval 0.11% to 0.39%, 42 cases)" in card
    assert await page.text("#evidence-stage button") == "came near 42 | entered 42 | swept 42"
    assert await page.text("#evidence-scope [aria-checked=true]") == "VIRTUAL"
    assert await page.text("#evidence td:first-child") == "5 min | 15 min | 1 h | 4 h"
    figures = (await page.text("#evidence tr:nth-child(4) td")).split(" | ")
    minus = "\N{MINUS SIGN}"
    assert figures[1:] == ["+0.250.11 to 0.39", f"{minus}0.05{minus}0.20 to 0.10", "+$1.25M$900k to $1.60M"]
    # Only differences whose interval leaves 0 out stand out.
    assert await page.evaluate("document.querySelectorAll('#evidence td.clear').length") == 8
    day = datetime.fromtimestamp(HOUR / 1_000, UTC).strftime("%-d %b")
    assert f"to {day}" in card
    assert "clusters from 5% of ADV" in card
    await page.press("#evidence-stage button[data-value=swept]")
    await page.eventually(f"{CARD}.includes('In the hour after price swept one')")
    assert page.errors == []


async def test_too_few_cases_are_said_to_be_too_few(page: Page, clickhouse: Client, address: str) -> None:
    judge(clickhouse)
    await page.open(f"{address}?symbol=FET&range=1h")
    await page.eventually(CARD)
    # What is known of all symbols is shown first, and the symbol's own when asked for.
    assert await page.text("#evidence-scope [aria-checked=true]") == "all symbols"
    assert "240 symbols" in await page.text("#evidence")
    await page.press("#evidence-scope button[data-value=own]")
    card = await page.eventually(f"{CARD}.includes('This symbol') && {CARD}")
    assert "Too few cases to say whether clusters attract price: 4 of the 30 needed" in card
    assert await page.evaluate("document.querySelectorAll('#evidence td.clear').length") == 0


async def test_a_symbol_that_was_not_judged_shows_all_together_and_another_its_own(
    page: Page, clickhouse: Client, address: str
) -> None:
    await page.open(f"{address}?symbol=WLD&range=1h")
    await page.eventually(f"{CARD}.startsWith('Not judged yet')")
    judge(clickhouse)
    await page.eventually("document.querySelectorAll('#evidence-scope button').length === 1")
    assert await page.text("#evidence-scope button") == "all symbols"
    await page.evaluate("document.querySelector('#evidence-stage button[data-value=entered]').focus()")
    await page.evaluate("window.card = document.querySelector('#evidence table')")
    # A refresh renews the table and leaves the focus where it is.
    await page.eventually("document.querySelector('#evidence table') !== window.card")
    assert await page.evaluate("document.activeElement.dataset.value") == "entered"
    await page.evaluate(
        "(() => { const input = document.getElementById('symbol'); input.value = 'VIRTUAL';"
        " input.dispatchEvent(new Event('change')); })()"
    )
    await page.eventually("document.querySelector('#evidence-scope button')?.textContent === 'VIRTUAL'")
    assert page.errors == []


@pytest.mark.parametrize(("width", "height", "dark"), [(1440, 900, True), (390, 844, False)])
async def test_nothing_is_cut_and_axe_finds_nothing(
    page: Page, clickhouse: Client, address: str, width: int, height: int, dark: bool
) -> None:
    judge(clickhouse)
    await page.open(f"{address}?symbol=VIRTUAL&range=1h", width=width, height=height, dark=dark)
    await page.eventually(CARD)
    wider = await page.evaluate(
        "(() => { const card = document.getElementById('evidence').getBoundingClientRect();"
        " return [...document.querySelectorAll('#evidence *')]"
        ".filter(one => one.getBoundingClientRect().right > card.right + 1).length; })()"
    )
    assert wider == 0
    await page.evaluate(axe_source() + ";1")
    found = await page.evaluate(
        "axe.run('#evidence-section', { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] }).then(answer =>"
        " JSON.stringify(answer.violations.map(one => [one.id, one.nodes.map(node => node.html)])))"
    )
    assert json.loads(found) == []
