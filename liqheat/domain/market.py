"""The closed sets that every stage speaks in: venues, sides, basis and leverage bands.

Imported by events, engine, sinks and dashboards alike, so that a name is spelt in one place.
"""

from enum import IntEnum, StrEnum

import numpy as np
import numpy.typing as npt


class Venue(StrEnum):
    """An exchange that liqheat reads."""

    BINANCE = "binance"
    BYBIT = "bybit"
    OKX = "okx"
    HYPERLIQUID = "hyperliquid"
    DYDX = "dydx"


class ModelName(StrEnum):
    """Every named liquidation-price model (`liqheat.domain.liquidation_models` holds their formulas)."""

    SIMPLE = "simple"
    BINANCE = "binance"
    BYBIT = "bybit"
    BYBIT_LEGACY = "bybit_legacy"
    OKX = "okx"
    HYPERLIQUID = "hyperliquid"
    DYDX = "dydx"


class Side(IntEnum):
    """The side of a *position*: +1 long, -1 short, so that it can be used in a formula as `s`."""

    LONG = 1
    SHORT = -1

    @property
    def label(self) -> str:
        """`long` or `short`, as it is stored and shown."""
        return self.name.lower()


class TakerSide(IntEnum):
    """Who crossed the spread in a trade: +1 the buyer, -1 the seller."""

    BUY = 1
    SELL = -1

    @property
    def label(self) -> str:
        """`buy` or `sell`, as it is stored and shown."""
        return self.name.lower()


class Basis(StrEnum):
    """How a number is known: read from the venue (`observed`), or estimated from aggregates (`inferred`)."""

    OBSERVED = "observed"
    INFERRED = "inferred"


LEVERAGE_BAND_FLOORS: npt.NDArray[np.float64] = np.array([1.0, 5.0, 10.0, 25.0, 50.0])
"""Lower edge of each leverage band; a band is half-open, `[floor, next floor)`."""

LEVERAGE_BANDS: tuple[str, ...] = ("1-5x", "5-10x", "10-25x", "25-50x", "50x+")
"""Names of the leverage bands, in the order of `LEVERAGE_BAND_FLOORS`."""

ALL_VENUES = "all"
"""In place of a venue, where something is about a symbol over all its venues."""

UNKNOWN_LEVERAGE_BAND = "unknown"
"""Band of executed liquidations: the venue publishes price and size, not the leverage that led there."""


def leverage_band(leverage: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the index into `LEVERAGE_BANDS` of each leverage; a leverage below 1 belongs to the first band."""
    positions = np.searchsorted(LEVERAGE_BAND_FLOORS, np.asarray(leverage, dtype=np.float64), side="right") - 1
    return np.maximum(positions, 0)
