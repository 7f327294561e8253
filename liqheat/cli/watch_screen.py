"""The picture of `liqheat watch`: a pure function from one answer of `signals_picture` to rich renderables."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from liqheat.domain.venues import COMPARED_VENUES

CLUSTERS_A_SIDE = 5
ALERTS = 6
CATALYSTS = 3

WIDE = 110
"""Columns of a terminal from which every column of the clusters has room."""

NARROW_COLUMNS = ("side", "range", "notional", "% of ADV", "distance", "age")
COLUMNS = ("side", "range", "notional", "% of ADV", "distance", "state", "age", "observed", "round number")

_LONG, _SHORT = "green", "red"
_PARTS = (("cluster", 40), ("imbalance", 20), ("funding", 15), ("open_interest", 15), ("round_number", 10))


def screen(answer: dict[str, Any], now_ms: int, width: int = WIDE) -> RenderableType:
    """Return the whole picture.

    Args:
        answer: what `liqheat.viewer.signals.signals_picture` returns.
        now_ms: to say how old it is.
        width: columns of the terminal; a narrow one is shown fewer columns of the clusters, none of them cut.
    """
    reading = answer["reading"]
    if reading is None:
        return Panel(Text(f"No minute of {answer['symbol']} is stored yet."), title=escape(answer["symbol"]))
    parts: list[RenderableType] = [_head(reading, now_ms), _clusters(answer["clusters"], reading["mark_price"], width)]
    parts += [_venues(answer["venues"]), _alerts(answer["alerts"])]
    if answer["catalysts"]:
        parts.append(_catalysts(answer["catalysts"]))
    return Panel(Group(*parts), title=f"[bold]{escape(answer['symbol'])}[/bold]  {price(reading['mark_price'])}")


def _head(reading: dict[str, Any], now_ms: int) -> RenderableType:
    age = max(now_ms - reading["window_start"] - 60_000, 0) / 1_000
    arrow = {1: "up", -1: "down", 0: "neither way"}[reading["direction"]]
    lines = Table.grid(padding=(0, 2))
    lines.add_row("minute", f"{clock(reading['window_start'])} UTC, closed {age:.0f} s ago, {reading['venues']} venues")
    breakdown = ", ".join(
        f"{name.replace('_', ' ')} {reading[f'conviction_{name}']:.0f}/{most}" for name, most in _PARTS
    )
    lines.add_row("conviction", f"[bold]{reading['conviction']:.0f}[/bold] {arrow}  ({breakdown})")
    lines.add_row(
        "within 5 %",
        f"[{_LONG}]{usd(reading['near_long_usd'])} long[/], [{_SHORT}]{usd(reading['near_short_usd'])} short[/], "
        f"imbalance {_imbalance(reading['imbalance'])}",
    )
    down = "  ".join(f"{step} % {usd(reading[f'down_{step}_usd'])}" for step in (1, 2, 5, 10))
    up = "  ".join(f"{step} % {usd(reading[f'up_{step}_usd'])}" for step in (1, 2, 5, 10))
    lines.add_row("a fall of", f"[{_LONG}]{down}[/]")
    lines.add_row("a rise of", f"[{_SHORT}]{up}[/]")
    lines.add_row("max pain", f"[{_SHORT}]{_pain(reading, 'short')}[/], [{_LONG}]{_pain(reading, 'long')}[/]")
    lines.add_row("funding 4 h", f"{_funding(reading)}; next settlement in {duration(reading['settlement_seconds'])}")
    agreement = reading["open_interest_agreement_1h"]
    agreed = (
        f"{abs(agreement)} of {len(COMPARED_VENUES)} {'rise' if agreement > 0 else 'fall'}"
        if agreement
        else "no agreement"
    )
    hour, four_hours = (percent(reading[f"open_interest_change_{span}"]) for span in ("1h", "4h"))
    lines.add_row("open interest", f"1 h {hour} ({agreed}), 4 h {four_hours}")
    if reading["coiled_spring"]:
        lines.add_row("", "[yellow]coiled spring: open interest up at a flat price beside a heavy cluster[/]")
    if reading["exposure_reduction"]:
        share = reading["exposure_reduction"]
        lines.add_row("", f"[yellow]inside a cluster; rule of thumb: reduce exposure by {share:.0%}[/]")
    return lines


def _imbalance(value: float | None) -> str:
    if not value:
        return percent(value)
    return f"{percent(value)} (more {'longs' if value > 0 else 'shorts'})"


def _pain(reading: dict[str, Any], side: str) -> str:
    """Return a side's heaviest bucket."""
    at = reading[f"max_pain_{side}_price"]
    return f"no {side}s" if at is None else f"{side}s at {price(at)} ({usd(reading[f'max_pain_{side}_usd'])})"


