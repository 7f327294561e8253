"""What a map must beat, over bars: rules of distance, the methods in use, and B1 of the study of real BTC.

Each is a `BarMethod`, written from its description. Where a method was made for single trades, its docstring
says what is used instead.
"""

from math import erf, sqrt
from typing import Protocol

import numpy as np
import numpy.typing as npt

from liqheat.scoring.bars import Bar
from liqheat.scoring.places import CELL, CELLS, KERNEL_SCALE, distances

FloatArray = npt.NDArray[np.float64]

STEP = 0.0005
"""Width of a ladder's level, log price."""
_DAY_MS = 86_400_000


class BarMethod(Protocol):
    """A way to say how much is liquidated where, bar by bar."""

    def expect(self, low: float, high: float) -> tuple[float, float]:
        """Return USD of longs and shorts that a path from the last close to `low` and to `high` executes."""
        ...

    def close(self, bar: Bar) -> None:
        """Take the next bar."""
        ...

    def cells(self) -> FloatArray:
        """Return the map around the last close, any unit, shape (2, CELLS) of `places`: longs below, shorts above."""
        ...


class DistanceRule:
    """Executed is `scale` times a function of the distance gone; the scale is what it was in the past."""

    def __init__(self, name: str, memory_days: float) -> None:
        self.name, self.memory_ms = name, memory_days * _DAY_MS
        self.price = float("nan")
        self.executed = self.gone = 0.0

    def amount(self, distance: float) -> float:
        """Return the integral of the density up to `distance` (log price)."""
        if self.name == "uniform":
            return distance
        if self.name == "kernel":
            return distance + KERNEL_SCALE * (float(np.exp(-distance / KERNEL_SCALE)) - 1)
        return distance * distance

    def expect(self, low: float, high: float) -> tuple[float, float]:
        """Return what the path executes, USD, longs and shorts."""
        scale = self.executed / self.gone if self.gone > 0 else 0.0
        down, up = self._gone(low, high)
        return scale * self.amount(down), scale * self.amount(up)

    def _gone(self, low: float, high: float) -> tuple[float, float]:
        if np.isnan(self.price):
            return 0.0, 0.0
        return max(float(np.log(self.price / low)), 0.0), max(float(np.log(high / self.price)), 0.0)

    def close(self, bar: Bar) -> None:
        """Take the next bar."""
        if bar.executed is not None:
            fade = 0.5 ** (bar.step_ms / self.memory_ms)
            self.executed = self.executed * fade + sum(bar.executed)
            self.gone = self.gone * fade + sum(self.amount(gone) for gone in self._gone(bar.low, bar.high))
        self.price = bar.close

    def cells(self) -> FloatArray:
        """Return the map around the last close, (2, CELLS)."""
        away = distances()
        density = {"uniform": np.ones(CELLS), "kernel": 1 - np.exp(-away / KERNEL_SCALE)}.get(self.name, away)
        return np.stack([density, density])


class LogLadder:
    """USD by level of log price: longs below the price, shorts above it, emptied where the path goes."""

    def __init__(self, lowest: float, highest: float) -> None:
        """Hold prices from `lowest` to `highest`, USD, and a factor of three beyond."""
        self.first = int(np.floor((np.log(lowest) - 1.1) / STEP))
        self.usd = np.zeros(int((np.log(highest) + 1.1) / STEP) + 1 - self.first)
        self.price = float("nan")

    def level(self, price: float) -> int:
        """Return the level of a price, USD."""
        return int(np.floor(np.log(price) / STEP)) - self.first

    def range_of(self, low: float, high: float) -> tuple[int, int, int]:
        """Return the lowest and highest level reached from the last close, and the level of that close."""
        middle = self.level(self.price)
        return min(self.level(low), middle), max(self.level(high), middle), middle

    def expect(self, low: float, high: float) -> tuple[float, float]:
        """Return what the path executes, USD, longs and shorts."""
        if np.isnan(self.price):
            return 0.0, 0.0
        first, last, middle = self.range_of(low, high)
        return float(self.usd[first : middle + 1].sum()), float(self.usd[middle + 1 : last + 1].sum())

    def sweep(self, bar: Bar) -> None:
        """Empty what the bar reached; the price is its close then."""
        if not np.isnan(self.price):
            first, last, _ = self.range_of(bar.low, bar.high)
            self.usd[first : last + 1] = 0.0
        self.price = bar.close

    def open(self, entry: float, leverage: float, usd: float, side: int | None = None) -> None:
        """Add `usd` at the bankruptcy price of `leverage` from `entry`, on both sides or one (1 long, -1 short)."""
        middle = self.level(self.price)
        for sign in (1, -1) if side is None else (side,):
            place = self.level(entry * (1 - sign / leverage))
            if (place < middle) == (sign > 0):
                self.usd[min(max(place, 0), len(self.usd) - 1)] += usd

    def cells(self) -> FloatArray:
        """Return the map around the last close, (2, CELLS)."""
        return cells_of(self.usd, self.level(self.price))


