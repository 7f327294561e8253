"""`liqheat liquidation-price`: at which mark price is a position liquidated, and how far away is that.

Asks for one position by options, or for many by JSON lines. Tiers come from the shipped tables; where none
are shipped for a venue, from the venue itself, or from `--maintenance-margin-rate`.
"""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liqheat.domain.market import Venue
from liqheat.platform.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from liqheat.domain.liquidation_models import Terms
    from liqheat.domain.margin_tiers import MarginTiers
    from liqheat.domain.market import ModelName


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="liquidation-price")(liquidation_price)


def liquidation_price(
    venue: Annotated[Venue, typer.Option(help="whose model and margin tiers", case_sensitive=False)] = Venue.BINANCE,
    symbol: Annotated[str | None, typer.Option(help="VIRTUAL, or the venue's instrument: VIRTUALUSDT")] = None,
    side: Annotated[str | None, typer.Option(help="long or short")] = None,
    entry: Annotated[float | None, typer.Option(help="entry price, USD per coin", min=1e-12)] = None,
    leverage: Annotated[float | None, typer.Option(help="times", min=1)] = None,
    notional: Annotated[float | None, typer.Option(help="size at entry, USD", min=1e-6)] = None,
    quantity: Annotated[float | None, typer.Option(help="size in coins, instead of --notional", min=1e-12)] = None,
    margin: Annotated[float | None, typer.Option(help="margin in USD, instead of --leverage", min=0)] = None,
    extra_margin: Annotated[float, typer.Option(help="margin added after opening, USD")] = 0.0,
    taker_fee_rate: Annotated[float, typer.Option(help="closing fee where the model counts it", min=0, max=0.1)] = 0.0,
    maintenance_margin_rate: Annotated[float | None, typer.Option(help="instead of margin tiers", min=0, max=1)] = None,
    maintenance_amount: Annotated[float, typer.Option(help="of the tier, USD, beside the rate", min=0)] = 0.0,
    model: Annotated[str | None, typer.Option(help="instead of the venue's own, e.g. simple, bybit_legacy")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="read queries from standard input, one JSON per line")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="with --jsonl: stop at the first bad line")] = False,
) -> None:
    """Print the liquidation price of a position, its bankruptcy price, margin tier and distance.

    With --jsonl each line is an object with id, model, side, entry_price, quantity and what the model needs of
    wallet_balance, leverage, maintenance_margin_rate, maintenance_amount, taker_fee_rate, extra_margin,
    mark_price, account_value, maintenance_margin_required, max_leverage, other_maintenance_margin and
    other_unrealized_pnl; the answer is id and liquidation_price (null where there is none), or id and error, with
    notes where the answer is odd. A bad line is also said on standard error with its number; the exit status is then 1.
    """
    from liqheat.cli.liquidation_queries import BadQuery, check_terms, side_of
    from liqheat.domain.liquidation_models import MissingTerm, Terms
    from liqheat.domain.market import ModelName

    if jsonl:
        _answer_standard_input(strict)
        return
    name = _model(venue, model)
    needs_size = name is not ModelName.SIMPLE or leverage is None or extra_margin != 0  # leverage alone has none
    if side is None or entry is None or (needs_size and notional is None and quantity is None):
        raise ConfigurationError("Expected --side, --entry and one of --notional or --quantity (or --jsonl)")
    _check_linear(symbol)
    try:
        numbers: dict[str, Any] = {
            "entry_price": entry,
            "quantity": _quantity(notional, quantity, entry),
            "wallet_balance": margin,
            "leverage": leverage,
            "maintenance_margin_rate": maintenance_margin_rate,
            "maintenance_amount": maintenance_amount,
            "taker_fee_rate": taker_fee_rate,
            "extra_margin": extra_margin,
        }
        check_terms(numbers)
        terms = Terms(side=side_of(side), **numbers)
        tiers = None if maintenance_margin_rate is not None else _tiers(venue, symbol, name)
        found = _answer(name, terms, tiers)
    except (BadQuery, MissingTerm) as error:
        raise ConfigurationError(str(error)) from error
    notes = _notes(venue, symbol, terms, tiers, found["liquidation_price"])
    for note in notes:
        print(f"Note: {note}", file=sys.stderr)
    found = {"venue": venue.value, "symbol": symbol, "model": name.value, "side": side.lower(), **found, "notes": notes}
    print(json.dumps(found) if as_json else _sentence(found))


def _quantity(notional: float | None, quantity: float | None, entry: float) -> float | None:
    """Return the size in coins, given in one of two ways or not at all."""
    if notional is not None and quantity is not None:
        raise ConfigurationError("Expected one of --notional and --quantity, were both")
    return quantity if notional is None else notional / entry


def _check_linear(symbol: str | None) -> None:
    """Refuse an instrument that is settled in its coin."""
    from liqheat.cli.liquidation_queries import inverse_sentence
    from liqheat.domain.instruments import is_inverse

    if symbol is not None and is_inverse(symbol):
        raise ConfigurationError(inverse_sentence(symbol))


def _model(venue: Venue, name: str | None) -> "ModelName":
    """Return the model of that name, or the venue's own."""
    from liqheat.domain.market import ModelName
    from liqheat.domain.venues import VENUE_FACTS

    if name is None:
        return VENUE_FACTS[venue].margin_model
    if name.lower() not in list(ModelName):
        raise ConfigurationError(f"Expected a model out of {', '.join(ModelName)}, was {name!r}")
    return ModelName(name.lower())


