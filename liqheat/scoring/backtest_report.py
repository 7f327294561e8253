"""A backtest as a page: tables, predicted against executed, and the map over time, drawn with Plotly's own script."""

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from liqheat.scoring.places import CELL, CELLS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#1c2733}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;text-align:right;border-bottom:1px solid #dde}
td:first-child,th:first-child{text-align:left;white-space:normal}td{white-space:nowrap}.ours{font-weight:600;background:#eef7f5}small{color:#5b6b79}"""
_COLUMNS = {
    "spearman": "Spearman",
    "pearson": "Pearson",
    "partial": "partial, given the move",
    "mae_log": "mean error, decades",
    "ratio": "predicted / executed",
}
_LONG, _SHORT = "#26a69a", "#ef5350"
_MAP_COLUMNS, _MAP_ROWS = 400, 240
_SHOWN = 0.12
"""Log distance from the price up to which the map is drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """What is drawn, per judged hour: prices in USD, executed and predicted in USD (h, 2), maps (h, 2, CELLS)."""

    name: str
    start: IntArray
    price: FloatArray
    high: FloatArray
    low: FloatArray
    executed: FloatArray
    predicted: FloatArray
    expected: npt.NDArray[np.float32]
    at_risk: npt.NDArray[np.float32]


def page(figures: dict[str, Any], pictures: Pictures) -> str:
    """Return the whole page as HTML that opens without a network."""
    ours = next(iter(figures["streamed"]))
    parts = [
        f"<h1>{escape(figures['market'])}: what the map said, and what came</h1>",
        f"<p>Judged {figures['judged_hours']} hours, {figures['from']} to {figures['until']} UTC; executed "
        f"{_usd(figures['executed_usd'])}. Model version {figures['model_version']}. Every method was "
        "asked before it saw what came. In small print the 90% interval; “none” where there is too little to say.</p>",
        "<h2>How much: the map renewed with every bar</h2>",
        _amounts(figures["streamed"], ours),
        "<h2>How much: the map as it stood at the start of the hour</h2>",
        _amounts(figures["frozen"], ours),
        "<h2>Where, over the ground that price newly reached</h2>",
        _places(figures["place"], ours),
        "<h2>Hours: predicted and executed</h2>",
        _scatter(pictures),
        "<h2>Weeks</h2>",
        _weeks(pictures),
        "<h2>Expected to be executed, over time</h2>",
        _map(pictures, pictures.expected),
        "<h2>At risk, over time</h2>",
        _map(pictures, pictures.at_risk),
    ]
    return (
        f"<!doctype html><meta charset=utf-8><title>liqheat backtest</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script>{''.join(parts)}"
    )


def _amounts(methods: dict[str, Any], ours: str) -> str:
    moves = list(methods[ours]["ratio_by_move"])
    months = list(methods[ours]["by_month"])
    head = "".join(f"<th>{escape(title)}</th>" for title in _COLUMNS.values())
    rows = []
    for name, row in methods.items():
        cells = "".join(f"<td>{_figure(row[key], '.3g')}{_range(row['interval'][key])}</td>" for key in _COLUMNS)
        rows.append(f"<tr{_mark(name, ours)}><td>{escape(name)}</td>{cells}</tr>")
    body = f"<table><tr><th>method</th>{head}</tr>{''.join(rows)}</table>"
    head = "".join(f"<th>{escape(move)}%</th>" for move in moves) + "".join(f"<th>{month}</th>" for month in months)
    rows = []
    for name, row in methods.items():
        ratios = [row["ratio_by_move"].get(move, float("nan")) for move in moves]
        ratios += [row["by_month"][month]["ratio"] for month in months]
        cells = "".join(f"<td>{_figure(ratio, '.2f')}</td>" for ratio in ratios)
        rows.append(f"<tr{_mark(name, ours)}><td>{escape(name)}</td>{cells}</tr>")
    return body + (
        "<p>Predicted over executed by the hour's move against the side, and by month:</p>"
        f"<table><tr><th>method</th>{head}</tr>{''.join(rows)}</table>"
    )


def _places(place: dict[str, Any], ours: str) -> str:
    horizons = [key for key in place if key.isdigit()]
    if not horizons:
        return "<p>The history is too short to look ahead.</p>"
    head = "".join(f"<th>{hours} h: nats over uniform</th><th>AUC</th>" for hours in horizons)
    rows = []
    for name in place[horizons[0]]["methods"]:
        cells = ""
        for hours in horizons:
            row = place[hours]["methods"][name]
            cells += f"<td>{_figure(row['nats'], '+.3f')}</td><td>{_figure(row['auc'], '.3f')}</td>"
        rows.append(f"<tr{_mark(name, ours)}><td>{escape(name)}</td>{cells}</tr>")
    return (
        f"<table><tr><th>method</th>{head}</tr>{''.join(rows)}</table>"
        f"<p><small>Ours by {escape(place['function'])}; the others by their density.</small></p>"
    )


def _figure(value: float, form: str) -> str:
    return f"{value:{form}}" if np.isfinite(value) else "none"


def _usd(amount: float) -> str:
    return f"{amount / 1e6:,.1f} million USD" if amount >= 1e6 else f"{amount:,.0f} USD"


def _range(bounds: tuple[float, float]) -> str:
    return f" <small>{bounds[0]:.2g} to {bounds[1]:.2g}</small>" if np.isfinite(bounds).all() else ""


def _mark(name: str, ours: str) -> str:
    return ' class="ours"' if name == ours else ""


def _scatter(pictures: Pictures) -> str:
    figure = go.Figure()
    for side, name, colour in ((0, "longs", _LONG), (1, "shorts", _SHORT)):
        figure.add_scattergl(
            x=np.maximum(pictures.predicted[:, side], 1e3),
            y=np.maximum(pictures.executed[:, side], 1e3),
            mode="markers",
            name=name,
            marker={"color": colour, "size": 4, "opacity": 0.5},
        )
    top = float(max(pictures.executed.max(), pictures.predicted.max(), 1e4))
    figure.add_scatter(x=[1e3, top], y=[1e3, top], mode="lines", name="equal", line={"color": "#888", "dash": "dot"})
    figure.update_xaxes(type="log", title="predicted for the hour, USD")
    figure.update_yaxes(type="log", title="executed, USD")
    return _html(figure, 460)


def _weeks(pictures: Pictures) -> str:
    week = pictures.start // (7 * 86_400_000)
    weeks = np.unique(week)
    figure = go.Figure()
    times = [np.datetime64(int(pictures.start[week == one][0]), "ms") for one in weeks]
    for usd, name, colour in (
        (pictures.executed, "executed", "#37474f"),
        (pictures.predicted, "predicted", "#f9a825"),
    ):
        figure.add_bar(x=times, y=[float(usd[week == one].sum()) for one in weeks], name=name, marker={"color": colour})
    figure.update_yaxes(title="USD per week")
    return _html(figure, 320)


def _map(pictures: Pictures, cells: npt.NDArray[np.float32]) -> str:
    """Draw USD per cell over time and price, at most some hundred columns, and the price over it."""
    step = max(len(pictures.start) // _MAP_COLUMNS, 1)
    columns = np.arange(0, len(pictures.start), step)
    logs = np.log(pictures.price[columns])
    rows = np.linspace(logs.min() - _SHOWN, logs.max() + _SHOWN, _MAP_ROWS)
    place = np.floor((rows[:, None] - logs) / CELL).astype(np.int64)
    away = np.where(place < 0, -place - 1, place)
    side = np.where(place < 0, 0, 1)
    usd = cells[columns[None, :], side, np.minimum(away, CELLS - 1)]
    usd = np.where(away * CELL < _SHOWN, usd, np.nan)
    shown = usd[np.isfinite(usd) & (usd > 0)]
    top = float(np.percentile(shown, 99)) if shown.size else 1.0
    times = pictures.start[columns].astype("datetime64[ms]")
    figure = go.Figure()
    figure.add_heatmap(
        x=times, y=np.exp(rows), z=usd, zmin=0, zmax=top, colorscale="Viridis", colorbar={"title": "USD"}
    )
    figure.add_scatter(
        x=times, y=pictures.price[columns], mode="lines", line={"color": "white", "width": 1}, name="price"
    )
    figure.update_yaxes(type="log", title="price, USD")
    return _html(figure, 460)


def _html(figure: go.Figure, height: int) -> str:
    figure.update_layout(height=height, margin={"l": 60, "r": 20, "t": 20, "b": 40}, template="plotly_white")
    return str(figure.to_html(full_html=False, include_plotlyjs=False))
