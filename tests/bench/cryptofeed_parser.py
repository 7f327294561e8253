"""Times cryptofeed's own message handlers on frames from a file; run by the bench in a throwaway environment.

Usage: cryptofeed_parser.py VENUE FRAMES SECONDS; prints frames per second of processor time. Only the symbol
table is left out, for it would be read from the venue.
"""

import asyncio
import importlib
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HANDLERS = {"binance": "BinanceFutures", "bybit": "Bybit", "okx": "OKX"}
ADDRESSES = {
    "binance": "wss://fstream.binance.com/stream",
    "bybit": "wss://stream.bybit.com/v5/public/linear",
    "okx": "wss://ws.okx.com:8443/ws/v5/public",
}


async def rate_of(venue: str, frames: list[str], seconds: float) -> float:
    """Feed the frames again and again for about `seconds` of processor time; return frames per second."""
    kind: Any = getattr(importlib.import_module("cryptofeed.exchanges"), HANDLERS[venue])
    handler = kind.__new__(kind)
    seen: Counter[str] = Counter()

    async def callback(channel: str, _: object, __: float) -> None:
        seen[channel] += 1

    handler.callback = callback
    handler.requires_authentication = False
    handler.exchange_symbol_to_std_symbol = lambda symbol: symbol
    connection = SimpleNamespace(address=ADDRESSES[venue], uuid=venue)
    handled, started = 0, time.process_time()
    while time.process_time() - started < seconds:
        for frame in frames:
            await handler.message_handler(frame, connection, 0.0)
        handled += len(frames)
    rate = handled / (time.process_time() - started)
    if sum(seen.values()) < handled:
        raise SystemExit(f"Only {sum(seen.values())} events of {handled} frames")
    return rate


if __name__ == "__main__":
    lines = Path(sys.argv[2]).read_text().splitlines()
    sys.stdout.write(f"{asyncio.run(rate_of(sys.argv[1], lines, float(sys.argv[3]))):.0f}\n")
