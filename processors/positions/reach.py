"""How much of what opens is near liquidation, at which leverages: what one market teaches and takes from its symbol.

Between two lessons it gathers what was swept and what was executed; a lesson hands that to the symbol's
`SymbolMix`, and says by how much each leverage's levels in the books grow or shrink.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from liqheat.domain.market import leverage_band
from liqheat.domain.money import MICRO_USD_PER_USD
from liqheat.platform.settings import Engine as EngineSettings
from processors.positions.book import BANDS
from processors.positions.confidence import UNLEARNED_VARIANCE, band_variances
from processors.positions.learned_mix import (
    FADE,
    LESSON_MINUTES,
    THROTTLED_VENUES,
    Estimate,
    SymbolMix,
    unsampled,
)
from processors.positions.leverage_mix import SIZE_CLASSES, LeverageMix

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

LONGEST_HALF_LIFE_HOURS = 48.0

LEAST_FIT = 1e-6
"""Part of a side that remains at least when it gives way to open interest, so that it can grow again."""


def kept_in_a_minute(settings: EngineSettings) -> FloatArray:
    """Return the share of standing notional that is still open after a minute, by leverage, shape (n,).

    The higher the leverage the shorter a position is held: `half_life_hours` is that of 10x, those of the others go
    inversely with leverage, and none is longer than two days.
    """
    hours = settings.half_life_hours * 10 / np.asarray(settings.leverages)
    return np.asarray(0.5 ** (1 / (60.0 * np.minimum(hours, LONGEST_HALF_LIFE_HOURS))))


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What a lesson says, by leverage, shape (n,): factors for both sides, (2, n), and the mix to publish.

    `shares` of opened notional sum to 1; `uncertainty` is their standard deviation.
    """

    factors: FloatArray
    shares: FloatArray
    uncertainty: FloatArray


