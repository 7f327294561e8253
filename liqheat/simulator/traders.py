"""Who trades: kinds of trader, how large, how levered, how long, and what makes them open and close.

`draw_intents` turns a number of arrivals into what each of them wants to do; `market.Market` executes it.
Everything is drawn from one seeded generator, whole arrays at a time.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from liqheat.domain.windows import HOUR_MS
from liqheat.platform.errors import ConfigurationError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class TraderKind(IntEnum):
    """What sort of account a position belongs to."""

    RETAIL = 0
    """Isolated margin at the leverage of the mix: most liquidations are theirs."""
    CROSS = 1
    """Cross margin: the whole account is margin of the position, so liquidation is far."""
    HEDGER = 2
    """Holds the coin elsewhere: large, long-lived, collateral several times the position."""
    HOLDER = 3
    """Low leverage, isolated, on several venues at once, for days."""
    MAKER = 4
    """Quotes both sides and carries what the others leave; never near liquidation."""


_KINDS = 4
"""Kinds that arrive and leave; market makers are always there."""

LEVERAGE_MIXES: dict[str, dict[float, float]] = {
    "balanced": {2: 0.06, 3: 0.10, 5: 0.22, 8: 0.06, 10: 0.26, 15: 0.05, 20: 0.13, 25: 0.05, 50: 0.05, 75: 0.02},
    "cautious": {2: 0.22, 3: 0.28, 5: 0.28, 8: 0.07, 10: 0.12, 20: 0.03},
    "degen": {3: 0.03, 5: 0.07, 10: 0.17, 20: 0.25, 25: 0.18, 50: 0.17, 75: 0.08, 100: 0.05},
    "two-humps": {3: 0.45, 5: 0.05, 20: 0.10, 25: 0.10, 50: 0.30},
}
"""Shares of retail positions by leverage, before the margin tiers clip them."""


@dataclass(frozen=True, slots=True)
class Population:
    """The traders of one coin; shares are of notional unless said otherwise."""

    traders: int = 1_800
    """Open positions that the market tends to, over all venues."""
    notional_shares: tuple[float, float, float, float] = (0.50, 0.20, 0.20, 0.10)
    """Notional held of retail, cross, hedgers and holders."""
    relative_sizes: tuple[float, float, float, float] = (1.0, 3.0, 8.0, 5.0)
    size_spread: float = 1.6
    """Standard deviation of the log notional within a kind."""
    median_hours: tuple[float, float, float, float] = (60.0, 36.0, 200.0, 150.0)
    """Median life by kind; a retail position's is divided by leverage ** 0.8."""
    leverages: tuple[float, ...] = tuple(LEVERAGE_MIXES["balanced"])
    leverage_shares: tuple[float, ...] = tuple(LEVERAGE_MIXES["balanced"].values())
    trend_followers: float = 0.55
    """Share of arrivals that follow the recent move; the others bet against it."""
    stop_share: float = 0.40
    """Positions with a stop-loss; without one a losing position runs into its liquidation."""
    take_profit_share: float = 0.65
    passive_share: float = 0.35
    """Arrivals that are filled by a resting order, so that the taker is on the other side."""
    partial_closes_per_hour: float = 0.02
    margin_additions_per_hour: float = 0.01
    makers: int = 6
    daily_turnover: float = 3.0
    """Quote volume of a day in open interests, most of it among market makers."""

    def __post_init__(self) -> None:
        if len(self.leverages) != len(self.leverage_shares) or not np.isclose(sum(self.leverage_shares), 1.0):
            raise ConfigurationError("Expected one share a leverage, summing to 1")
        if not np.isclose(sum(self.notional_shares), 1.0):
            raise ConfigurationError("Expected notional shares that sum to 1")
        if self.traders < 1 or self.makers < 1:
            raise ConfigurationError("Expected at least one trader and one market maker")

    @classmethod
    def with_mix(cls, name: str, traders: int = 1_800) -> "Population":
        """Return a population whose retail traders use the leverage mix `name`.

        Raises:
            ConfigurationError: there is no such mix.
        """
        if name not in LEVERAGE_MIXES:
            raise ConfigurationError(f"Expected a leverage mix out of {', '.join(LEVERAGE_MIXES)}, was {name!r}")
        mix = LEVERAGE_MIXES[name]
        return cls(traders=traders, leverages=tuple(mix), leverage_shares=tuple(mix.values()))

    @property
    def standing_counts(self) -> FloatArray:
        """Share of each kind in the *number* of positions held."""
        counts = np.asarray(self.notional_shares) / np.asarray(self.relative_sizes)
        return np.asarray(counts / counts.sum())

    @property
    def mean_lives(self) -> FloatArray:
        """Rough mean life of a position by kind, hours: retail by its mean leverage, less what exits early."""
        lives = np.asarray(self.median_hours, dtype=np.float64).copy()
        lives[TraderKind.RETAIL] /= float(np.dot(self.leverage_shares, np.asarray(self.leverages) ** 0.8))
        return lives

    @property
    def arrivals_per_hour(self) -> float:
        """Arrivals that keep the number of positions level."""
        return float(self.traders * (self.standing_counts / self.mean_lives).sum())

    @property
    def arrival_counts(self) -> FloatArray:
        """Share of each kind among the arrivals: what lives shorter arrives more often."""
        rates = self.standing_counts / self.mean_lives
        return np.asarray(rates / rates.sum())


