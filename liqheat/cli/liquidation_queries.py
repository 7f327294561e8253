"""Liquidation prices asked as JSON, one object a line, for `liqheat liquidation-price --jsonl`.

A line that cannot be answered gets an error with its id, and the rest goes on.
"""

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from liqheat.domain.liquidation_models import MissingTerm, Terms, UnsupportedTerm, liquidation_price
from liqheat.domain.market import ModelName, Side

_ABOVE_ZERO = ("entry_price", "quantity", "leverage", "mark_price", "max_leverage")
_FRACTIONS = ("maintenance_margin_rate", "taker_fee_rate")


class BadQuery(ValueError):
    """A query that has no answer; the message is one sentence."""


class Query(msgspec.Struct, kw_only=True):
    """One question; the fields are those of `Terms`, with `side` as `long` or `short`. Other fields are ignored."""

    model: ModelName
    side: str
    entry_price: float
    quantity: float
    wallet_balance: float | None = None
    leverage: float | None = None
    maintenance_margin_rate: float | None = None
    maintenance_amount: float | None = None
    taker_fee_rate: float | None = None
    extra_margin: float | None = None
    mark_price: float | None = None
    account_value: float | None = None
    maintenance_margin_required: float | None = None
    max_leverage: float | None = None
    other_maintenance_margin: float | None = None
    other_unrealized_pnl: float | None = None


def answer(query: Query) -> float | None:
    """Return the liquidation price in USD per coin, None where there is none.

    Raises:
        BadQuery: a field is missing or out of its range.
    """
    values = {name: value for name, value in msgspec.structs.asdict(query).items() if name not in ("model", "side")}
    for name, value in values.items():
        if value is not None:
            _check(name, value)
    if sum(values[name] or 0.0 for name in _FRACTIONS) >= 1:
        raise BadQuery("Expected maintenance_margin_rate and taker_fee_rate to sum to less than 1")
    try:
        price = liquidation_price(query.model, Terms(side=side_of(query.side), **values))
    except (MissingTerm, UnsupportedTerm) as error:
        raise BadQuery(f"{error} (model {query.model})") from error
    return None if math.isnan(price) else float(price)


def side_of(text: str) -> Side:
    """Read `long` or `short`.

    Raises:
        BadQuery: it is neither.
    """
    try:
        return Side[text.upper()]
    except KeyError:
        raise BadQuery(f"Expected the side long or short, was {text!r}") from None


def _check(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise BadQuery(f"Expected {name} to be a finite number")
    if name in _ABOVE_ZERO and value <= 0:
        raise BadQuery(f"Expected {name} above 0, was {value:g}")
    if name in _FRACTIONS and not 0 <= value < 1:
        raise BadQuery(f"Expected {name} in [0, 1), was {value:g}")
    if name == "maintenance_amount" and value < 0:
        raise BadQuery(f"Expected {name} of at least 0, was {value:g}")


def answer_lines(lines: Iterable[bytes]) -> Iterator[str]:
    """Yield the JSON answer to each line, in order: `id` and `liquidation_price` (or null), or `id` and `error`.

    Blank lines are passed over; a line that is no JSON object has the id null.
    """
    for line in lines:
        if line.strip():
            yield json.dumps(_answer_line(line))


def _answer_line(line: bytes) -> dict[str, Any]:
    try:
        # The standard reader keeps numbers of any size, so that even an odd line can be answered by its id.
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {"id": None, "error": f"Not JSON: {error}"}
    if not isinstance(fields, dict):
        return {"id": None, "error": "Expected a JSON object"}
    identifier = fields.get("id")
    try:
        return {"id": identifier, "liquidation_price": answer(msgspec.convert(fields, Query))}
    except (BadQuery, msgspec.ValidationError, OverflowError) as error:
        return {"id": identifier, "error": str(error)}
