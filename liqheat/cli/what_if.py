"""`liqheat what-if`: where a move of the price comes to rest, and what is liquidated on the way."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from liqheat.viewer.what_if import Move


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("what-if")(what_if)


def what_if(
    symbol: str = typer.Argument(help="Canonical symbol, such as VIRTUAL."),
    to: float = typer.Option(None, "--to", help="Price that is reached, USD."),
    move: str = typer.Option(None, "--move", help="Move of the mark price, such as -5% or +2.5%."),
    viewer: str = typer.Option(None, help="Address of a running page.", show_default="that of the settings"),
    server: bool = typer.Option(False, help="Read ClickHouse as the settings say, instead of a page."),
    data_dir: Path = typer.Option(None, help="Read what a finished demo left here, instead of a page."),
    json_output: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Say what happens if price gets there: the expected liquidations against the venues' order books."""
    import dataclasses
    import json

    from liqheat.cli.signal_source import signal_source
    from liqheat.domain.instruments import symbol_asked
    from liqheat.platform.errors import ConfigurationError, FatalError
    from liqheat.viewer import what_if as answers

    name = symbol_asked(symbol)
    with signal_source(viewer, server, data_dir) as read:
        answer = read(name)
        if answer["reading"] is None:
            raise read.nothing_of([name])
    cascades = answer["cascades"]
    if not cascades:
        raise FatalError(
            f"No order book of {name} is read, or nothing of the last minutes is stored: "
            "where a move comes to rest is not known (LIQHEAT_INGEST__DEPTH turns order books on)"
        )
    try:
        target = answers.target_of(cascades[0]["mark_price"], to, move)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    found = answers.what_if(cascades, target)
    if found is None:
        raise FatalError(f"Nothing is known of that direction of {name}")
    if json_output:
        print(json.dumps(dataclasses.asdict(found) | {"side": found.side.label, "amplification": found.amplification}))
    else:
        print(_text(name, found))


def _text(symbol: str, move: "Move") -> str:
    from liqheat.domain.money import MICRO_USD_PER_USD, usd_text

    sign = "-" if move.target < move.mark else "+"
    over = "over " if move.is_beyond else ""
    lines = [
        ("symbol", symbol),
        ("mark price", f"{move.mark:.8g}"),
        ("move to", f"{move.target:.8g} ({sign}{move.percent:.2f}%)"),
        ("liquidated", f"{usd_text(round(move.liquidated_usd * MICRO_USD_PER_USD))} of {move.side.label}s"),
        ("comes to rest", f"{over}{move.rest_price:.8g} ({sign}{move.rest_percent:.2f}%)"),
        ("amplification", f"{over}{move.amplification:.2f}x"),
        ("trigger", "none near" if move.trigger_price is None else f"{move.trigger_price:.8g}"),
    ]
    if move.book_coverage is not None:
        lines.append(("order books", f"of {move.book_coverage:.0%} of open interest"))
    lines.append(("", "An estimate, not advice."))
    return "\n".join(f"{name:<15}{value}".rstrip() for name, value in lines)
