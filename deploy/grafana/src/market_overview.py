"""The dashboard *Market overview*: all symbols side by side, with links into the heatmap of each."""

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common

from deploy.grafana.src.liquidation_heatmap import UID as HEATMAP_UID
from deploy.grafana.src.panels import lines, new_dashboard, override, rows
from liqheat.domain.signals import AlertKind


def build() -> builder.Dashboard:
    """Return the dashboard."""
    board = new_dashboard(
        "liqheat-overview",
        "Market overview",
        "Every symbol at a glance: nearest clusters, share of average daily volume, imbalance, conviction, alerts.",
        "now-6h",
        "30s",
    )
    board.with_panel(_symbols())
    board.with_panel(_clusters())
    board.with_panel(
        rows(
            "Alerts",
            f"{', '.join(AlertKind).capitalize()}: newest first; each entry of a cluster is one alert.",
            "overview/alerts",
            height=8,
        ).override_by_name(*override("notional", unit="currencyUSD"))
    )
    board.with_panel(
        lines(
            "Conviction",
            "0 to 100 by symbol, the sum of its stored parts: cluster, imbalance, funding, open interest, round "
            "number. A rule of thumb, not a forecast.",
            "overview/conviction",
            "none",
            24,
            8,
        )
    )
    return board


def _symbols() -> table.Panel:
    link = {"title": "Open the heatmap", "url": f"/d/{HEATMAP_UID}?var-symbol=${{__value.raw}}&${{__url_time_range}}"}
    panel = rows(
        "Symbols",
        "Distances are from mark price to the nearer edge of the nearest cluster. Imbalance: +100 is all below the "
        "price. Over bids and asks: at risk within 2% over what rests in the order books there. Nearest trigger: the "
        "nearest move that liquidations would carry at least half as far again, falls below zero. "
        "A click on a symbol opens its heatmap.",
        "overview/symbols",
        height=10,
    )
    panel.sort_by([common_builder.TableSortByFieldState().display_name("% of ADV").desc(True)])
    panel.cell_height(common.TableCellHeight.SM)
    panel.override_by_name(*override("symbol", links=[link]))
    for name in ("mark", "longs within 5%", "shorts within 5%"):
        panel.override_by_name(*override(name, unit="currencyUSD"))
    return panel.override_by_name(*override("funding 4h", unit="percentunit", decimals=4))


def _clusters() -> table.Panel:
    panel = rows(
        "Clusters",
        "Dense price ranges alive now, over all venues, largest first. Above 15% of ADV: caution.",
        "overview/clusters",
        height=10,
    )
    for name in ("from", "to", "at risk", "round number"):
        panel.override_by_name(*override(name, unit="currencyUSD"))
    return panel.override_by_name(*override("observed", unit="percentunit")).override_by_name(
        *override("confidence", unit="percentunit")
    )