@dataclass(slots=True, eq=False)
class Reach:
    """One market's part in learning; every attribute but the first three is state.

    `weights`, shape (2, n), longs first, is USD in reach that a USD seen to open stands for, by wanted leverage.
    `swept` and `executed` are of the lesson so far: micro-USD by side and leverage, USD by side.
    `opened_by_size` is USD that opened by size class, fading, shape (SIZE_CLASSES,).
    """

    venue: str
    settings: EngineSettings
    symbol_mix: SymbolMix
    weights: FloatArray = field(init=False)
    swept: IntArray = field(init=False)
    executed: list[float] = field(default_factory=lambda: [0.0, 0.0])
    executed_squares: float = 0.0
    """Sum of the squared sizes of the executed, USD^2."""
    opened_by_size: FloatArray = field(default_factory=lambda: np.zeros(SIZE_CLASSES))
    band_variances: FloatArray = field(default_factory=lambda: np.full(BANDS, UNLEARNED_VARIANCE))
    kept: FloatArray = field(init=False)
    bands: IntArray = field(init=False)
    _class_weights: FloatArray | None = None

    def __post_init__(self) -> None:
        """Start from what the symbol believes."""
        self.weights = np.tile(self.symbol_mix.weights, (2, 1))
        self.swept = np.zeros_like(self.weights, dtype=np.int64)
        self.kept = kept_in_a_minute(self.settings)
        self.bands = leverage_band(self.settings.leverages)

    def class_weights(self, mix: LeverageMix) -> FloatArray:
        """Return `weights` by side, size class and the columns of `mix`, as the tiers allow."""
        if self._class_weights is None:
            self._class_weights = np.stack([mix.collapse(weights) for weights in self.weights])
        return self._class_weights

    def change_classes(self) -> None:
        """Start the sizes anew: the tiers changed, and with them what a class is."""
        self._class_weights = None
        self.opened_by_size[:] = 0

    def give_way(self, side: int, scale: float) -> None:
        """Scale a side down for good: it was held to open interest, and so is what it will learn from."""
        if scale < 1:
            self.weights[side] *= max(scale, LEAST_FIT)
            self._class_weights = None

    def add_opened(self, usd: float, classes: IntArray, weights: FloatArray) -> None:
        """Note the sizes of what opened: `usd` over entries with size `classes` and `weights` that sum to 1."""
        self.opened_by_size += usd * np.bincount(classes, weights, SIZE_CLASSES)

    def add_minute(self, swept: IntArray, executed: tuple[int, int], rows: int) -> None:
        """Add a minute of which liquidations were told.

        Args:
            swept: micro-USD by side and leverage, (2, n).
            executed: micro-USD liquidated by side.
            rows: liquidations that were told.
        """
        self.swept += swept
        whole = sum(executed)
        factor = unsampled(self.venue, whole, rows) / whole if whole else 1.0
        for index, amount in enumerate(executed):
            self.executed[index] += amount * factor / MICRO_USD_PER_USD

    def take_lesson(self, mix: LeverageMix, held: IntArray, interest: float, room: tuple[int, int]) -> Lesson:
        """Teach the symbol what was gathered, learn from it, and start the next lesson.

        Args:
            mix: size classes of the market.
            held: micro-USD that stand now, by side and leverage, (2, n).
            interest: one-sided open interest that is inferred, USD, above 0.
            room: micro-USD that each side may hold.
        """
        symbol_mix, landing = self.symbol_mix, self._landing(mix)
        evidence, believed = symbol_mix.of(self.venue), np.exp(symbol_mix.logs)
        # Of what was open before the log began, the part that is not gone yet is missing from the book.
        filled = 1 - self.kept ** (LESSON_MINUTES * (evidence.lessons + 1))
        evidence.executed += sum(self.executed) / interest
        evidence.executed_squares += self.executed_squares / interest**2
        evidence.standing, evidence.interest = np.zeros_like(believed), interest
        for side in range(2):
            # What each wanted leverage has of a USD in a row, were its multiple of the prior 1.
            whole = (landing @ self.weights[side] * filled)[:, None]
            parts = np.divide(landing * symbol_mix.prior, whole, out=np.zeros_like(landing), where=landing > 0)
            swept, standing = (
                parts.T @ amounts / MICRO_USD_PER_USD / interest for amounts in (self.swept[side], held[side])
            )
            executed = self.executed[side] / interest
            evidence.add(
                swept, executed, believed, self.settings.reach_share, is_sampled=self.venue in THROTTLED_VENUES
            )
            evidence.standing += standing / 2
        evidence.lessons += 1
        evidence.forget()
        self.swept[:] = 0
        self.executed, self.executed_squares = [0.0, 0.0], 0.0
        self.opened_by_size *= FADE
        return self._learned(symbol_mix.estimate(), landing, held, room)

    def _learned(self, estimate: Estimate, landing: FloatArray, held: IntArray, room: tuple[int, int]) -> Lesson:
        wanted = self.symbol_mix.weights
        after = landing @ wanted
        factors = np.ones_like(self.weights)
        for side in range(2):
            before = landing @ self.weights[side]
            np.divide(after, before, out=factors[side], where=before > 0)
            total = float(held[side] @ factors[side])
            # Beyond open interest nothing can stand: the whole side gives way, not what was learned of it.
            fits = max(min(room[side] / total, 1.0), LEAST_FIT) if total > 0 else 1.0
            factors[side] *= fits
            self.weights[side] = wanted * fits
        self._class_weights = None
        deviations = np.divide(
            landing * wanted @ estimate.deviations, after, out=estimate.deviations.copy(), where=after > 0
        )
        self.band_variances = band_variances(held.sum(axis=0).astype(np.float64), deviations, self.bands, BANDS)
        shares = after / after.sum()
        return Lesson(factors, shares, np.minimum(shares * deviations, 1.0))

    def _landing(self, mix: LeverageMix) -> FloatArray:
        opened = self.opened_by_size[: len(mix.allowed)]
        return mix.landing(opened if opened.any() else np.eye(len(opened))[mix.usual])

    def usual_size(self, mix: LeverageMix) -> float:
        """Return the mean size of what opened, USD, each class counted at its least: how lumpy levels are."""
        opened, typical = self.opened_by_size[: len(mix.allowed)], self.settings.typical_notional_usd
        whole = float(opened.sum())
        if whole <= 0:
            return typical
        return float(opened @ np.maximum(np.append(0, mix.floors) / MICRO_USD_PER_USD, typical)) / whole
