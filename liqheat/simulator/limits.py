"""Request weights as venues count them: fixed windows, a 429 once the window's weight is used up."""

import math
from collections.abc import Callable

from liqheat.simulator.wire.base import RateLimit


class WeightCounter:
    """Counts one venue's requests against its limit; `monotonic` gives seconds."""

    def __init__(self, limit: RateLimit, monotonic: Callable[[], float]) -> None:
        self._limit, self._monotonic = limit, monotonic
        self._window = -1
        self._used: dict[str, int] = {}

    def spend(self, path: str, weight: int) -> tuple[int, bool]:
        """Count a request; returns the weight used in this window and whether it is within the limit."""
        window = math.floor(self._monotonic() / self._limit.seconds)
        if window != self._window:
            self._window = window
            self._used.clear()
        key = path if self._limit.is_by_path else ""
        self._used[key] = used = self._used.get(key, 0) + weight
        return used, used <= self._limit.weight

    @property
    def retry_after(self) -> int:
        """Whole seconds until the window ends."""
        return math.ceil(self._limit.seconds - self._monotonic() % self._limit.seconds)
