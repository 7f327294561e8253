"""Panels of the heatmap dashboard about what happens if price gets there: order books, absorption, cascades.

Read from the views `depth` and `cascades`; shown below the maps by `deploy.grafana.src.liquidation_heatmap`.
"""

from grafana_foundation_sdk.builders import table, timeseries

from deploy.grafana.src.panels import GREEN, RED, lines, override, rows

BELOW, ABOVE = ("#a7d8d3", "#66bfb6", GREEN, "#00796b"), ("#f5a9a7", "#f27c79", RED, "#b71c1c")
"""Shades from near to far, below and above the price."""


def cascade_panels() -> list[timeseries.Panel | table.Panel]:
    """Return the panels in the order in which they are read."""
    return [_depth(), _absorption(), _rest(), _now()]


def _depth() -> timeseries.Panel:
    panel = lines(
        "Order books",
        "Resting orders within 1, 2 and 5% of mid, summed over the chosen venues whose books are read: bids are below "
        "zero, asks above. A book that reaches less far counts as far as it was read, so far sums are lower bounds.",
        "heatmap/depth",
        "currencyUSD",
    ).interval("1m")
    _shade(panel, [f"bids within {each}%" for each in (1, 2, 5)], BELOW)
    return _shade(panel, [f"asks within {each}%" for each in (1, 2, 5)], ABOVE)


def _absorption() -> timeseries.Panel:
    panel = lines(
        "Absorption",
        "At risk over what rests in the order books within the same distance, over all venues. Above 1 more could be "
        "liquidated there than the books hold, if all of it were executed; much of it never is.",
        "heatmap/absorption",
        "none",
    ).interval("1m")
    _shade(panel, [f"longs within {each}%" for each in (1, 2, 5)], BELOW)
    return _shade(panel, [f"shorts within {each}%" for each in (1, 2, 5)], ABOVE)


def _rest() -> timeseries.Panel:
    panel = lines(
        "Cascades: where moves come to rest",
        "Where moves of 1, 2, 5 and 10% would come to rest once the liquidations that they set off met the books; "
        "falls below zero, rises above. A line at its own move: nothing is set off. Where the known books do not hold "
        "the chain, a lower bound.",
        "heatmap/cascade_rest",
        "percent",
        12,
        9,
    ).interval("1m")
    _shade(panel, [f"-{each}%" for each in (1, 2, 5, 10)], BELOW)
    return _shade(panel, [f"+{each}%" for each in (1, 2, 5, 10)], ABOVE)


def _now() -> table.Panel:
    panel = rows(
        "Cascade now",
        "The newest minute: what each move would liquidate, and where it would come to rest. Not held by the books: "
        "the rest is a lower bound. Empty where no order book of the symbol is read.",
        "heatmap/cascade_now",
        width=12,
        height=9,
    )
    for name in ("price", "rest price", "liquidated"):
        panel.override_by_name(*override(name, unit="currencyUSD"))
    return panel


def _shade(panel: timeseries.Panel, names: list[str], shades: tuple[str, ...]) -> timeseries.Panel:
    for name, shade in zip(names, shades[-len(names) :], strict=True):
        panel.override_by_name(*override(name, color={"mode": "fixed", "fixedColor": shade}))
    return panel
