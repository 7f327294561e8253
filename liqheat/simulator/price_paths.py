"""The price that everything else follows: seeded synthetic paths by regime, and one recorded path.

A path is advanced by a time step and returns the next index price. Traders react to it, and their forced
liquidations push it on (`market.Market` adds that impact on top).
"""

import csv
import gzip
import io
from functools import cache
from importlib import resources
from math import exp, log, sqrt
from typing import Protocol

import numpy as np
import numpy.typing as npt

from liqheat.domain.windows import HOUR_MS, MINUTE_MS
from liqheat.simulator.regimes import REAL_BTC, Regime, regime_of

FloatArray = npt.NDArray[np.float64]

_MAXIMUM_LOG_DISTANCE = 1.2
"""A path is gently pulled back from a factor of about 3 of its start, so that a long run keeps its price scale."""


class PricePath(Protocol):
    """A price that moves on by a step of `step_ms` each time it is asked."""

    def advance(self, step_ms: int) -> float:
        """Return the next price, USD per coin."""
        ...


class RegimePath:
    """Log price with drift, clustered volatility, mean reversion and jumps, phase by phase of a regime."""

    def __init__(self, regime: Regime, start_price: float, volatility: float, generator: np.random.Generator) -> None:
        """Start at `start_price`; `volatility` is the standard deviation of the log price over an hour."""
        self._regime = regime
        self._generator = generator
        self._volatility = volatility
        self._start = self._anchor = self._log_price = log(start_price)
        self._cluster = 0.0
        self._phase = -1
        self._hours_left = 0.0

    def advance(self, step_ms: int) -> float:
        """Return the next price, USD per coin."""
        hours = step_ms / HOUR_MS
        if self._hours_left <= 0:
            self._next_phase()
        self._hours_left -= hours
        phase = self._regime.phases[self._phase]
        normal = self._generator.standard_normal(4).tolist()
        # Log volatility follows a mean-reverting process with a memory of about half an hour.
        memory = exp(-2 * hours)
        self._cluster = self._cluster * memory + 0.35 * sqrt(1 - memory * memory) * normal[0]
        sigma = self._volatility * phase.volatility * exp(self._cluster)
        change = sigma * sqrt(hours) * normal[1] + self._volatility * phase.drift * hours
        change -= phase.reversion * (self._log_price - self._anchor) * min(hours, 0.5)
        if self._generator.random() < phase.jumps * hours:
            change += self._volatility * (phase.jump_bias + normal[2])
        far = self._log_price - self._start
        if abs(far) > _MAXIMUM_LOG_DISTANCE:
            change -= far * 0.2 * hours
        self._log_price += change
        return exp(self._log_price)

    def _next_phase(self) -> None:
        phases = self._regime.phases
        if self._regime.shuffled:
            self._phase = int(self._generator.integers(len(phases)))
            self._hours_left = phases[self._phase].hours * float(self._generator.uniform(0.5, 1.5))
        else:
            self._phase = (self._phase + 1) % len(phases)
            self._hours_left = phases[self._phase].hours
        self._anchor = self._log_price


class BarPath:
    """The recorded BTC minutes, scaled to a start price: open, the two extremes in the bar's order, close.

    At the end it begins again, joined without a jump.
    """

    def __init__(self, start_price: float, first_minute: int = 0) -> None:
        """Start in minute `first_minute` (modulo their number) of the recording."""
        self._bars = recorded_bars()
        self._minute = first_minute % len(self._bars)
        self._scale = start_price / float(self._bars[self._minute, 0])
        self._within = 0

    def advance(self, step_ms: int) -> float:
        """Return the next price, USD per coin."""
        self._within += step_ms
        while self._within >= MINUTE_MS:
            self._within -= MINUTE_MS
            self._next_minute()
        opened, high, low, close = map(float, self._bars[self._minute])
        first, second = (low, high) if close >= opened else (high, low)
        corners = (opened, first, second, close)
        position = 3 * self._within / MINUTE_MS
        corner = int(position)
        share = position - corner
        return self._scale * (corners[corner] * (1 - share) + corners[corner + 1] * share)

    def _next_minute(self) -> None:
        close = float(self._bars[self._minute, 3])
        self._minute = (self._minute + 1) % len(self._bars)
        if self._minute == 0:
            self._scale *= close / float(self._bars[0, 0])


@cache
def recorded_bars() -> FloatArray:
    """Return the recorded minutes, shape (minutes, 4): open, high, low, close in USD. Origin: data/ORIGIN.md."""
    packed = resources.files("liqheat.simulator").joinpath("data", "btc_perp_1m_2022-01.csv.gz").read_bytes()
    rows = csv.DictReader(io.StringIO(gzip.decompress(packed).decode()))
    return np.array([[float(row[name]) for name in ("open", "high", "low", "close")] for row in rows])


def make_path(regime: str, start_price: float, volatility: float, generator: np.random.Generator) -> PricePath:
    """Return the path of the regime named `regime`.

    Raises:
        ConfigurationError: there is no such regime.
    """
    if regime == REAL_BTC:
        return BarPath(start_price, int(generator.integers(len(recorded_bars()))))
    return RegimePath(regime_of(regime), start_price, volatility, generator)
