"""Who trades on a real venue: small accounts at high leverage, large ones whose whole balance backs them.

`People` are the parameters of a population, `Visitors` draws what arriving traders want; `account_market` carries
it out. Sizes are heavy-tailed, lives follow a power law, margins are wide. Defaults are set so that the statistics
of `statistics` lie within the bounds of its table; `world` draws them from wide ranges around that.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from liqheat.platform.errors import ConfigurationError
from liqheat.simulator.holding import Holding
from liqheat.simulator.tape import FloatArray, IntArray
from liqheat.simulator.traders import LEVERAGE_MIXES, BoolArray, Mood

_SIZE_SLOPE = 0.35
"""How much less leverage a small account uses the larger its position: notional goes with leverage to minus this."""
_CROSS_SETTINGS = np.array([3.0, 5.0, 10.0, 20.0, 25.0, 40.0])
_CROSS_SETTING_STEPS = np.cumsum([0.17, 0.13, 0.18, 0.30, 0.12, 0.10])
"""Leverages that cross accounts set, as seen on Hyperliquid; they say little of where these are liquidated."""


@dataclass(frozen=True, slots=True)
class People:
    """The accounts that trade one coin; shares lie between 0 and 1."""

    traders: int = 6_000
    """Open positions that the market tends to, over all venues and both sides."""
    small_share: float = 0.18
    """Part of the notional that small accounts hold."""
    small_count_share: float = 0.8
    """Part of the positions that are small accounts'."""
    isolated_share: float = 0.3
    """Small accounts' positions with isolated margin; all others are crossed with the rest of their account."""
    large_isolated_share: float = 0.08
    leverage_mix: str = "degen"
    """Leverages of isolated positions: a name of `traders.LEVERAGE_MIXES`."""
    small_size_spread: float = 1.5
    large_size_spread: float = 3.2
    """Standard deviations of the log notional."""
    largest_share: float = 0.03
    """No position is larger than this part of one side's open interest."""
    small_margin: float = 0.25
    small_margin_spread: float = 0.8
    large_margin: float = 0.75
    large_margin_spread: float = 1.25
    """Margin behind a crossed position over its notional: median, and standard deviation of the log."""
    other_exposure: float = 0.5
    """What a crossed account holds besides: mean size of its other positions over this one's notional."""
    other_correlation: float = 0.6
    """How much the other positions' price goes with the coin's."""
    small_holding: Holding = field(default_factory=lambda: Holding(0.55, 0.15, 30 * 24.0))
    large_holding: Holding = field(default_factory=lambda: Holding(0.5, 0.6, 120 * 24.0))
    stop_share: float = 0.3
    """Positions of small accounts with a stop; large ones have a quarter as many."""
    profit_share: float = 0.5
    defended_share: float = 0.75
    """Large positions that add margin or are cut when price comes near; of small ones a third as many."""
    cut_share: float = 0.4
    """Part of the defended positions that are cut instead of getting margin."""
    margin_additions_per_hour: float = 0.002
    partial_closes_per_hour: float = 0.002
    trend_followers: float = 0.55
    passive_share: float = 0.35
    slice_usd: float = 50_000.0
    """Larger orders are worked in parts of about this size."""
    makers: int = 6
    maker_turnover: float = 0.8
    """What makers trade among themselves in a day, in open interests."""

    def __post_init__(self) -> None:
        if self.leverage_mix not in LEVERAGE_MIXES:
            raise ConfigurationError(
                f"Expected a leverage mix out of {', '.join(LEVERAGE_MIXES)}, was {self.leverage_mix!r}"
            )
        if self.traders < 1 or self.makers < 1:
            raise ConfigurationError("Expected at least one trader and one market maker")

    @property
    def small_arrivals_per_hour(self) -> float:
        """Small accounts' arrivals that keep their number level."""
        return self.traders * self.small_count_share / self.small_holding.mean_hours

    @property
    def arrivals_per_hour(self) -> float:
        """Arrivals that keep the number of positions level."""
        large = self.traders * (1 - self.small_count_share) / self.large_holding.mean_hours
        return self.small_arrivals_per_hour + large


@dataclass(frozen=True, slots=True)
class Wishes:
    """What arriving traders want; arrays of one length, distances as fractions of the entry price."""

    is_large: BoolArray
    is_cross: BoolArray
    side: IntArray
    notional: FloatArray
    leverage: FloatArray
    """The leverage that is set; of isolated positions notional over margin."""
    margin_ratio: FloatArray
    """Margin that backs the position over its notional."""
    other: FloatArray
    """Signed size of the account's other positions over this one's notional; 0 where isolated."""
    age_hours: FloatArray
    """0 of arrivals; of the stock, how long ago the position was opened."""
    life_hours: FloatArray
    """Whole life, age included."""
    stop_distance: FloatArray
    """inf without a stop."""
    profit_distance: FloatArray
    """inf without a target."""
    is_defended: BoolArray
    passive: BoolArray


