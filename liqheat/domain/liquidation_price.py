"""Liquidation prices: the mark price at which margin balance meets maintenance margin.

Every formula works on numpy arrays that broadcast, float64; a scalar call is the same code on shape ().
No liquidation price (a result <= 0, or a short whose margin outlasts any price) is NaN, never a bucket.
Symbols in the formulas: W margin, q coins, EP entry price, s = +1 long / -1 short, m maintenance margin
rate, c maintenance amount, f taker fee rate of the closing order.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liqheat.domain.margin_tiers import MarginTiers

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def positive_or_nan(price: FloatArray) -> FloatArray:
    """Return `price` with everything that is no price (<= 0 or not finite) as NaN."""
    return np.where(np.isfinite(price) & (price > 0), price, np.nan)


def linear(
    side: npt.ArrayLike,
    entry_price: npt.ArrayLike,
    quantity: npt.ArrayLike,
    margin: npt.ArrayLike,
    maintenance_margin_rate: npt.ArrayLike,
    maintenance_amount: npt.ArrayLike = 0.0,
    taker_fee_rate: npt.ArrayLike = 0.0,
) -> FloatArray:
    """Solve `W + s*q*(P - EP) = q*P*(m + f) - c` for P: Binance, Bybit (current) and OKX linear contracts.

    Args:
        side: +1 long, -1 short.
        entry_price: USD per coin.
        quantity: coins, above 0.
        margin: USD. Isolated: the position's wallet balance. Cross: wallet balance less the maintenance
            margin of the other positions, plus their unrealised profit (Binance FAQ b3c689c1f50a44ca).
        maintenance_margin_rate: m of the tier at the liquidation notional.
        maintenance_amount: c of that tier, USD.
        taker_fee_rate: f, where the venue counts the closing fee (OKX); 0 elsewhere.

    Returns:
        USD per coin, NaN where there is none.
    """
    s, q, ep = (np.asarray(value, dtype=np.float64) for value in (side, quantity, entry_price))
    rate = np.asarray(maintenance_margin_rate, dtype=np.float64) + np.asarray(taker_fee_rate, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        price = (np.asarray(margin) + np.asarray(maintenance_amount) - s * q * ep) / (q * rate - s * q)
    return positive_or_nan(np.asarray(price, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class TieredPrice:
    """Liquidation prices (USD per coin, NaN for none) and the 0-based tier of each (-1 where there is none)."""

    price: FloatArray
    tier: IntArray


def linear_at_tier(
    side: npt.ArrayLike,
    entry_price: npt.ArrayLike,
    quantity: npt.ArrayLike,
    margin: npt.ArrayLike,
    tiers: MarginTiers,
    taker_fee_rate: npt.ArrayLike = 0.0,
) -> TieredPrice:
    """Solve `linear` with the tier that holds the notional *at the liquidation price*.

    Where the table deducts, equity less maintenance margin is continuous and monotone in P, so at most one
    tier contains its own solution (Binance FAQ: "substitute the level at the liquidation price"). Without
    deductions (OKX) margin jumps at the tier edges: where the jump itself liquidates, the answer is that
    edge price, and of several solutions the one that mark price reaches first wins. A notional past the
    last cap stays in the last tier.

    Args: as `linear`, broadcast to one shape.
    """
    s, ep, q, w, f = np.broadcast_arrays(
        *(np.asarray(value, dtype=np.float64) for value in (side, entry_price, quantity, margin, taker_fee_rate))
    )
    caps = tiers.notional_cap.copy()
    caps[-1] = np.inf
    price = linear(
        s[..., None],
        ep[..., None],
        q[..., None],
        w[..., None],
        tiers.maintenance_margin_rate,
        tiers.maintenance_amount,
        f[..., None],
    )
    notional = price * q[..., None]
    inside = (notional >= tiers.notional_floor) & (notional < caps)
    candidate = np.where(inside, price, np.nan)
    if not tiers.has_deductions:
        candidate = _with_edges(candidate, s, ep, q, w, f, tiers)
    # Mark price falls onto a long's levels and rises onto a short's: the first reached is the nearest.
    reach = np.where(np.isnan(candidate), -np.inf, candidate * s[..., None])
    tier = np.argmax(reach, axis=-1)
    best = np.take_along_axis(candidate, tier[..., None], axis=-1)[..., 0]
    return TieredPrice(best, np.where(np.isnan(best), -1, tier))


def _with_edges(
    candidate: FloatArray,
    s: FloatArray,
    ep: FloatArray,
    q: FloatArray,
    w: FloatArray,
    f: FloatArray,
    tiers: MarginTiers,
) -> FloatArray:
    """Add the edge prices of shorts where stepping into the next tier is itself the liquidation."""
    edge = tiers.notional_floor[1:] / q[..., None]
    equity = w[..., None] + s[..., None] * (edge - ep[..., None]) * q[..., None]
    needed_below = tiers.notional_floor[1:] * (tiers.maintenance_margin_rate[:-1] + f[..., None])
    needed_above = tiers.notional_floor[1:] * (tiers.maintenance_margin_rate[1:] + f[..., None])
    # A long moves down through edges, where the requirement falls: only a short can be liquidated on one.
    dies = (s[..., None] < 0) & (equity > needed_below) & (equity <= needed_above)
    result = candidate.copy()
    result[..., 1:] = np.where(dies, edge, result[..., 1:])
    return result


def bankruptcy(side: npt.ArrayLike, entry_price: npt.ArrayLike, leverage: npt.ArrayLike) -> FloatArray:
    """Return `EP * (1 - s/L)`, where the initial margin is used up: the model `simple`.

    $1.00 long at 10x -> 0.90, at 20x -> 0.95. Liquidation itself comes earlier, by the maintenance margin.
    """
    s, ep, leverages = (np.asarray(value, dtype=np.float64) for value in (side, entry_price, leverage))
    return positive_or_nan(ep * (1 - s / leverages))


def hyperliquid(
    side: npt.ArrayLike,
    mark_price: npt.ArrayLike,
    quantity: npt.ArrayLike,
    margin_available: npt.ArrayLike,
    maintenance_margin_rate: npt.ArrayLike,
) -> FloatArray:
    """Return `price - s * margin_available / q / (1 - l * s)` (Hyperliquid docs, trading/liquidations).

    Args:
        side: +1 long, -1 short.
        mark_price: USD per coin; for an isolated position seen at entry, its entry price.
        quantity: coins, above 0.
        margin_available: USD. Cross: account value less maintenance margin of *all* positions. Isolated:
            isolated margin less this position's maintenance margin.
        maintenance_margin_rate: l, half of the initial margin rate at the tier's maximum leverage.
    """
    s, price, q, available, rate = (
        np.asarray(value, dtype=np.float64)
        for value in (side, mark_price, quantity, margin_available, maintenance_margin_rate)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return positive_or_nan(np.asarray(price - s * available / q / (1 - rate * s), dtype=np.float64))