def _funding(reading: dict[str, Any]) -> str:
    rate = reading["funding_rate_4h"]
    payer = {1: "longs pay", -1: "shorts pay", 0: "nobody pays"}[reading["funding_direction"]]
    return "unknown" if rate is None else f"{100 * rate:+.4f} % of 8 h, {payer}"


def _clusters(clusters: list[dict[str, Any]], mark_price: float, width: int) -> RenderableType:
    """Shorts above the price, then the price, then longs below: as on the map."""
    table = Table(title="Clusters", title_justify="left", expand=True, box=SIMPLE_HEAD, pad_edge=False)
    names = COLUMNS if width >= WIDE else NARROW_COLUMNS
    for name in names:
        table.add_column(name, justify="left" if name in ("side", "range", "state") else "right", no_wrap=True)
    shorts = [row for row in clusters if row["side"] == "short"][:CLUSTERS_A_SIDE]
    longs = [row for row in clusters if row["side"] == "long"][:CLUSTERS_A_SIDE]
    for row in reversed(shorts):
        table.add_row(*_cluster(row, names), style=_SHORT)
    table.add_row("mark", price(mark_price), style="bold")
    for row in longs:
        table.add_row(*_cluster(row, names), style=_LONG)
    return table


def _cluster(row: dict[str, Any], names: Sequence[str]) -> list[str]:
    cells = {
        "side": row["side"],
        "range": price_range(row["price_low"], row["price_high"]),
        "notional": usd(row["at_risk_usd"]),
        "% of ADV": percent(row["percent_of_adv"], signed=False),
        "distance": percent(row["distance"], signed=False),
        "state": row["state"],
        "age": duration(60 * row["age_minutes"]),
        "observed": "-" if row["observed_share"] is None else f"{row['observed_share']:.0%}",
        "round number": _round_number(row),
    }
    return [cells[name] for name in names]


def _round_number(row: dict[str, Any]) -> str:
    away = row["round_number_distance"]
    return f"{price(row['round_number']).removesuffix('.00')} {'inside' if not away else f'{away:.1f} % off'}"


def _venues(venues: list[dict[str, Any]]) -> RenderableType:
    table = Table(expand=True, box=SIMPLE_HEAD, pad_edge=False)
    for name in ("venue", "funding 4 h", "settles in", "OI 1 h", "OI 4 h"):
        table.add_column(name, justify="left" if name == "venue" else "right")
    for row in venues:
        rate = row["funding_rate_4h"]
        table.add_row(
            escape(row["venue"]),
            "-" if rate is None else f"{100 * rate:+.4f} %",
            duration(row["settlement_seconds"]),
            percent(row["open_interest_change_1h"]),
            percent(row["open_interest_change_4h"]),
        )
    return table


def _alerts(alerts: list[dict[str, Any]]) -> RenderableType:
    lines = [Text(f"{clock(row['event_time'])}  {row['message']}", overflow="ellipsis") for row in alerts[:ALERTS]]
    return Panel(Group(*lines) if lines else Text("none yet"), title="Latest alerts", title_align="left")


def _catalysts(catalysts: list[dict[str, Any]]) -> RenderableType:
    lines = [Text(f"{clock(row['event_time'])}  {row['title']}") for row in catalysts[:CATALYSTS]]
    return Panel(Group(*lines), title="Catalysts", title_align="left")


def clock(time_ms: int) -> str:
    """Return `01-31 12:00`."""
    return f"{datetime.fromtimestamp(time_ms / 1_000, UTC):%m-%d %H:%M}"


def price(value: float) -> str:
    """Return a price with six significant digits, without an exponent."""
    return f"{value:,.2f}" if value >= 1_000 else f"{value:.6g}" if value >= 1e-4 else f"{value:.10f}"


def price_range(low: float, high: float) -> str:
    """Return both edges of a range, whole dollars without cents."""
    return f"{price(low).removesuffix('.00')} - {price(high).removesuffix('.00')}"


def usd(value: float) -> str:
    """Return `$1.23B`, `$1.2M`, `$340k` or `$0`."""
    if value >= 1e9:
        return f"${value / 1e9:,.2f}B"
    if value >= 1e6:
        return f"${value / 1e6:,.1f}M"
    return f"${value / 1e3:,.0f}k" if value else "$0"


def percent(value: float | None, *, signed: bool = True) -> str:
    """Return a percentage, `-` where it is unknown."""
    if value is None:
        return "-"
    return f"{value:+.1f} %" if signed else f"{value:.1f} %"


def duration(seconds: float | None) -> str:
    """Return `3 h 05 min`, `12 min` or `40 s`; `-` where it is unknown."""
    if seconds is None:
        return "-"
    minutes = int(seconds) // 60
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if minutes else f"{int(seconds)} s"
