"""Margin-tier tables: which maintenance margin rate and maximum leverage hold at which notional.

Read by the liquidation-price models, the engine (to clip leverages) and the simulator (to liquidate). The
tables ship as dated data files and are refreshed from the venues' APIs; a broken table is refused.
"""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from liqheat.domain.events import MarginTier
from liqheat.domain.market import Venue

FloatArray = npt.NDArray[np.float64]

DATED_FILES: dict[Venue, str] = {Venue.BINANCE: "binance_usdm_tiers_2026-09.json.gz"}
"""Tier tables shipped with the package; the month in the name is when they were read."""

NO_CAP_USD = 1e15
"""Cap (USD) of a last tier whose venue names none: above any position, and the most that a `Usd` may be."""
# Amounts are published to the cent at best, so the recurrence is checked to a cent or one part in 1e9.
_AMOUNT_TOLERANCE_USD = 0.011


class BrokenMarginTiers(ValueError):
    """A tier table that contradicts itself; the message says which step and how."""


@dataclass(frozen=True, slots=True, eq=False)
class MarginTiers:
    """One instrument's tiers in rising notional; every array has shape (tiers,), float64, notionals in USD.

    `maintenance margin = notional * maintenance_margin_rate - maintenance_amount`. A table without
    deductions (OKX) has all amounts 0 and its margin jumps at the tier edges.
    """

    notional_floor: FloatArray
    notional_cap: FloatArray
    maximum_leverage: FloatArray
    maintenance_margin_rate: FloatArray
    maintenance_amount: FloatArray

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]]) -> "MarginTiers":
        """Build and check a table from rows `floor, cap, maximum leverage, rate, amount`.

        Raises:
            BrokenMarginTiers: the rows are no tier table.
        """
        table = np.asarray(rows, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != 5 or not len(table):
            raise BrokenMarginTiers(f"Expected rows of 5 numbers, was shape {table.shape}")
        tiers = cls(*(np.ascontiguousarray(column) for column in table.T))
        tiers.check()
        return tiers

    @classmethod
    def single(cls, maximum_leverage: float, maintenance_margin_rate: float, cap: float = NO_CAP_USD) -> "MarginTiers":
        """Build a table of one tier."""
        return cls.of([[0.0, cap, maximum_leverage, maintenance_margin_rate, 0.0]])

    def __len__(self) -> int:
        return len(self.notional_floor)

    @property
    def has_deductions(self) -> bool:
        """Whether margin is continuous over the tier edges, by amounts that are deducted."""
        return len(self) == 1 or bool((self.maintenance_amount[1:] > 0).any())

    def check(self) -> None:
        """Refuse a table that contradicts itself.

        Contiguous rising notionals, rates in (0, 1] that never fall, leverages that never rise, and, where
        the venue deducts, `amount_n = floor_n * (rate_n - rate_(n-1)) + amount_(n-1)` (Binance's FAQ).

        Raises:
            BrokenMarginTiers: with the step at fault.
        """
        if not all(np.isfinite(column).all() for column in self.columns()):
            raise BrokenMarginTiers("Expected finite numbers in every tier")
        if self.notional_floor[0] != 0:
            raise BrokenMarginTiers(f"Expected the first tier to start at 0 USD, was {self.notional_floor[0]:g}")
        if not (self.notional_cap > self.notional_floor).all():
            raise BrokenMarginTiers("Expected each tier's cap above its floor")
        if not (self.notional_floor[1:] == self.notional_cap[:-1]).all():
            step = int(np.argmax(self.notional_floor[1:] != self.notional_cap[:-1])) + 2
            raise BrokenMarginTiers(f"Expected tier {step} to start where tier {step - 1} ends")
        rates = self.maintenance_margin_rate
        if not ((rates > 0) & (rates <= 1)).all() or (np.diff(rates) < 0).any():
            raise BrokenMarginTiers("Expected maintenance margin rates in (0, 1] that never fall")
        if (self.maximum_leverage <= 0).any() or (np.diff(self.maximum_leverage) > 0).any():
            raise BrokenMarginTiers("Expected maximum leverages above 0 that never rise")
        if self.maintenance_amount[0] != 0:
            raise BrokenMarginTiers(f"Expected no amount in the first tier, was {self.maintenance_amount[0]:g}")
        if self.has_deductions:
            expected = self.notional_floor[1:] * np.diff(rates) + self.maintenance_amount[:-1]
            wrong = np.abs(expected - self.maintenance_amount[1:]) > np.maximum(_AMOUNT_TOLERANCE_USD, expected * 1e-9)
            if wrong.any():
                step = int(np.argmax(wrong))
                raise BrokenMarginTiers(
                    f"Expected a maintenance amount of {expected[step]:g} USD in tier {step + 2}, "
                    f"was {self.maintenance_amount[step + 1]:g}"
                )

    def columns(self) -> tuple[FloatArray, ...]:
        """Return the five columns in the order of `of`."""
        return (
            self.notional_floor,
            self.notional_cap,
            self.maximum_leverage,
            self.maintenance_margin_rate,
            self.maintenance_amount,
        )

    def rows(self) -> list[list[float]]:
        """Return the table as rows in the order of `of`."""
        return np.stack(self.columns(), axis=1).tolist()  # type: ignore[no-any-return]

    def tier_at(self, notional: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the 0-based tier of each notional (USD), `floor <= notional < cap`; past the last cap, the last."""
        index = np.searchsorted(self.notional_floor, np.asarray(notional, dtype=np.float64), side="right") - 1
        return np.clip(index, 0, len(self) - 1)

    def notional_limit(self, leverage: npt.ArrayLike) -> FloatArray:
        """Return the largest notional (USD) open to each leverage; 0 where the leverage is not allowed."""
        wanted = np.asarray(leverage, dtype=np.float64)[..., None]
        limit: FloatArray = np.where(self.maximum_leverage >= wanted, self.notional_cap, 0.0).max(axis=-1)
        return limit

    def maintenance_margin(self, notional: npt.ArrayLike) -> FloatArray:
        """Return the maintenance margin (USD) at each notional (USD)."""
        values = np.asarray(notional, dtype=np.float64)
        tier = self.tier_at(values)
        return values * self.maintenance_margin_rate[tier] - self.maintenance_amount[tier]

    def to_events(self, venue: Venue, symbol: str, instrument: str, event_time: int) -> list[MarginTier]:
        """Return the table as events that belong together, one per tier."""
        return [
            MarginTier(venue, symbol, instrument, event_time, number, len(self), *row)
            for number, row in enumerate(self.rows(), start=1)
        ]


def with_deductions(rows: Sequence[Sequence[float]]) -> MarginTiers:
    """Build a table from rows `floor, cap, maximum leverage, rate`, computing the amounts that keep margin continuous.

    Raises:
        BrokenMarginTiers: the rows are no tier table.
    """
    complete: list[list[float]] = []
    for floor, cap, leverage, rate in rows:
        amount = floor * (rate - complete[-1][3]) + complete[-1][4] if complete else 0.0
        complete.append([floor, cap, leverage, rate, amount])
    return MarginTiers.of(complete)


@cache
def shipped_tables(venue: Venue) -> dict[str, MarginTiers]:
    """Return the tier tables shipped for `venue` by instrument name; empty where none are shipped.

    The Binance file holds the columns of its `leverageBracket` answer as published in September 2026.

    Raises:
        BrokenMarginTiers: a shipped table contradicts itself.
    """
    name = DATED_FILES.get(venue)
    if name is None:
        return {}
    packed = resources.files("liqheat.domain").joinpath("data", name).read_bytes()
    return {
        instrument: MarginTiers.of(rows) for instrument, rows in json.loads(gzip.decompress(packed))["tables"].items()
    }
