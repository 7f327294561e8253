"""The dashboard *Liquidation heatmap*: one symbol, its maps over time, the map now, and how far to trust it."""

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.builders import heatmap, table, timeseries, xychart
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.dashboard import VariableHide
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.xychart import PointShape, SeriesMapping, XYShowMode

from deploy.grafana.src.cascade_panels import cascade_panels
from deploy.grafana.src.panels import (
    DATASOURCE,
    GREEN,
    RED,
    TABLE,
    all_of,
    dress,
    lines,
    new_dashboard,
    of_venues,
    override,
    query_variable,
    rows,
    target,
)

UID = "liqheat-heatmap"

# The price axis is a regular grid around the latest mark. Its hidden variables build on each other in this order.
_HIDDEN = (
    ("price_step", "Price step", "Height of a price row, USD."),
    ("price_low", "Lowest price", "Lower edge of the lowest row, USD."),
    ("price_rows", "Rows", "How many price rows."),
)


def build() -> builder.Dashboard:
    """Return the dashboard."""
    board = new_dashboard(
        UID,
        "Liquidation heatmap",
        "How much notional would be liquidated at each price, over time. Long liquidations lie below the price "
        "(green), short ones above (red). Inferred where a venue does not publish positions.",
        "now-6h",
        "30s",
    )
    for variable in _variables():
        board.with_variable(variable)
    for annotation in _annotations():
        board.annotation(annotation)
    board.with_panel(_map("long", "Greens", "fell to it", "below"))
    board.with_panel(_map("short", "Reds", "rose to it", "above"))
    board.with_panel(_overlay())
    board.with_panel(_map_now())
    for panel in cascade_panels():
        board.with_panel(panel)
    board.with_panel(_executed())
    for panel in [*_markets(), *_record(), *_evidence()]:
        board.with_panel(panel)
    return board


def _markets() -> list[timeseries.Panel]:
    return [
        of_venues(
            lines(
                "Open interest",
                "One-sided open interest in USD by venue: each dollar is one of longs and one of shorts.",
                "heatmap/open_interest",
                "currencyUSD",
            )
        ),
        of_venues(
            lines(
                "Funding rate",
                "The current funding rate by venue. Above zero longs pay shorts.",
                "heatmap/funding_rate",
                "percentunit",
            )
        ),
        of_venues(
            lines(
                "Coverage",
                "Observed notional over open interest. 0 means that everything shown for the venue is inferred.",
                "heatmap/coverage",
                "percentunit",
            )
        ),
        lines(
            "Calibration",
            "At risk: the factor that fits each side's levels to open interest, 1 when nothing had to be scaled. "
            "Expected: what is executed per modelled notional, learned from the venue's liquidations.",
            "heatmap/calibration",
            "none",
        ),
    ]


def _record() -> list[timeseries.Panel | table.Panel]:
    amount = lines(
        "Record: predicted and executed",
        "Per hour: the expected notional at the levels that price swept, beside what was executed; longs below zero, "
        "shorts above. Written once and never corrected. Venues that publish a sample execute more than is seen.",
        "heatmap/record_amount",
        "currencyUSD",
    )
    place = lines(
        "Record: place",
        "How well maps frozen for 6, 24 and 72 hours said where liquidations were: above 0 is better than no idea, "
        "above 'distance alone' is better than knowing only that it is denser further away.",
        "heatmap/record_place",
        "none",
    )
    months = rows(
        "Record by month",
        "The same per month and horizon, beside one line (trailing liquidations per squared move). Unproven until 50 "
        "hours and sides with liquidations were judged.",
        "heatmap/record_months",
        height=7,
    )
    return [amount, place, months]


def _evidence() -> list[table.Panel]:
    words = rows(
        "Evidence: do clusters attract price?",
        "Whether clusters attract price, repel it or do nothing, by what followed once price came near, entered or "
        "swept a large one. Judged by the hour; below 30 cases in 10 blocks of time it says too few cases.",
        "heatmap/evidence_words",
        height=11,
    )
    words.override_by_name(*override("in words", custom__wrapText=True, custom__minWidth=500))
    for name, width in (("of", 110), ("price", 95), ("cases", 70), ("blocks of time", 110), ("clusters", 120)):
        words.override_by_name(*override(name, custom__width=width))
    figures = rows(
        "Evidence: what followed clusters",
        "The same in figures: cases against like moments of the same symbol without a cluster near. A difference is "
        "there where its 95% interval leaves 0 out.",
        "heatmap/evidence_figures",
        height=10,
    )
    return [words, figures]


def _variables() -> list[builder.QueryVariable | builder.CustomVariable]:
    spans = ("5", "10", "20", "40")
    amounts = ("at_risk_usd", "expected_usd")
    return [
        query_variable("symbol", "Symbol", "The coin."),
        all_of(query_variable("venue", "Venue", "Venues to add up.")),
        all_of(query_variable("leverage_band", "Leverage", "Leverage bands to add up.")),
        all_of(query_variable("basis", "Basis", "observed: published by the venue; inferred: our estimate.")),
        builder.CustomVariable("span")
        .label("Span ±%")
        .description("How far above and below the price the map reaches.")
        .values(",".join(spans))
        .current(dashboard.VariableOption(selected=True, text="10", value="10"))
        .options([dashboard.VariableOption(selected=span == "10", text=span, value=span) for span in spans]),
        builder.CustomVariable("amount")
        .label("Amount")
        .description("at_risk_usd: positions whose liquidation price is there; expected_usd: what would be executed.")
        .values(",".join(amounts))
        .current(dashboard.VariableOption(selected=True, text=amounts[0], value=amounts[0]))
        .options([dashboard.VariableOption(selected=each == amounts[0], text=each, value=each) for each in amounts]),
        *(query_variable(*names).hide(VariableHide.HIDE_VARIABLE) for names in _HIDDEN),
    ]


