"""Named liquidation-price models, one per venue and variant, on top of the formulas of `liquidation_price`.

Venues agree on when a position is liquidated (margin balance = maintenance margin) and differ in what they count as
margin, so a model is mostly a way to count margin, which `linear` then solves. Read by the command
`liqheat liquidation-price`; the engine calls the formulas directly.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from liqheat.domain.liquidation_price import FloatArray, TieredPrice, linear, linear_at_tier, positive_or_nan
from liqheat.domain.margin_tiers import MarginTiers
from liqheat.domain.market import ModelName


class MissingTerm(ValueError):
    """A model was asked without something that it needs; the message names it."""


class UnsupportedTerm(ValueError):
    """A model was asked about cross margin that its venue publishes no formula for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Terms:
    """What a model may know of positions: arrays that broadcast, USD and coins; None where not known.

    Of `wallet_balance` and `leverage` one is enough: margin is then `quantity * entry_price / leverage`.
    A model reads only the terms it needs.

    Args:
        side: +1 long, -1 short.
        wallet_balance: isolated margin of the position, or for cross the wallet that backs it.
        extra_margin: added to (or, below 0, taken from) the initial margin.
        mark_price: where `account_value` was counted; the entry price if unknown.
        account_value: of the whole cross account, unrealised profit included.
        maintenance_margin_required: of the whole cross account, this position included.
        max_leverage: of the tier, in place of a rate that is `1 / (2 * max_leverage)` (Hyperliquid).
        other_maintenance_margin: of the account's other positions.
        other_unrealized_pnl: of the account's other positions.
    """

    side: npt.ArrayLike
    entry_price: npt.ArrayLike
    quantity: npt.ArrayLike | None = None
    wallet_balance: npt.ArrayLike | None = None
    leverage: npt.ArrayLike | None = None
    maintenance_margin_rate: npt.ArrayLike | None = None
    maintenance_amount: npt.ArrayLike | None = None
    taker_fee_rate: npt.ArrayLike | None = None
    extra_margin: npt.ArrayLike | None = None
    mark_price: npt.ArrayLike | None = None
    account_value: npt.ArrayLike | None = None
    maintenance_margin_required: npt.ArrayLike | None = None
    max_leverage: npt.ArrayLike | None = None
    other_maintenance_margin: npt.ArrayLike | None = None
    other_unrealized_pnl: npt.ArrayLike | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                object.__setattr__(self, field.name, np.asarray(value, dtype=np.float64))

    def need(self, name: str) -> FloatArray:
        """Return a term.

        Raises:
            MissingTerm: it is not known.
        """
        value: FloatArray | None = getattr(self, name)
        if value is None:
            raise MissingTerm(f"Expected {name}")
        return value

    def get(self, name: str) -> FloatArray:
        """Return a term, 0 where it is not known."""
        value: FloatArray | None = getattr(self, name)
        return np.zeros(()) if value is None else value

    @property
    def initial_margin(self) -> FloatArray:
        """Margin at entry by leverage, USD."""
        return self.need("quantity") * self.need("entry_price") / self.need("leverage")

    @property
    def margin(self) -> FloatArray:
        """`wallet_balance`, else the initial margin; with `extra_margin`, USD."""
        if self.wallet_balance is None and self.leverage is None:
            raise MissingTerm("Expected wallet_balance or leverage")
        base = self.initial_margin if self.wallet_balance is None else self.need("wallet_balance")
        return base + self.get("extra_margin")

    @property
    def rate(self) -> FloatArray:
        """The maintenance margin rate, given or by maximum leverage."""
        if self.maintenance_margin_rate is None and self.max_leverage is not None:
            return np.asarray(1 / (2 * self.need("max_leverage")))
        return self.need("maintenance_margin_rate")

    @property
    def price_seen(self) -> FloatArray:
        """The mark price, else the entry price."""
        return self.need("entry_price") if self.mark_price is None else self.need("mark_price")


