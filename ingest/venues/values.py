"""Values that a venue may write in several ways: trade numbers, rates, steps and texts of its refusals.

They stand on the types of `ingest.venues.wire`. What is remembered of a market is read by these before the mapper
changes what it knows, so that a value that no event may hold never stays behind in later ones.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from math import isnan
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from msgspec import Meta

from ingest.venues.wire import (
    UNKNOWN_NAME,
    Number,
    Refusal,
    Report,
    Text,
    number_or_nan,
    price_or_nan,
    text_of,
)
from liqheat.domain.events import NAN, Kind, schema_of
from liqheat.domain.units import Unit
from liqheat.platform.errors import PoisonMessage

T = TypeVar("T")

UNKNOWN = -1
"""The number of a trade that its venue gave none."""
_LIMITS = schema_of(Kind.MARKS).units
_STEPS = schema_of(Kind.CONTRACTS).units
_TRADES = schema_of(Kind.TRADES).units
_MOST = _TRADES["trade_id"].largest_whole
_LOWEST, _HIGHEST = _TRADES["price"].minimum or 0.0, _TRADES["price"].maximum or 0.0
_MOST_COINS = _TRADES["quantity"].maximum or 0.0
_WHOLE = re.compile(r"-?[0-9]{1,20}(\.0{1,20})?")
_SUBSCRIBED_ALREADY = re.compile(r"already\W+(been\W+)?subscribed|subscription\W+already|subscribed\W+already", re.I)

if TYPE_CHECKING:
    # What `whole_number` makes of it, once a struct is read.
    WireId = int
else:
    WireId = Annotated[int, Meta(ge=UNKNOWN, le=_MOST)] | str | None
"""A trade number of 64 bits, as a number or text, "" and null where there is none; see `whole_number`."""


def whole_number(value: int | str | None, unknown: int = UNKNOWN) -> int:
    """Return a `WireId` as a number, `unknown` where there is none; called by a struct on what it has read.

    Raises:
        ValueError: it is no whole number, or outside 64 bits.
    """
    if isinstance(value, int):
        return value
    if value is None or value == "":
        return unknown
    # Longer texts are no numbers of 64 bits, and slow to turn into one.
    if _WHOLE.fullmatch(value) and UNKNOWN <= (number := int(value.partition(".")[0])) <= _MOST:
        return number
    raise ValueError(f"Expected a whole number from {UNKNOWN} to {_MOST}, was {value[:40]!r}")


def rate_or_nan(value: Number) -> float:
    """Read a funding rate (fraction) that the venue may not know: empty is NaN.

    Raises:
        PoisonMessage: it is no number, or outside what a `Mark` may hold.
    """
    number, unit = number_or_nan(value), _LIMITS["funding_rate"]
    if not isnan(number) and isnan(_sane(number, unit)):
        raise PoisonMessage(f"Expected a funding rate from {unit.minimum:g} to {unit.maximum:g}, was {value!r}")
    return number


def coin_price_or_nan(value: Number, coins_per_unit: float) -> float:
    """Read a price of `coins_per_unit` coins as USD per coin; empty and 0 are NaN.

    Raises:
        PoisonMessage: it is no number, below 0, or outside what a `Mark` may hold.
    """
    price, unit = price_or_nan(value) / coins_per_unit, _LIMITS["mark_price"]
    if price < (unit.minimum or 0.0):
        raise PoisonMessage(f"Expected a price from {unit.minimum:g} to {unit.maximum:g} USD per coin, was {price!r}")
    return price


def traded(price: float, size: float, coins_per_unit: float, coins_per_size: float) -> tuple[float, float]:
    """Return a trade's price (USD per coin) and quantity (coins), of its price of `coins_per_unit` coins and its size.

    Raises:
        PoisonMessage: one of them is outside what a `Trade` may hold; to be asked before the trade is remembered.
    """
    coin_price, quantity = price / coins_per_unit, size * coins_per_size
    if _LOWEST <= coin_price <= _HIGHEST and 0 <= quantity <= _MOST_COINS:
        return coin_price, quantity
    raise PoisonMessage(
        f"Expected a price from {_LOWEST:g} to {_HIGHEST:g} USD and a quantity from 0 to {_MOST_COINS:g} coins, "
        f"were {coin_price!r} and {quantity!r}"
    )


def amount_or_nan(value: Number) -> float:
    """Read an amount (coins, contracts or USD) that the venue may not know: empty is NaN.

    Raises:
        PoisonMessage: it is no number, or below 0.
    """
    number = number_or_nan(value)
    if number < 0:
        raise PoisonMessage(f"Expected a number of at least 0, was {value!r}")
    return number


def tick_or_nan(value: Any, coins_per_unit: float) -> float:
    """Read the price step of `coins_per_unit` coins as USD per coin; NaN where it cannot be read."""
    return _sane(plain_or_nan(value) / coins_per_unit, _STEPS["tick_size"])


def step_or_nan(value: Any, coins_per_unit: float) -> float:
    """Read the size step, counted in `coins_per_unit` coins, as coins; NaN likewise."""
    return _sane(plain_or_nan(value) * coins_per_unit, _STEPS["quantity_step"])


def plain_or_nan(value: Any) -> float:
    """Read a number of any shape that no event depends on; NaN where it cannot be read."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return NAN
    try:
        return number_or_nan(value)
    except PoisonMessage:
        return NAN


def rules_of(value: Any) -> dict[str, Any]:
    """Return trading rules that are an object; none of anything else."""
    return value if isinstance(value, dict) else {}


def part_of(report: Report, name: str, row: Any, read: Callable[[], T], unknown: T) -> T:
    """Return what `read` makes of a part of `row`; `unknown` where it cannot be read, which goes to `report`.

    `name` is the row's instrument. The other parts of the row count all the same.
    """
    try:
        return read()
    except PoisonMessage as poison:
        report.refuse(name, poison.reason, row)
        return unknown


def check_named(asked: str, answered: Text) -> None:
    """Refuse an answer that names another instrument than it was asked for; one that names none is believed.

    Raises:
        PoisonMessage: it does.
    """
    if answered and text_of(answered) != asked:
        raise PoisonMessage(f"Expected an answer about {asked}, was one about {text_of(answered)[:40]}")


def unread_instruments(refused: Iterable[Refusal], names: Collection[str]) -> set[str]:
    """Return those of `names` of which a row may be missing: all of them where a refused row names nobody."""
    missing = {refusal.instrument for refusal in refused}
    return set(names) if UNKNOWN_NAME in missing else missing


def around_nameless(names: Sequence[str]) -> set[str]:
    """Return whose rows those without a name ("") may be, given the names of an answer's rows in order.

    It is the only instrument of the answer, or the one that stands before and after the nameless ones.
    """
    named = set(names) - {""}
    if "" not in names or len(named) < 2:
        return named if "" in names else set()
    found, before, is_open = set(), "", False
    for name in names:
        if name and is_open and name == before:
            found.add(name)
        before, is_open = name or before, not name
    return found


def is_already_subscribed(text: object) -> bool:
    """Whether a venue's refusal only says that what was asked for is subscribed."""
    return isinstance(text, str) and _SUBSCRIBED_ALREADY.search(text) is not None


def _sane(number: float, unit: Unit) -> float:
    return number if (unit.minimum or 0.0) <= number <= (unit.maximum or 0.0) else NAN
