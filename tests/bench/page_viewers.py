"""Many viewers of the page in one lean process: `python -m tests.bench.page_viewers PORT VIEWERS SECONDS NOW_MS`.

Each asks what `static/app.js` asks: the market list and a picture, the whole picture first, then what changed, and the
whole one again after a minute or a zoom; but every 5 s, as the issue's 200 viewers do, where the page asks again 2 s
after each answer. Answers are read and counted, and unpacked only as far as their head, so that
the process takes little of the server's processor. It prints one JSON object.
"""

import asyncio
import json
import random
import re
import resource
import sys
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlencode

SYMBOLS = 20
REFRESH_SECONDS = 5.0
WHOLE_SECONDS = 60.0
ZOOMS = 0.1
"""Share of refreshes at which a viewer chooses another range."""
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
_HEAD = re.compile(rb'"latest":(\d+).*?"step":(\d+).*?"grid":\{"name":"([^"]+)"', re.DOTALL)
_HEAD_BYTES = 4_096
_KINDS = ("first", "zoom", "refresh", "list", "pictures of the second half")


@dataclass
class Seen:
    """What all viewers saw: seconds by kind of answer, statuses, bytes on the wire; `half` is half of the time."""

    half: float
    taken: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in _KINDS})
    statuses: Counter[int] = field(default_factory=Counter)
    received: int = 0


def symbol_of(number: int) -> str:
    """Return the symbol that viewer `number` looks at."""
    return "VIRTUAL" if number % SYMBOLS == 0 else f"TOKEN{number % SYMBOLS}"


def any_range(choose: random.Random, now: int) -> dict[str, str]:
    """Return a range up to now out of the offered ones, or a stretch of 1 to 24 hours within the last day."""
    if choose.random() < 0.4:
        return {"range": choose.choice(("1h", "3h", "6h", "24h"))}
    length = choose.randrange(HOUR_MS, 24 * HOUR_MS)
    end = now - (choose.randrange(0, 24 * HOUR_MS) if choose.random() < 0.7 else 0)
    return {"from": str(end - length), "to": str(end)}


class Viewer:
    """One browser with one connection; its address is its own, as limits are per address."""

    def __init__(self, number: int, port: int, now: int, seen: Seen) -> None:
        self._random = random.Random(number)
        self._address = f"127.0.{1 + number // 200}.{1 + number % 200}"
        self._port, self._seen = port, seen
        self._begun, self._now = time.monotonic(), now
        self._symbol = symbol_of(number)
        self._range = ""

    async def watch(self, seconds: float) -> None:
        """Come within one refresh of the others, and look for `seconds`."""
        await asyncio.sleep(self._random.random() * REFRESH_SECONDS)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(self._address, 0))
        kind, known, whole_at = "first", "", 0.0
        self._choose_range()
        while (asked := time.monotonic()) < self._begun + seconds:
            await self._ask(reader, writer, "list", "/api/markets")
            if known and self._random.random() < ZOOMS:
                self._choose_range()
                kind, known = "zoom", ""
            elif time.monotonic() - whole_at > WHOLE_SECONDS:
                kind, known = ("zoom" if known else kind), ""
            head = await self._ask(reader, writer, kind, f"/api/heatmap?symbol={self._symbol}&{self._range}{known}")
            if head:
                latest, step, grid = int(head[1]), int(head[2]), head[3].decode()
                whole_at = whole_at if known else time.monotonic()
                kind, known = "refresh", f"&since={latest - step}&grid={grid}"
            await asyncio.sleep(max(0.0, asked + REFRESH_SECONDS - time.monotonic()))
        writer.close()

    def _choose_range(self) -> None:
        self._range = urlencode(any_range(self._random, self._now))

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str, path: str
    ) -> re.Match[bytes] | None:
        started = time.perf_counter()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n".encode())
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines[1:] if line)
        body = await reader.readexactly(int(headers[b"content-length"]))
        self._seen.taken[kind].append(time.perf_counter() - started)
        if kind != "list" and time.monotonic() > self._seen.half:
            self._seen.taken["pictures of the second half"].append(time.perf_counter() - started)
        status = int(lines[0].split()[1])
        self._seen.statuses[status] += 1
        self._seen.received += len(body)
        return _HEAD.search(zlib.decompressobj(wbits=31).decompress(body, _HEAD_BYTES)) if status == 200 else None


def percentiles(taken: list[float]) -> dict[str, float]:
    """Return count, p50, p90, p99 and the largest, ms."""
    ordered = sorted(taken) or [0.0]
    places = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "most": 1.0}
    return {"count": len(taken)} | {
        name: 1_000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)] for name, share in places.items()
    }


async def _run(port: int, viewers: int, seconds: float, now: int) -> Seen:
    seen = Seen(time.monotonic() + seconds / 2)
    await asyncio.gather(*(Viewer(number, port, now, seen).watch(seconds) for number in range(viewers)))
    return seen


def main() -> None:
    """Play the viewers and print what they saw."""
    port, viewers, seconds, now = (int(text) for text in sys.argv[1:5])
    seen = asyncio.run(_run(port, viewers, seconds, now))
    used = resource.getrusage(resource.RUSAGE_SELF)
    pictures = [each for kind in ("first", "zoom", "refresh") for each in seen.taken[kind]]
    taken = {**seen.taken, "all pictures": pictures}
    answer = {
        "taken": {kind: percentiles(each) for kind, each in taken.items()},
        "statuses": seen.statuses,
        "megabytes": seen.received / 1e6,
        "processor": used.ru_utime + used.ru_stime,
    }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
