"""A price with clustered volatility, heavy tails, trends and jumps: for worlds, and for the months before a log.

Beside the regimes of `price_paths` it has no phases: volatility and trend wander, at a pace that a world draws.
"""

from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np

from liqheat.domain.windows import HOUR_MS
from liqheat.simulator.tape import FloatArray


@dataclass(frozen=True, slots=True)
class Swings:
    """How a price moves; `volatility` is the standard deviation of its log over an hour."""

    volatility: float
    clustering: float = 0.55
    """Standard deviation of the log of volatility: 0.55 gives hourly moves the kurtosis of BTC's, about 11."""
    memory_hours: float = 8.0
    """How long volatility and trend remember."""
    trend: float = 0.15
    """Standard deviation of the drift, in hourly volatilities per hour."""
    jumps_per_day: float = 1.0
    jump_size: float = 1.5
    """Standard deviation of a jump, in hourly volatilities."""


class SwingPath:
    """A price that moves on by a step each time it is asked; its generator is its own."""

    def __init__(self, swings: Swings, start_price: float, generator: np.random.Generator) -> None:
        """Start at `start_price`, USD per coin."""
        self._swings, self._generator = swings, generator
        self._log_price = log(start_price)
        self._cluster, self._drift = generator.standard_normal(2).tolist()

    def advance(self, step_ms: int) -> float:
        """Return the next price, USD per coin."""
        hours = step_ms / HOUR_MS
        if hours <= 0:
            return exp(self._log_price)
        swings, generator = self._swings, self._generator
        normal = generator.standard_normal(4).tolist()
        memory = exp(-hours / swings.memory_hours)
        fresh = sqrt(1 - memory * memory)
        self._cluster = self._cluster * memory + fresh * normal[0]
        self._drift = self._drift * memory + fresh * normal[1]
        # The mean square of exp(s z) is exp(2 s^2): taken off, so that volatility is what it says.
        sigma = swings.volatility * exp(swings.clustering * self._cluster - swings.clustering**2)
        change = sigma * sqrt(hours) * normal[2] + swings.trend * swings.volatility * self._drift * hours
        if generator.random() < swings.jumps_per_day * hours / 24:
            change += swings.jump_size * swings.volatility * normal[3]
        self._log_price += change
        return exp(self._log_price)


def past_prices(swings: Swings, last_price: float, hours: int, generator: np.random.Generator) -> FloatArray:
    """Return `hours` + 1 hourly prices, USD per coin, that end at `last_price`."""
    path = SwingPath(swings, 1.0, generator)
    steps = np.array([1.0, *(path.advance(HOUR_MS) for _ in range(hours))])
    return np.asarray(steps / steps[-1] * last_price)
