"""Binance's forced orders as liquidations, each coin of them once: `z` and `ap` count from an order's beginning.

An order may be reported in parts, twice, or late; only what was filled since its last report is new. Pure, used by the
mapper alone.
"""

from typing import NamedTuple

from ingest.venues.binance.messages import ForcedOrder
from ingest.venues.values import traded
from ingest.venues.wire import number_or_nan, price_or_nan
from liqheat.domain.events import Liquidation
from liqheat.domain.instruments import Instrument
from liqheat.domain.market import Side, Venue
from liqheat.platform.errors import PoisonMessage
from liqheat.platform.seen import Recent

_ORDER_LASTS_MS = 60_000
"""How long after a part of a forced order was filled the rest may be reported."""
_ROUNDING = 1 + 1e-9
_MOST_ORDERS = 1_000


class _Filled(NamedTuple):
    """How much of a forced order was counted: quoted units, their average price, and the time of the report (ms)."""

    quantity: float
    price: float
    time: int


class ForcedOrders:
    """Remembers recent orders by symbol, side, size and limit price, for Binance gives them no number."""

    def __init__(self) -> None:
        self._reports = Recent()
        self._orders: dict[tuple[str, str, float, float], _Filled] = {}

    def filled(self, order: ForcedOrder, instrument: Instrument) -> Liquidation | None:
        """Return what a report adds to those before, at the average price of that part; None where it adds nothing.

        Raises:
            PoisonMessage: the side or a number of it is none, or more is filled than was ordered; then nothing is
                remembered.
        """
        if order.S not in ("BUY", "SELL"):
            raise PoisonMessage(f"Expected the order side BUY or SELL, was {order.S!r}")
        size, average = number_or_nan(order.q), price_or_nan(order.ap)
        if order.z > size * _ROUNDING:
            raise PoisonMessage(f"Expected at most {size:g} to be filled, was {order.z:g}")
        now = _Filled(order.z, average if average > 0 else order.p, order.T)
        coins = instrument.coins_per_unit
        traded(now.price, now.quantity, coins, coins)
        key = (order.s, order.S, size, order.p)
        before = self._orders.get(key)
        if before is not None and abs(now.time - before.time) > _ORDER_LASTS_MS:
            before = None
        if before is not None and now.quantity <= before.quantity:
            # What is filled of an order never falls, so less of one that is not full yet came late or is odd.
            is_older = now.time <= before.time or not before.quantity * _ROUNDING >= size
        else:
            is_older = False
        if is_older or not self._reports.add((order.s, order.T, order.S, order.z, order.p)):
            return None
        self._remember(key, now)
        quantity, price = _since(before, now)
        return Liquidation(
            Venue.BINANCE,
            instrument.symbol,
            instrument.name,
            order.T,
            side=Side.LONG if order.S == "SELL" else Side.SHORT,
            price=price / coins,
            quantity=quantity * coins,
            bankruptcy_price=order.p / coins,
        )

    def _remember(self, key: tuple[str, str, float, float], filled: _Filled) -> None:
        self._orders.pop(key, None)
        self._orders[key] = filled
        if len(self._orders) > _MOST_ORDERS:
            del self._orders[next(iter(self._orders))]


def _since(before: _Filled | None, now: _Filled) -> tuple[float, float]:
    """Return quantity and average price of what was filled after `before`."""
    if before is None or now.quantity <= before.quantity:
        return now.quantity, now.price
    quantity = now.quantity - before.quantity
    price = (now.quantity * now.price - before.quantity * before.price) / quantity
    # Rounding of the averages may leave no price for a small rest.
    return quantity, price if price > 0 else now.price