@dataclass(frozen=True, slots=True, eq=False)
class Margin:
    """What `linear` solves: `balance` USD behind the position at `price`, closed at the taker fee `fee`."""

    balance: FloatArray
    price: FloatArray
    fee: FloatArray


def _binance_margin(terms: Terms) -> Margin:
    """`W - TMM + UPNL` (Binance FAQ b3c689c1f50a44cabb3a84e663b81d93); the last two are 0 for isolated."""
    balance = terms.margin - terms.get("other_maintenance_margin") + terms.get("other_unrealized_pnl")
    return Margin(balance, terms.need("entry_price"), np.zeros(()))


def _bybit_initial_margin(terms: Terms) -> FloatArray:
    """The initial margin; by leverage where both are known, for Bybit publishes its formulas in leverage."""
    return replace(terms, extra_margin=None).margin if terms.leverage is None else terms.initial_margin


def _bybit_margin(terms: Terms) -> Margin:
    """Initial margin, and extra margin scaled by the closing fee (Bybit help centre, page of 2026-05-27)."""
    extra = terms.get("extra_margin") / (1 - terms.need("side") * terms.get("taker_fee_rate"))
    return Margin(_bybit_initial_margin(terms) + extra, terms.need("entry_price"), np.zeros(()))


def _okx_margin(terms: Terms) -> Margin:
    """Margin, with the closing fee beside the maintenance margin (OKX article 360053909592)."""
    return Margin(terms.margin, terms.need("entry_price"), terms.get("taker_fee_rate"))


def _hyperliquid_margin(terms: Terms) -> Margin:
    """Isolated margin, or account value less the maintenance margin of the other positions (docs, liquidations).

    `price - s * available / q / (1 - l*s)` with `available = balance - (l*q*price - c)` is `linear` seen from
    `price`. An isolated `wallet_balance` is the margin at `mark_price`, as the venue shows it.
    """
    price = terms.price_seen
    if terms.account_value is None:
        return Margin(terms.margin, price, np.zeros(()))
    if terms.maintenance_margin_required is None:
        others = terms.get("other_maintenance_margin")
    else:
        own = terms.rate * terms.need("quantity") * price - terms.get("maintenance_amount")
        others = terms.need("maintenance_margin_required") - own
    return Margin(terms.need("account_value") - others, price, np.zeros(()))


def _dydx_margin(terms: Terms) -> Margin:
    """`(e - S*p - MMR_other) / (|S| * MMF - S)` (docs.dydx.xyz, concepts/trading/liquidations): e is total equity."""
    equity = terms.margin if terms.account_value is None else terms.need("account_value")
    return Margin(equity - terms.get("other_maintenance_margin"), terms.price_seen, np.zeros(()))


def _simple(terms: Terms) -> FloatArray:
    """`EP * (1 - s/L) - s * extra / q`: where the margin is gone, without any maintenance margin.

    By leverage where it is known; then the quantity matters only to extra margin.
    """
    s, ep = terms.need("side"), terms.need("entry_price")
    if terms.leverage is None:
        return positive_or_nan(np.asarray(ep - s * terms.margin / terms.need("quantity")))
    price = ep * (1 - s / terms.need("leverage"))
    if terms.get("extra_margin").any():
        price = price - s * terms.need("extra_margin") / terms.need("quantity")
    return positive_or_nan(np.asarray(price))


def _bybit_legacy_margin(terms: Terms) -> FloatArray:
    return np.asarray(_bybit_initial_margin(terms) + terms.get("extra_margin"))


def _bybit_legacy(terms: Terms) -> FloatArray:
    """`EP - s * (IM - MM + extra) / q`, maintenance margin at entry (Bybit's page before May 2026)."""
    s, ep, q = (terms.need(name) for name in ("side", "entry_price", "quantity"))
    margin = _bybit_legacy_margin(terms)
    maintenance = q * ep * terms.rate - terms.get("maintenance_amount")
    return positive_or_nan(np.asarray(ep - s * (margin - maintenance) / q))


