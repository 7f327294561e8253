"""Liquidation prices asked as JSON, one object per line, for `liqheat liquidation-price --jsonl`.

A line that cannot be answered gets an error with its id, and the rest goes on. An answer that a trader would stumble
over carries notes beside it.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ingest.bounded_json import BOM
from liqheat.domain.instruments import is_inverse
from liqheat.domain.liquidation_models import MissingTerm, Terms, UnsupportedTerm, liquidation_price
from liqheat.domain.market import ModelName, Side

_ABOVE_ZERO = ("entry_price", "quantity", "leverage", "mark_price", "max_leverage")
_WORDS = ("model", "side", "symbol")
_FRACTIONS = ("maintenance_margin_rate", "taker_fee_rate")


class BadQuery(ValueError):
    """A query that has no answer; the message is one sentence."""


class Query(msgspec.Struct, kw_only=True):
    """One question; the fields are those of `Terms`, with `side` as `long` or `short`. Other fields are ignored.

    `symbol` is only looked at for contracts that have no answer here.
    """

    model: ModelName
    side: str
    symbol: Any = None
    entry_price: float
    quantity: float | None = None
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
    if isinstance(query.symbol, str) and is_inverse(query.symbol):
        raise BadQuery(inverse_sentence(query.symbol))
    values = {name: value for name, value in msgspec.structs.asdict(query).items() if name not in _WORDS}
    check_terms(values)
    try:
        with np.errstate(all="ignore"):
            price = liquidation_price(query.model, Terms(side=side_of(query.side), **values))
    except (MissingTerm, UnsupportedTerm) as error:
        raise BadQuery(f"{error} (model {query.model})") from error
    return float(price) if math.isfinite(price) else None


def side_of(text: str) -> Side:
    """Read `long` or `short`.

    Raises:
        BadQuery: it is neither.
    """
    try:
        return Side[text.strip().upper()]
    except KeyError:
        raise BadQuery(f"Expected the side long or short, was {text!r}") from None


def check_terms(values: Mapping[str, float | None]) -> None:
    """Refuse terms, by the names of `Terms`, that no position has; None is not known.

    Raises:
        BadQuery: one is no finite number, or out of its range.
    """
    for name, value in values.items():
        if value is not None:
            _check(name, value)
    if sum(values.get(name) or 0.0 for name in _FRACTIONS) >= 1:
        raise BadQuery("Expected maintenance_margin_rate and taker_fee_rate to sum to less than 1")


def inverse_sentence(name: str) -> str:
    """Say that a contract settled in its coin has another formula."""
    return f"Expected a linear contract, settled in USDT or USDC; {name[:40]!r} is inverse: it is settled in its coin"


def _check(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise BadQuery(f"Expected {name} to be a finite number")
    if name in _ABOVE_ZERO and value <= 0:
        raise BadQuery(f"Expected {name} above 0, was {value:g}")
    if name in _FRACTIONS and not 0 <= value < 1:
        raise BadQuery(f"Expected {name} in [0, 1), was {value:g}")
    if name == "maintenance_amount" and value < 0:
        raise BadQuery(f"Expected {name} of at least 0, was {value:g}")


class AnswerLine(NamedTuple):
    """The JSON answer to one line of input, by its number from 1; `problem` says why there is no price, "" if none."""

    number: int
    text: str
    problem: str


def answer_lines(lines: Iterable[bytes]) -> Iterator[AnswerLine]:
    """Yield the answer to each line, in order: `id` and `liquidation_price` (or null), or `id` and `error`.

    `notes` comes with a price that contradicts its question (see `notes_of`). Blank lines are passed over; a line
    that is no JSON object has the id null.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            found = _answer_line(line)
            yield AnswerLine(number, json.dumps(found), found.get("error", ""))


def notes_of(side: int, entry_price: float, price: float | None) -> list[str]:
    """Return what is odd about a liquidation price: on the far side of the entry, or none at all is no error."""
    if price is None or (entry_price - price) * side > 0:
        return []
    where = "at or above" if side > 0 else "at or below"
    return [
        f"The liquidation price is {where} the entry: the margin is below the maintenance margin, so the venue would "
        "refuse the position or liquidate it at once"
    ]


def _answer_line(line: bytes) -> dict[str, Any]:
    try:
        # The standard reader keeps numbers of any size, so that even an odd line can be answered by its id.
        fields = json.loads(line.removeprefix(BOM))
    except RecursionError:
        return {"id": None, "error": "Not JSON that can be read: it is nested too deep"}
    except ValueError as error:
        return {"id": None, "error": f"Not JSON: {error}"}
    if not isinstance(fields, dict):
        return {"id": None, "error": "Expected a JSON object"}
    identifier = fields.get("id")
    try:
        model = fields.get("model")
        if isinstance(model, str) and model not in list(ModelName):
            raise BadQuery(f"Expected a model out of {', '.join(ModelName)}, was {model[:40]!r}")
        query = msgspec.convert(fields, Query)
        price = answer(query)
    except (BadQuery, msgspec.ValidationError, OverflowError) as error:
        return {"id": identifier, "error": str(error)}
    found: dict[str, Any] = {"id": identifier, "liquidation_price": price}
    # Seen from a mark price, as an account is, the entry says nothing about the position now.
    seen = query.entry_price if query.mark_price is None else query.mark_price
    if notes := notes_of(side_of(query.side), seen, price):
        found["notes"] = notes
    return found