def _answer_standard_input(strict: bool) -> None:
    from liqheat.cli.bad_lines import BadLines
    from liqheat.cli.liquidation_queries import answer_lines
    from liqheat.cli.packed_files import lines_of

    bad_lines = BadLines(strict)
    for line in answer_lines(line for _, line in lines_of(None, bad_lines)):
        print(line.text, flush=sys.stdin.isatty())
        if line.problem:
            bad_lines.add(line.number, line.problem)
    bad_lines.end()


def _notes(
    venue: Venue, symbol: str | None, terms: "Terms", tiers: "MarginTiers | None", price: float | None
) -> list[str]:
    """Return what a trader should know beside the answer: terms that the venue would refuse, an odd price."""
    from liqheat.cli.liquidation_queries import notes_of

    entry = float(terms.need("entry_price"))
    notes = notes_of(int(terms.need("side")), entry, price)
    if tiers is None or terms.quantity is None:
        return notes
    size, limit = float(terms.need("quantity")) * entry, float(tiers.notional_cap[-1])
    if size > limit:
        notes.append(
            f"${size:,.0f} is past the last margin tier: {venue} allows at most ${limit:,.0f} of {symbol}; the last "
            "tier's rate is used"
        )
    elif price is not None and (then := float(terms.need("quantity")) * price) > limit:
        notes.append(
            f"At its liquidation price the position is ${then:,.0f}, past the last margin tier of ${limit:,.0f}; the "
            "last tier's rate is used"
        )
    if terms.leverage is not None:
        leverage = float(terms.need("leverage"))
        most = float(tiers.maximum_leverage[tiers.tier_at(size)])
        if leverage > most:
            notes.append(f"{venue} allows at most {most:g}x at ${size:,.0f} of {symbol}")
    return notes


def _tiers(venue: Venue, symbol: str | None, model: "ModelName") -> "MarginTiers | None":
    """Return the instrument's margin tiers; None for a model that has no maintenance margin."""
    from liqheat.domain.margin_tiers import shipped_tables
    from liqheat.domain.market import ModelName

    if model is ModelName.SIMPLE:
        return None
    if symbol is None:
        raise ConfigurationError("Expected --symbol for its margin tiers, or --maintenance-margin-rate")
    tables = shipped_tables(venue)
    if tables:
        return tables[_name_among(venue, symbol, tables)]
    from liqheat.cli.venue_tiers import read_tiers
    from liqheat.platform.settings import load

    return read_tiers(venue, symbol, load())


def _name_among(venue: Venue, asked: str, names: "Iterable[str]") -> str:
    """Return the instrument that is asked for, by its own name in any case, its symbol, or as a pair of any venue.

    Raises:
        ConfigurationError: none of `names` is it.
    """
    from liqheat.domain.instruments import parse_instrument, symbol_asked

    by_name = {name.casefold(): name for name in names}
    if found := by_name.get(asked.strip().casefold()):
        return found
    symbol = symbol_asked(asked)
    fits = [name for name in by_name.values() if (known := parse_instrument(venue, name)) and known.symbol == symbol]
    if not fits:
        raise ConfigurationError(f"Expected an instrument of {venue}, e.g. VIRTUALUSDT, was {asked!r}")
    # The contract in USDT comes before that in USDC, as for the map.
    return min(fits, key=lambda name: ("USDT" not in name, name))


def _answer(model: "ModelName", terms: "Terms", tiers: "MarginTiers | None") -> dict[str, Any]:
    import math

    from liqheat.domain.liquidation_models import bankruptcy_price, liquidation_price, liquidation_price_at_tier

    entry = float(terms.need("entry_price"))
    tier = None
    if tiers is None:
        price = float(liquidation_price(model, terms))
    else:
        answer = liquidation_price_at_tier(model, terms, tiers)
        price, index = float(answer.price), int(answer.tier)
        if index >= 0:
            tier = {"number": index + 1, "of": len(tiers)} | dict(
                zip(
                    ("notional_floor", "notional_cap", "maximum_leverage", "maintenance_margin_rate", "amount"),
                    tiers.rows()[index],
                    strict=True,
                )
            )
    bankruptcy = float(bankruptcy_price(model, terms))
    return {
        "liquidation_price": None if math.isnan(price) else price,
        "bankruptcy_price": None if math.isnan(bankruptcy) else bankruptcy,
        "distance": None if math.isnan(price) else (price - entry) / entry,
        "tier": tier,
    }


def _sentence(found: dict[str, Any]) -> str:
    """Say the answer in aligned lines."""

    def price(value: float | None) -> str:
        return "none" if value is None else f"{value:,.8g}"

    rows = [
        ("model", f"{found['model']} ({found['venue']} {found['symbol'] or ''}".rstrip() + ")"),
        ("liquidation price", price(found["liquidation_price"])),
        ("bankruptcy price", price(found["bankruptcy_price"])),
    ]
    if found["distance"] is not None:
        rows.append(("distance", f"{found['distance']:+.2%} from entry"))
    if tier := found["tier"]:
        rows.append(
            (
                "tier",
                f"{tier['number']} of {tier['of']}: ${tier['notional_floor']:,.0f} to ${tier['notional_cap']:,.0f}, "
                f"up to {tier['maximum_leverage']:g}x, maintenance margin {tier['maintenance_margin_rate']:.4g}"
                f" less ${tier['amount']:,.2f}",
            )
        )
    return "\n".join(f"{name:<18} {value}" for name, value in rows)