def cells_of(usd: FloatArray, middle: int) -> FloatArray:
    """Return levels below and above `middle` in cells of `places`, (2, CELLS); what lies beyond the ladder is 0."""
    per_cell = round(CELL / STEP)
    wanted = CELLS * per_cell
    below = usd[max(middle - wanted, 0) : middle][::-1]
    above = usd[middle + 1 : middle + 1 + wanted]
    sides = [np.pad(side, (0, wanted - len(side))).reshape(CELLS, per_cell).sum(axis=1) for side in (below, above)]
    return np.stack(sides)


class CandleDirection(LogLadder):
    """Each rise of open interest opens the side of the bar's direction at its close; falls close both in proportion."""

    LEVERAGES = (5.0, 10.0, 25.0, 50.0, 100.0)
    SHARES = (0.15, 0.30, 0.25, 0.20, 0.10)

    def __init__(self, lowest: float, highest: float) -> None:
        super().__init__(lowest, highest)
        self.interest = float("nan")

    def close(self, bar: Bar) -> None:
        """Take the next bar."""
        self.sweep(bar)
        change = (bar.interest - self.interest) * bar.close
        if change > 0:
            side = -1 if bar.close < bar.open else 1
            for leverage, share in zip(self.LEVERAGES, self.SHARES, strict=True):
                self.open(bar.close, leverage, change * share, side)
        elif change < 0:
            self.usd *= max(bar.interest / self.interest, 0.0)
        if not np.isnan(bar.interest):
            self.interest = bar.interest


class LargeTrades(LogLadder):
    """Every large trade at 10, 25, 50 and 100x, buys as longs, sells as shorts, until price comes.

    Bars hold no single trades: instead, that by which a bar's taker buys or sells exceed its usual turnover.
    """

    LEVERAGES = (10.0, 25.0, 50.0, 100.0)

    def __init__(self, lowest: float, highest: float) -> None:
        super().__init__(lowest, highest)
        self.usual = 0.0

    def close(self, bar: Bar) -> None:
        """Take the next bar."""
        self.sweep(bar)
        turnover = bar.buy_usd + bar.sell_usd
        limit = self.usual
        for side, usd in ((1, bar.buy_usd), (-1, bar.sell_usd)):
            if self.usual and usd > limit:
                for leverage in self.LEVERAGES:
                    self.open(bar.close, leverage, usd - limit, side)
        fade = 0.5 ** (bar.step_ms / _DAY_MS)
        self.usual = self.usual * fade + turnover * (1 - fade) if self.usual else turnover


class OpenInterestLadder(LogLadder):
    """Present open interest, spread over the volume profile of all that was traded and a fixed ladder of leverages."""

    LEVERAGES = CandleDirection.LEVERAGES
    SHARES = CandleDirection.SHARES

    def __init__(self, lowest: float, highest: float) -> None:
        super().__init__(lowest, highest)
        self.profile = np.zeros(len(self.usd))
        self.interest_usd = float("nan")

    def close(self, bar: Bar) -> None:
        """Take the next bar."""
        self.price = bar.close
        self.profile[self.level(bar.close)] += bar.buy_usd + bar.sell_usd
        if not np.isnan(bar.interest):
            self.interest_usd = bar.interest * bar.close
        usd, middle = np.zeros(len(self.usd)), self.level(bar.close)
        whole = float(self.profile.sum())
        if whole > 0 and not np.isnan(self.interest_usd):
            for leverage, share in zip(self.LEVERAGES, self.SHARES, strict=True):
                down, up = (
                    round(-float(np.log(1 - 1 / leverage)) / STEP),
                    round(float(np.log(1 + 1 / leverage)) / STEP),
                )
                usd[:middle] += share * self.profile[down : down + middle]
                usd[middle + 1 :] += share * self.profile[middle + 1 - up : len(usd) - up]
            usd *= self.interest_usd / whole
        self.usd = usd


class TurnoverSeeding:
    """Each bar's turnover seeds both sides at close, high and low over four leverages with half-lives of days.

    More so while open interest rises; the whole is scaled to open interest when it is read.
    """

    LEVERAGES = (3.0, 5.0, 10.0, 25.0)
    SHARES = (0.35, 0.30, 0.20, 0.15)
    HALF_LIFE_DAYS = (60.0, 30.0, 14.0, 5.0)
    ANCHORS = (0.45, 0.275, 0.275)

    def __init__(self, lowest: float, highest: float) -> None:
        self.rungs = [LogLadder(lowest, highest) for _ in self.LEVERAGES]
        self.interest = self.interest_usd = float("nan")

    def close(self, bar: Bar) -> None:
        """Take the next bar."""
        rise = bar.interest / self.interest - 1 if self.interest > 0 else 0.0
        boost = min(1 + 8 * max(rise, 0.0), 3.0) if np.isfinite(rise) else 1.0
        if not np.isnan(bar.interest):
            self.interest, self.interest_usd = bar.interest, bar.interest * bar.close
        seeded = (bar.buy_usd + bar.sell_usd) * boost / 2
        for rung, leverage, share, days in zip(
            self.rungs, self.LEVERAGES, self.SHARES, self.HALF_LIFE_DAYS, strict=True
        ):
            rung.sweep(bar)
            rung.usd *= 0.5 ** (bar.step_ms / _DAY_MS / days)
            for entry, part in zip((bar.close, bar.high, bar.low), self.ANCHORS, strict=True):
                rung.open(entry, leverage, seeded * share * part)

    def _scale(self) -> float:
        whole = sum(float(rung.usd.sum()) for rung in self.rungs)
        return self.interest_usd / whole if whole > 0 and self.interest_usd > 0 else 1.0

    def expect(self, low: float, high: float) -> tuple[float, float]:
        """Return what the path executes, USD, longs and shorts."""
        scale = self._scale()
        parts = np.array([rung.expect(low, high) for rung in self.rungs]).sum(axis=0) * scale
        return float(parts[0]), float(parts[1])

    def cells(self) -> FloatArray:
        """Return the map around the last close, (2, CELLS)."""
        return np.asarray(sum(rung.cells() for rung in self.rungs))


