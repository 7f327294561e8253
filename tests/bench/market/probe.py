"""From an event to a row that a query sees: the probe market's mark rises with time, and the page is asked for it.

The page's answer for the probe's symbol holds the last mark of the stored minute. Its price says when it was made,
so one answer times every mark that came into sight since the answer before it. How often is asked is the error.
"""

import json
import time
from http.client import HTTPConnection, HTTPException
from typing import Any

from tests.bench.market.activity import PROBE, PROBE_PRICE
from tests.bench.market.server import HOST
from tests.bench.market.tape import PROBE_RISE, PROBE_STEPS_MS

EVERY = 0.2


def made_at(price: float, started_ms: int) -> float:
    """Return when (ms) the mark of this price was made; `started_ms` is the start of the load."""
    return started_ms + (price / PROBE_PRICE - 1) / PROBE_RISE * 1_000


def latencies(page: int, started_ms: int, seconds: float) -> list[float]:
    """Ask the page on `page` for `seconds`; return the seconds from each mark to the answer that first showed it."""
    found: list[float] = []
    seen = 0.0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        begun = time.monotonic()
        price = _price(page)
        now = time.time_ns() / 1e6
        if price is not None and price > seen:
            newest = made_at(price, started_ms)
            if seen:
                found += [(now - at) / 1_000 for at in marks_between(made_at(seen, started_ms), newest)]
            seen = price
        time.sleep(max(0.0, EVERY - (time.monotonic() - begun)))
    return found


def marks_between(after: float, last: float) -> list[float]:
    """Return the times (ms) of the probe's marks after one and up to another."""
    # Prices carry a tenth of a millisecond of rounding.
    first_second = int(after // 1_000) * 1_000
    seconds = range(first_second, int(last) + 2_000, 1_000)
    times = [second + step for second in seconds for step in PROBE_STEPS_MS]
    return [float(at) for at in times if after + 1 < at <= last + 1]


def _price(page: int) -> float | None:
    # The page keeps its answers for a moment; prices of its own make each a new question.
    low = PROBE_PRICE * (0.9 + time.monotonic() % 1_000 * 1e-7)
    answer = _ask(page, f"/api/heatmap?symbol={PROBE}&range=1h&low={low:.9f}&high={1.2 * PROBE_PRICE}")
    marks = [row["mark_price"] for row in answer.get("quality", []) if row["mark_price"] is not None]
    return max(marks, default=None)


def _ask(page: int, path: str) -> dict[str, Any]:
    connection = HTTPConnection(HOST, page, timeout=30.0)
    try:
        connection.request("GET", path)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return answer
