"""Wait for something to come about, by asking again and again: for tests of what runs beside them."""

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], object]) -> None:
    """Return once `condition` holds; raise AssertionError after 5 s."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within 5 s")


def eventually(condition: Callable[[], object], patience: float = 10.0) -> None:
    """Return once `condition` holds; raise AssertionError after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