def _annotations() -> list[builder.AnnotationQuery]:
    return [
        builder.AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(colour)
        .target(target(query, TABLE))
        for name, colour, query in (
            ("Alerts", RED, "heatmap/alert_annotations"),
            ("Catalysts", "#8ab8ff", "heatmap/catalyst_annotations"),
            ("Triggers", "#ff9830", "heatmap/trigger_annotations"),
        )
    ]


def _map(side: str, scheme: str, moved: str, where: str) -> heatmap.Panel:
    panel = (
        heatmap.Panel()
        .with_target(target("heatmap/map", side=side))
        .interval("1m")
        .max_data_points(360)
        .calculate(False)
        .rows_frame(heatmap.RowsHeatmapOptions().layout(common.HeatmapCellLayout.GE).value("notional"))
        .cell_gap(0)
        .show_value(common.VisibilityMode.NEVER)
        .cell_values(heatmap.CellValues().unit("currencyUSD").decimals(1))
        .y_axis(heatmap.YAxisConfig().axis_placement(common.AxisPlacement.LEFT).unit("currencyUSD"))
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme(scheme)
            .fill(GREEN if side == "long" else RED)
            .scale(HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .tooltip(
            heatmap.HeatmapTooltip().mode(common.TooltipDisplayMode.SINGLE).y_histogram(True).show_color_scale(True)
        )
        .show_legend()
    )
    return dress(
        panel,
        f"{side.capitalize()} liquidations",
        f"Notional of {side}s at risk if mark price {moved}, or what would be executed (variable Amount); they lie "
        f"{where} the price. "
        "A cell is the average over its step, summed over the chosen venues, leverage bands and bases.",
        24,
        11,
    )


def _overlay() -> xychart.Panel:
    def by_name(name: str) -> xychart.MatcherConfig:
        return xychart.MatcherConfig().id("byName").options(name)

    def series(label: str, frame: int, y: str, colour: str | None) -> xychart.XYSeriesConfig:
        config = (
            xychart.XYSeriesConfig()
            .name(xychart.XychartXYSeriesConfigName().fixed(label))
            .frame(xychart.XychartXYSeriesConfigFrame().matcher(xychart.MatcherConfig().id("byIndex").options(frame)))
            .x(xychart.XychartXYSeriesConfigX().matcher(by_name("time")))
            .y(xychart.XychartXYSeriesConfigY().matcher(by_name(y)))
        )
        return config.color(xychart.XychartXYSeriesConfigColor().matcher(by_name(colour))) if colour else config

    panel = (
        xychart.Panel()
        .with_target(target("heatmap/overlay_cells", TABLE))
        .with_target(target("heatmap/mark_price", TABLE, "B"))
        .interval("1m")
        .max_data_points(180)
        .mapping(SeriesMapping.MANUAL)
        .series([series("liquidations", 0, "price", "cell"), series("mark", 1, "mark price", None)])
        .show(XYShowMode.POINTS)
        .point_shape(PointShape.SQUARE)
        .point_size(xychart.XychartFieldConfigPointSize().fixed(4))
        .point_stroke_width(0)
        .fill_opacity(80)
        .unit("currencyUSD")
        .override_by_name(*override("mark price", custom__show="lines", custom__lineWidth=2))
        .override_by_name(
            *override("cell", color={"mode": "continuous-RdYlGr"}, unit="currencyUSD", custom__show="points")
        )
    )
    return dress(
        panel,
        "Both sides with mark price",
        "Long liquidations green (positive), short ones red (negative), the line is mark price. Core XY chart, so "
        "no plugin is needed; cells are squares of fixed size.",
        16,
        14,
    )


def _map_now() -> xychart.Panel:
    panel = (
        xychart.Panel()
        .with_target(target("heatmap/map_now", TABLE))
        .mapping(SeriesMapping.AUTO)
        .show(XYShowMode.LINES)
        .line_width(1)
        .fill_opacity(20)
        .unit("currencyUSD")
        .override_by_name(*override("long", color={"mode": "fixed", "fixedColor": GREEN}))
        .override_by_name(*override("short", color={"mode": "fixed", "fixedColor": RED}))
    )
    return dress(
        panel,
        "Map now, with cumulative curves",
        "At the latest minute: notional at each price, and in all what a move from the mark to that price would "
        "liquidate (longs summed downwards, shorts upwards).",
        8,
        14,
    )


def _executed() -> timeseries.Panel:
    panel = lines(
        "Executed liquidations",
        "Liquidations that the venues reported, longs below zero and shorts above. Binance publishes a sample "
        "(about one per second and market), so its part is a lower bound.",
        "heatmap/executed",
        "currencyUSD",
        24,
        7,
    )
    panel.draw_style(common.GraphDrawStyle.BARS).fill_opacity(70)
    panel.legend(common_builder.VizLegendOptions().show_legend(True).display_mode(common.LegendDisplayMode.LIST))
    return panel.override_by_name(
        *override("longs liquidated", color={"mode": "fixed", "fixedColor": GREEN})
    ).override_by_name(*override("shorts liquidated", color={"mode": "fixed", "fixedColor": RED}))
