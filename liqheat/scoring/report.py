"""The score as a page: the table of methods, and true maps beside inferred ones.

Plotly's own script is put into the page, so that it opens without a network.
"""

from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from liqheat.scoring.measures import Profile

Figures = dict[str, float | None]

_COLUMNS = {
    "emd_pct": "Earth mover's distance, % of price",
    "overlap": "Overlap within ±10%",
    "top5_hit_rate": "Top-5 hit rate",
    "notional_ratio": "Notional, inferred / true",
    "calibration_error": "Calibration error",
}
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#1c2733}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;text-align:right;border-bottom:1px solid #dde}
td:first-child,th:first-child{text-align:left}.ours{font-weight:600;background:#eef7f5}"""


def table(methods: dict[str, Figures], ours: str) -> str:
    """Return the figures of each method as an HTML table."""
    head = "".join(f"<th>{escape(title)}</th>" for title in _COLUMNS.values())
    rows = []
    for name, figures in methods.items():
        cells = "".join(
            "<td>-</td>" if (value := figures[key]) is None else f"<td>{value:.3g}</td>" for key in _COLUMNS
        )
        mark = ' class="ours"' if name == ours else ""
        rows.append(f"<tr{mark}><td>{escape(name)}</td>{cells}</tr>")
    return f"<table><tr><th>Method</th>{head}</tr>{''.join(rows)}</table>"


def picture(title: str, mark: float, sides: list[tuple[str, Profile, Profile]]) -> str:
    """Return one market's map, true to the left of the axis and inferred to the right, price upwards.

    Args:
        title: what market this is.
        mark: mark price, drawn as a line.
        sides: side ("long" or "short"), true profile, inferred profile.
    """
    figure = go.Figure()
    widest = max((float(profile.usd.max(initial=0.0)) for _, *profiles in sides for profile in profiles), default=0.0)
    for side, true, inferred in sides:
        colour = "#26a69a" if side == "long" else "#ef5350"
        prices, heights = true.prices(), true.widths()
        for name, usd, sign, opacity in (("true", true.usd, -1, 1.0), ("inferred", inferred.usd, 1, 0.6)):
            figure.add_bar(
                y=prices,
                x=sign * usd,
                width=heights,
                orientation="h",
                name=f"{side}, {name}",
                marker={"color": colour},
                opacity=opacity,
            )
    figure.add_hline(y=mark, line={"color": "#1c2733", "width": 1}, annotation_text="mark")
    figure.update_layout(
        title=escape(title),
        barmode="overlay",
        bargap=0,
        height=520,
        template="plotly_white",
        xaxis_title="true ← USD at risk → inferred",
        yaxis_title="price, USD",
        # The same scale on both sides of the axis, so that lengths can be compared.
        xaxis_range=[-1.05 * widest, 1.05 * widest] if widest else None,
    )
    return str(figure.to_html(full_html=False, include_plotlyjs=False, config={"displayModeBar": False}))


def page(overall: dict[str, Figures], by_regime: dict[str, dict[str, Figures]], pictures: list[str], ours: str) -> str:
    """Return the whole page."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>liqheat score</title>",
        f"<style>{_STYLE}</style><script>{get_plotlyjs()}</script>",
        "<h1>How good is the map?</h1>",
        "<p>Simulated markets whose positions are known, judged every hour for each venue and side. The engine is "
        "not given the leverage mix, nor which positions are cross-margined or hedged.</p>",
        "<h2>All regimes</h2>",
        table(overall, ours),
    ]
    for regime, methods in by_regime.items():
        parts += [f"<h2>{escape(regime)}</h2>", table(methods, ours)]
    return "".join([*parts, "<h2>True beside inferred</h2>", *pictures, "</html>"])
