"""Options of the committed dashboards against Grafana's own panel types, by the TypeScript compiler.

Grafana drops an option that it does not know without a word, so a misspelt one would never be seen.
"""

import copy
import json
from pathlib import Path
from typing import Any

from deploy.grafana.src.build import OUTPUT
from tests.grafana_frontend.node import require_node, type_errors

BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(OUTPUT.glob("*.json"))}
PANELS = [panel for board in BOARDS.values() for panel in board["panels"] if panel["type"] != "row"]
TYPES = {"heatmap": "Heatmap", "stat": "Stat", "table": "Table", "timeseries": "TimeSeries", "xychart": "XYChart"}
RAW = "@grafana/schema/dist/esm/raw/composable"
# A file written as JSON has the text of an enumeration, not its member. Keys stay those of the type, so that one that
# it does not have is an error.
HEAD = """
import type * as schema from "@grafana/schema";
type Written<T> =
  T extends string ? `${T}` :
  T extends readonly (infer Item)[] ? Written<Item>[] :
  T extends object ? { [Key in keyof T]: Written<T[Key]> } :
  T;
type Field<Custom> = Written<Omit<schema.FieldConfig, "custom"> & { custom?: Partial<Custom> }>;
type Board = Written<Omit<schema.Dashboard, "panels" | "templating">>;
type Panel<Options> = Written<Omit<schema.Panel, "options" | "fieldConfig"> & { options: Partial<Options> }>;
"""


def source_of(panels: list[dict[str, Any]], boards: list[dict[str, Any]]) -> str:
    """TypeScript with a constant of Grafana's type for each dashboard, panel, default and override of its fields."""
    imports = [
        f'import type * as {kind} from "{RAW}/{kind}/panelcfg/x/{name}PanelCfg_types.gen";'
        for kind, name in TYPES.items()
    ]
    # A stat panel's field settings have nothing of their own.
    own = {kind: f"{kind}.FieldConfig" for kind in TYPES} | {"stat": "Record<string, never>"}
    constants = [("Board", without_queries(board)) for board in boards]
    for panel in panels:
        kind, fields = panel["type"], panel["fieldConfig"]
        bare = {key: value for key, value in panel.items() if key != "fieldConfig"}
        constants.append((f"Panel<{kind}.Options>", bare))
        settings = [fields["defaults"], *(overridden(entry["properties"]) for entry in fields["overrides"])]
        constants += [(f"Field<{own[kind]}>", setting) for setting in settings]
    lines = [
        f"export const constant{number}: {name} = {json.dumps(value)};"
        for number, (name, value) in enumerate(constants)
    ]
    return "\n".join([*imports, HEAD, *lines])


def without_queries(board: dict[str, Any]) -> dict[str, Any]:
    """The dashboard's own settings; the panels are checked one by one, and a query is the datasource's affair."""
    bare = {key: value for key, value in copy.deepcopy(board).items() if key not in ("panels", "templating")}
    for annotation in bare.get("annotations", {}).get("list", []):
        del annotation["target"]
    return bare


def overridden(properties: list[dict[str, Any]]) -> dict[str, Any]:
    """The settings of an override as those of a field: `custom.show` is `show` of `custom`."""
    setting: dict[str, Any] = {}
    for entry in properties:
        *parent, name = entry["id"].split(".")
        (setting.setdefault(parent[0], {}) if parent else setting)[name] = entry["value"]
    return setting


def panel_of(kind: str) -> dict[str, Any]:
    return copy.deepcopy(next(panel for panel in PANELS if panel["type"] == kind))


def test_every_kind_of_panel_is_checked() -> None:
    assert {panel["type"] for panel in PANELS} == set(TYPES)


def test_every_panels_options_are_options_that_grafana_knows(tmp_path: Path) -> None:
    require_node()
    assert type_errors(source_of(PANELS, list(BOARDS.values())), tmp_path / "panels.ts") == ""


def test_a_misspelt_option_is_found(tmp_path: Path) -> None:
    require_node()
    heatmap, lines, table, points = (panel_of(kind) for kind in ("heatmap", "timeseries", "table", "xychart"))
    heatmap["options"]["rowsFrame"]["yBucketScales"] = heatmap["options"]["rowsFrame"].pop("yBucketScale")
    lines["fieldConfig"]["defaults"]["custom"]["lineWidht"] = 1
    table["options"]["cellHeight"] = "smal"
    points["fieldConfig"]["overrides"][0]["properties"].append({"id": "custom.shown", "value": "lines"})
    errors = type_errors(source_of([heatmap, lines, table, points], []), tmp_path / "panels.ts").splitlines()
    assert len(errors) == 4, errors
    for error, word in zip(errors, ("yBucketScales", "lineWidht", "smal", "shown"), strict=True):
        assert word in error
