"""What all dashboards share: the datasource variable, SQL targets, panel and dashboard defaults."""

from pathlib import Path
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.builders import heatmap, stat, table, timeseries, xychart
from grafana_foundation_sdk.cog import builder as cog_builder
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, VariableRefresh

from liqheat.domain.venues import VENUE_FACTS

QUERIES = Path(__file__).parents[1] / "queries"
DATASOURCE_TYPE = "grafana-clickhouse-datasource"
DATASOURCE = common.DataSourceRef(type_val=DATASOURCE_TYPE, uid="${datasource}")

TIME_SERIES, TABLE = 0, 1
"""Formats of the ClickHouse datasource: long rows to one series a label, or rows as they are."""

GREEN, RED = "#26a69a", "#ef5350"
"""Long liquidations are green and lie below the price, short ones red and above."""

P = TypeVar("P", heatmap.Panel, stat.Panel, table.Panel, timeseries.Panel, xychart.Panel)


class Target(variants.Dataquery):
    """One SQL query of a panel, in the ClickHouse datasource's shape."""

    def __init__(self, sql: str, form: int, ref_id: str) -> None:
        self.sql = sql
        self.form = form
        self.ref_id = ref_id

    def to_json(self) -> dict[str, object]:
        """Return the target as Grafana stores it."""
        return {
            "refId": self.ref_id,
            "datasource": {"type": DATASOURCE_TYPE, "uid": "${datasource}"},
            "editorType": "sql",
            "queryType": "timeseries" if self.form == TIME_SERIES else "table",
            "format": self.form,
            "rawSql": self.sql,
            "meta": {"timezone": "UTC"},
        }


class TargetBuilder(cog_builder.Builder[Target]):
    """Hands a finished `Target` to the SDK, which asks for builders."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def build(self) -> Target:
        """Return the target."""
        return self._target


def read_sql(name: str, **replacements: str) -> str:
    """Return the query `name` ("heatmap/map"), with each `{word}` of `replacements` filled in."""
    sql = (QUERIES / f"{name}.sql").read_text()
    for word, value in replacements.items():
        sql = sql.replace("{" + word + "}", value)
    return sql


def target(name: str, form: int = TIME_SERIES, ref_id: str = "A", **replacements: str) -> TargetBuilder:
    """Return the query `name` as a panel's target."""
    return TargetBuilder(Target(read_sql(name, **replacements), form, ref_id))


def dress(panel: P, title: str, description: str, width: int, height: int) -> P:
    """Give a panel what every panel has: title, description, datasource, size on the 24-column grid."""
    panel.title(title).description(description).datasource(DATASOURCE).span(width).height(height)
    return panel


def lines(title: str, description: str, query: str, unit: str, width: int = 12, height: int = 7) -> timeseries.Panel:
    """Return a panel of lines over time, one a label of `query`."""
    panel = timeseries.Panel().with_target(target(query)).unit(unit).line_width(1).fill_opacity(5)
    panel.legend(common_builder.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).show_legend(True))
    return dress(panel, title, description, width, height)


def of_venues(panel: timeseries.Panel) -> timeseries.Panel:
    """Give each venue's line the label and colour of its record; series are named by the label `venue`."""
    for facts in VENUE_FACTS.values():
        colour = {"mode": "fixed", "fixedColor": facts.colour}
        name, values = override(f"/\\b{facts.venue.value}\\b/", displayName=facts.label, color=colour)
        panel.override_by_regexp(name, values)
    return panel


def rows(
    title: str, description: str, query: str, unit: str = "short", width: int = 24, height: int = 8
) -> table.Panel:
    """Return a table of the rows of `query`."""
    return dress(table.Panel().with_target(target(query, TABLE)).unit(unit), title, description, width, height)


def datasource_variable() -> builder.DatasourceVariable:
    """Return the choice of datasource that every dashboard starts with."""
    return builder.DatasourceVariable("datasource").label("Datasource").type(DATASOURCE_TYPE)


def query_variable(name: str, label: str, description: str) -> builder.QueryVariable:
    """Return the variable of `heatmap/variable_<name>.sql`, read again when the time range changes."""
    sql = read_sql(f"heatmap/variable_{name}")
    return (
        builder.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(DATASOURCE)
        .query({"editorType": "sql", "rawSql": sql, "refId": f"variable-{name}"})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def all_of(variable: builder.QueryVariable) -> builder.QueryVariable:
    """Let a variable take several values, and all of them at first."""
    return (
        variable.multi(True)
        .include_all(True)
        .current(dashboard.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def new_dashboard(uid: str, title: str, description: str, time_from: str, refresh: str) -> builder.Dashboard:
    """Return an empty dashboard with the house's defaults."""
    return (
        builder.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["liqheat"])
        .timezone("utc")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time(time_from, "now")
        .refresh(refresh)
        .readonly()
        .with_variable(datasource_variable())
    )


def override(name: str, **properties: Any) -> tuple[str, list[dashboard.DynamicConfigValue]]:
    """Return the arguments of `override_by_name`: `custom__lineWidth=2` sets `custom.lineWidth`."""
    return name, [dashboard.DynamicConfigValue(key.replace("__", "."), value) for key, value in properties.items()]