class StudyB1:
    """B1 of the study: turnover, survival `(1 + age / 0.1 h) ** -0.5`, lognormal distances, emptied when touched.

    Survival is a sum of nine exponentials fitted to that power; kappa is executed over swept, half-life 14 days.
    """

    HALF_LIVES_HOURS = np.array([0.067, 0.2, 0.667, 2.0, 6.0, 18.0, 60.0, 200.0, 700.0])
    WEIGHTS = np.array([0.261, 0.267, 0.174, 0.138, 0.036, 0.063, 0.016, 0.0, 0.027])
    MEDIAN, DEVIATION = 0.10, 1.5
    PRIOR, PRIOR_USD = 0.03, 1e8
    REACH = 1_400

    def __init__(self, lowest: float, highest: float) -> None:
        self.grid = LogLadder(lowest, highest)
        self.layers = np.zeros((len(self.WEIGHTS), len(self.grid.usd)))
        edges = np.maximum((np.arange(self.REACH + 1) - 0.5) * STEP, 1e-9)
        logs = np.log(edges / self.MEDIAN) / self.DEVIATION
        within = np.array([0.5 * (1 + erf(value / sqrt(2))) for value in logs.tolist()])
        self.shares = np.diff(within)[1:]
        self.executed = self.swept = 0.0

    def _kappa(self) -> float:
        return (self.executed + self.PRIOR * self.PRIOR_USD) / (self.swept + self.PRIOR_USD)

    def _raw(self, low: float, high: float) -> tuple[float, float]:
        if np.isnan(self.grid.price):
            return 0.0, 0.0
        first, last, middle = self.grid.range_of(low, high)
        return float(self.layers[:, first : middle + 1].sum()), float(self.layers[:, middle + 1 : last + 1].sum())

    def expect(self, low: float, high: float) -> tuple[float, float]:
        """Return what the path executes, USD, longs and shorts."""
        kappa, (longs, shorts) = self._kappa(), self._raw(low, high)
        return kappa * longs, kappa * shorts

    def close(self, bar: Bar) -> None:
        """Take the next bar."""
        if bar.executed is not None:
            fade = 0.5 ** (bar.step_ms / (14 * _DAY_MS))
            self.executed = self.executed * fade + sum(bar.executed)
            self.swept = self.swept * fade + sum(self._raw(bar.low, bar.high))
        if not np.isnan(self.grid.price):
            first, last, _ = self.grid.range_of(bar.low, bar.high)
            self.layers[:, first : last + 1] = 0.0
        self.grid.price = bar.close
        self.layers *= (0.5 ** (bar.step_ms / 3_600_000 / self.HALF_LIVES_HOURS))[:, None]
        middle = self.grid.level(bar.close)
        opened = self.WEIGHTS[:, None] * ((bar.buy_usd + bar.sell_usd) * self.shares)
        below, above = min(middle, len(self.shares)), min(self.layers.shape[1] - middle - 1, len(self.shares))
        self.layers[:, middle - below : middle] += opened[:, :below][:, ::-1]
        self.layers[:, middle + 1 : middle + 1 + above] += opened[:, :above]

    def cells(self) -> FloatArray:
        """Return the map around the last close, (2, CELLS)."""
        return cells_of(self.layers.sum(axis=0), self.grid.level(self.grid.price))


def rivals(lowest: float, highest: float) -> dict[str, BarMethod]:
    """Return all rivals by the names of the report, for a market whose prices stay between `lowest` and `highest`."""
    return {
        "B1 of the study": StudyB1(lowest, highest),
        "trailing liquidations per squared move": DistanceRule("squared", 7.0),
        "distance kernel": DistanceRule("kernel", 14.0),
        "uniform": DistanceRule("uniform", 14.0),
        "turnover with half-life": TurnoverSeeding(lowest, highest),
        "open interest on a ladder": OpenInterestLadder(lowest, highest),
        "candle direction": CandleDirection(lowest, highest),
        "large trades at every leverage": LargeTrades(lowest, highest),
    }