@dataclass(frozen=True, slots=True)
class Mood:
    """What traders see when they decide: recent trend in standard deviations, and the hourly volatility."""

    trend: float
    volatility: float
    long_bias: float
    """Added to the log odds of a long, so that market makers do not drift to one side."""


@dataclass(frozen=True, slots=True)
class Intents:
    """What arriving traders want; arrays of one length, distances as fractions of the entry price."""

    kind: npt.NDArray[np.int8]
    side: IntArray
    notional: FloatArray
    leverage: FloatArray
    life_ms: IntArray
    stop_distance: FloatArray
    """inf without a stop-loss."""
    profit_distance: FloatArray
    """inf without a take-profit."""
    passive: BoolArray
    collateral: FloatArray
    """Margin as a multiple of `notional / leverage`: 1 isolated, more where a whole account is its margin."""


@dataclass(frozen=True, slots=True)
class _Tables:
    """Cumulative distributions of a population, made once."""

    arrivals: FloatArray
    standing: FloatArray
    leverages: FloatArray
    leverage_steps: FloatArray
    sizes: FloatArray
    hours: FloatArray


class Crowd:
    """Draws intents for one coin; holds the population's tables."""

    def __init__(self, population: Population, open_interest_usd: float) -> None:
        """Sizes are set such that the positions held tend to `open_interest_usd` on each side."""
        self.population = population
        mean_size = 2 * open_interest_usd / population.traders
        relative = np.asarray(population.relative_sizes)
        unit = mean_size / float(np.dot(population.standing_counts, relative))
        self._tables = _Tables(
            arrivals=np.cumsum(population.arrival_counts),
            standing=np.cumsum(population.standing_counts),
            leverages=np.asarray(population.leverages, dtype=np.float64),
            leverage_steps=np.cumsum(population.leverage_shares),
            sizes=unit * relative * np.exp(-(population.size_spread**2) / 2),
            hours=np.asarray(population.median_hours, dtype=np.float64),
        )

    def draw(self, count: int, mood: Mood, generator: np.random.Generator, *, standing: bool = False) -> Intents:
        """Draw `count` intents; `standing` draws the mix of positions held instead of the mix of arrivals."""
        tables, people = self._tables, self.population
        chance = generator.random((9, count))
        normal = generator.standard_normal((4, count))
        steps = tables.standing if standing else tables.arrivals
        kind = np.minimum(np.searchsorted(steps, chance[0]), _KINDS - 1)
        retail, cross = kind == TraderKind.RETAIL, kind == TraderKind.CROSS
        hedger, holder = kind == TraderKind.HEDGER, kind == TraderKind.HOLDER

        followers = chance[1] < people.trend_followers
        odds = np.where(followers, 1.4, -1.2) * mood.trend + mood.long_bias
        odds = np.where(hedger, mood.long_bias - 0.8, odds)
        side = np.where(chance[2] * (1 + np.exp(-odds)) < 1, 1, -1)

        mixed = tables.leverages[
            np.minimum(np.searchsorted(tables.leverage_steps, chance[3]), len(tables.leverages) - 1)
        ]
        leverage = np.where(
            retail, mixed, np.where(cross, 3 + 12 * chance[3], np.where(holder, 2 + 2 * chance[3], 2.0))
        )
        # High leverage goes with small money: the tiers allow no other.
        size = tables.sizes[kind] * np.exp(people.size_spread * normal[0])
        notional = np.where(retail, size * np.minimum((10 / leverage) ** 0.35, 1.6), size)
        collateral = np.where(cross, 2 + 6 * chance[4], np.where(hedger, 6 + 6 * chance[4], 1.0))

        hours = tables.hours[kind] / np.where(retail, leverage**0.8, 1.0) * np.exp(0.9 * normal[1])
        if standing:
            hours = hours * chance[8]
        # Targets are set in proportion to what the price does, wider for those who stay longer.
        reach = mood.volatility * np.sqrt(np.clip(hours, 0.25, 24))
        stop = np.minimum(reach * (0.6 + 0.9 * chance[6]), 0.7 / leverage)
        profit = reach * np.exp(0.5 * normal[2])
        no_target = hedger | (chance[5] > people.take_profit_share)
        no_stop = hedger | (chance[7] > people.stop_share)
        return Intents(
            kind=kind.astype(np.int8),
            side=side.astype(np.int64),
            notional=notional,
            leverage=leverage,
            life_ms=np.maximum(hours * HOUR_MS, 20_000).astype(np.int64),
            stop_distance=np.where(no_stop, np.inf, stop),
            profit_distance=np.where(no_target, np.inf, profit),
            passive=normal[3] < _normal_quantile(people.passive_share),
            collateral=collateral,
        )


def _normal_quantile(share: float) -> float:
    """Return the standard normal quantile of `share` to about 0.01 (logistic approximation)."""
    share = min(max(share, 1e-6), 1 - 1e-6)
    return float(np.log(share / (1 - share)) / 1.702)