_MARGINS: dict[ModelName, Callable[[Terms], Margin]] = {
    ModelName.BINANCE: _binance_margin,
    ModelName.BYBIT: _bybit_margin,
    ModelName.OKX: _okx_margin,
    ModelName.HYPERLIQUID: _hyperliquid_margin,
    ModelName.DYDX: _dydx_margin,
}
_CLOSED_FORMS: dict[ModelName, Callable[[Terms], FloatArray]] = {
    ModelName.SIMPLE: _simple,
    ModelName.BYBIT_LEGACY: _bybit_legacy,
}
CROSS_MODELS = frozenset({ModelName.BINANCE, ModelName.HYPERLIQUID, ModelName.DYDX})
"""Models whose venue publishes how the other positions of a cross account count."""


def liquidation_price(model: ModelName, terms: Terms) -> FloatArray:
    """Return the liquidation prices, USD per coin, NaN where there is none; the tier is the one in `terms`.

    Raises:
        MissingTerm: the model needs a term that is not known.
        UnsupportedTerm: other positions are given to a model that knows isolated margin only.
    """
    _check_cross(model, terms)
    if form := _CLOSED_FORMS.get(model):
        return form(terms)
    margin = _MARGINS[model](terms)
    # OKX deducts nothing: its margin jumps at the tier edges instead.
    amount = 0.0 if model is ModelName.OKX else terms.get("maintenance_amount")
    quantity = terms.need("quantity")
    return linear(terms.side, margin.price, quantity, margin.balance, terms.rate, amount, margin.fee)


def bankruptcy_price(model: ModelName, terms: Terms) -> FloatArray:
    """Return where all margin that `model` counts is gone, USD per coin, NaN where there is no such price.

    Never before the liquidation price of the same terms: maintenance margin and closing fee are left out of the very
    same margin, so for a long it is at or below, for a short at or above.

    Raises:
        MissingTerm: the model needs a term that is not known.
        UnsupportedTerm: other positions are given to a model that knows isolated margin only.
    """
    _check_cross(model, terms)
    if model is ModelName.SIMPLE:
        return _simple(terms)
    if model is ModelName.BYBIT_LEGACY:
        return linear(terms.side, terms.entry_price, terms.need("quantity"), _bybit_legacy_margin(terms), 0.0)
    margin = _MARGINS[model](terms)
    return linear(terms.side, margin.price, terms.need("quantity"), margin.balance, 0.0)


def liquidation_price_at_tier(model: ModelName, terms: Terms, tiers: MarginTiers) -> TieredPrice:
    """Return the liquidation prices with the tier of the notional at the liquidation price.

    Models that value the maintenance margin at entry (`bybit_legacy`), or none (`simple`), take the tier at entry.

    Raises:
        MissingTerm: the model needs a term that is not known.
        UnsupportedTerm: other positions are given to a model that knows isolated margin only.
    """
    _check_cross(model, terms)
    seen = tiers.tier_at(terms.need("quantity") * terms.price_seen)
    terms = replace(
        terms,
        maintenance_margin_rate=tiers.maintenance_margin_rate[seen],
        maintenance_amount=tiers.maintenance_amount[seen],
    )
    if form := _CLOSED_FORMS.get(model):
        price = form(terms)
        return TieredPrice(price, np.where(np.isnan(price), -1, seen))
    margin = _MARGINS[model](terms)
    return linear_at_tier(terms.side, margin.price, terms.need("quantity"), margin.balance, tiers, margin.fee)


def _check_cross(model: ModelName, terms: Terms) -> None:
    if model in CROSS_MODELS:
        return
    for name in ("other_maintenance_margin", "other_unrealized_pnl"):
        if terms.get(name).any():
            raise UnsupportedTerm(f"The model {model} is for isolated margin and takes no {name}")