class Visitors:
    """Draws wishes for one coin."""

    def __init__(self, people: People, open_interest_usd: float) -> None:
        """Sizes are set such that positions held tend to `open_interest_usd` on each side."""
        self.people = people
        whole = 2 * open_interest_usd
        self._most = people.largest_share * open_interest_usd
        small_count = people.small_count_share * people.traders
        self._small_median = _median_for(
            whole * people.small_share / max(small_count, 1), people.small_size_spread, self._most
        )
        large_count = (1 - people.small_count_share) * people.traders
        self._large_median = _median_for(
            whole * (1 - people.small_share) / max(large_count, 1), people.large_size_spread, self._most
        )
        mix = LEVERAGE_MIXES[people.leverage_mix]
        self._leverages = np.array(list(mix), dtype=np.float64)
        self._leverage_steps = np.cumsum(list(mix.values()))

    def draw(self, count: int, mood: Mood, generator: np.random.Generator, *, standing: bool = False) -> Wishes:
        """Draw `count` wishes; `standing` draws a stock that has built up, with ages, instead of arrivals."""
        people = self.people
        chance = generator.random((11, count))
        normal = generator.standard_normal((5, count))
        arriving = people.small_arrivals_per_hour / people.arrivals_per_hour
        is_large = chance[0] >= (people.small_count_share if standing else arriving)
        is_cross = chance[1] >= np.where(is_large, people.large_isolated_share, people.isolated_share)

        followers = chance[2] < people.trend_followers
        odds = np.where(followers, 1.4, -1.2) * mood.trend + mood.long_bias
        side = np.where(chance[3] * (1 + np.exp(-odds)) < 1, 1, -1)

        mixed = self._leverages[_steps_at(self._leverage_steps, chance[4])]
        settings = _CROSS_SETTINGS[_steps_at(_CROSS_SETTING_STEPS, chance[4])]
        small_size = self._small_median * np.exp(people.small_size_spread * normal[0])
        # High leverage goes with small money: tiers allow no other, and it is seen so.
        small_size *= np.where(is_cross, 1.0, np.minimum((10 / mixed) ** _SIZE_SLOPE, 1.6))
        large_size = self._large_median * np.exp(people.large_size_spread * normal[0])
        notional = np.minimum(np.where(is_large, large_size, small_size), self._most)

        median = np.where(is_large, people.large_margin, people.small_margin)
        spread = np.where(is_large, people.large_margin_spread, people.small_margin_spread)
        crossed_ratio = median * np.exp(spread * normal[1])
        leverage = np.where(is_cross, settings, mixed)
        other = np.where(is_cross, people.other_exposure * normal[2], 0.0)

        age, life = np.zeros(count), np.zeros(count)
        for holding, here in ((people.small_holding, ~is_large), (people.large_holding, is_large)):
            if standing:
                age[here] = holding.ages(chance[5][here])
            life[here] = holding.lives_beyond(age[here], chance[6][here])
        # Targets are set in proportion to what the price does, wider for those who stay longer.
        reach = mood.volatility * np.sqrt(np.clip(life, 0.25, 72.0))
        stop = reach * np.exp(0.6 * normal[3]) * 1.2
        profit = reach * np.exp(0.6 * normal[4]) * 1.5
        has_stop = chance[7] < people.stop_share * np.where(is_large, 0.25, 1.0)
        has_profit = chance[8] < people.profit_share * np.where(is_large, 0.25, 1.0)
        return Wishes(
            is_large=is_large,
            is_cross=is_cross,
            side=side.astype(np.int64),
            notional=notional,
            leverage=leverage,
            margin_ratio=np.where(is_cross, crossed_ratio, 1 / leverage),
            other=other,
            age_hours=age,
            life_hours=life,
            stop_distance=np.where(has_stop, stop, np.inf),
            profit_distance=np.where(has_profit, profit, np.inf),
            is_defended=chance[9] < people.defended_share * np.where(is_large, 1.0, 1 / 3),
            passive=chance[10] < people.passive_share,
        )


def _steps_at(steps: FloatArray, chance: FloatArray) -> npt.NDArray[np.int64]:
    return np.minimum(np.searchsorted(steps, chance), len(steps) - 1)


def _median_for(mean: float, spread: float, most: float) -> float:
    """Return the median of a lognormal of `spread` that has `mean` where it is cut off at `most`; all USD."""
    quantiles = np.exp(spread * _NORMAL_QUANTILES)
    low, high = mean * 1e-6, most
    for _ in range(60):
        middle = (low * high) ** 0.5
        if float(np.minimum(middle * quantiles, most).mean()) < mean:
            low = middle
        else:
            high = middle
    return float((low * high) ** 0.5)


_NORMAL_QUANTILES = np.sort(np.random.default_rng(0).standard_normal(20_000))
"""A fixed sample of the standard normal, for means of cut-off lognormals."""
