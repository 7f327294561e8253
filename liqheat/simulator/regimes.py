"""Market regimes: what a price does over hours, as a cycle of phases that `price_paths` walks through.

Drift and volatility are in units of the coin's own hourly volatility, so that a regime means the same for
BTC and for a thin token.
"""

from dataclasses import dataclass

from liqheat.platform.errors import ConfigurationError

REAL_BTC = "btc-2022-01"
"""The regime that is no formula: the recorded minute bars of January 2022."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of one behaviour; `drift` and `volatility` in hourly volatilities, rates per hour."""

    hours: float
    drift: float = 0.0
    volatility: float = 1.0
    reversion: float = 0.0
    """How fast the price is pulled back to where the phase began."""
    jumps: float = 0.05
    jump_bias: float = 0.0
    """Mean size of a jump, in hourly volatilities; its spread is 1."""


@dataclass(frozen=True, slots=True)
class Regime:
    """A named cycle of phases, and whether their order and length are drawn again each time."""

    name: str
    phases: tuple[Phase, ...]
    shuffled: bool = False


REGIMES: dict[str, Regime] = {
    regime.name: regime
    for regime in (
        Regime("trending", (Phase(3, drift=0.7), Phase(1, drift=-0.35, volatility=0.8))),
        Regime("ranging", (Phase(6, reversion=1.2),)),
        Regime(
            "crash",
            (
                Phase(2.5, drift=0.25, volatility=0.8),
                Phase(0.5, drift=-9, volatility=2.5, jumps=6, jump_bias=-0.6),
                Phase(2, drift=0.8, volatility=1.6),
                Phase(3, volatility=1.1, reversion=0.5),
            ),
        ),
        Regime(
            "squeeze",
            (
                Phase(2.5, drift=-0.25, volatility=0.7),
                Phase(0.4, drift=10, volatility=2.2, jumps=5, jump_bias=0.6),
                Phase(2, drift=-0.9, volatility=1.5),
                Phase(3, volatility=1.0, reversion=0.5),
            ),
        ),
        Regime("bleed", (Phase(4, drift=-0.4, volatility=0.6), Phase(0.6, drift=1.2, volatility=0.9))),
        Regime(
            "mixed",
            (
                Phase(0.7, reversion=1.5),
                Phase(0.8, drift=0.9),
                Phase(0.8, drift=-0.9),
                Phase(0.15, drift=-8, volatility=2.2, jumps=4, jump_bias=-0.4),
                Phase(0.15, drift=8, volatility=2.2, jumps=4, jump_bias=0.4),
                Phase(1.0, volatility=0.7, reversion=0.8),
            ),
            shuffled=True,
        ),
    )
}

REGIME_NAMES: tuple[str, ...] = (*REGIMES, REAL_BTC)


def regime_of(name: str) -> Regime:
    """Return a synthetic regime.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if name not in REGIMES:
        raise ConfigurationError(f"Expected a regime out of {', '.join(REGIME_NAMES)}, was {name!r}")
    return REGIMES[name]
