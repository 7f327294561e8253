"""The generated dashboards: current, whole, and without the mistakes that Grafana forgives silently."""

import json
import re
from typing import Any

import pytest
import yaml

from deploy.grafana.src.build import OUTPUT, RULES, generate, outputs
from liqheat.domain.signals import AlertKind

FILES = sorted(OUTPUT.glob("*.json"))
BOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in FILES}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def test_the_committed_files_are_what_the_sources_give() -> None:
    texts = generate()
    assert {path.name for path in FILES} == set(texts)
    for path in FILES:
        assert path.read_text() == texts[path.name], f"{path.name} is stale: run `make dashboards`"
    assert outputs()[RULES] == RULES.read_text(), "the alert rules are stale: run `make dashboards`"


def test_every_dashboard_has_a_uid_of_its_own() -> None:
    uids = [board["uid"] for board in BOARDS.values()]
    assert len(set(uids)) == len(uids) == 3


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_every_panel_says_what_it_shows_in_which_unit(name: str) -> None:
    board = BOARDS[name]
    assert board["title"]
    assert board["description"]
    for panel in panels(board):
        assert panel["title"], name
        assert len(panel["description"]) > 30, panel["title"]
        unit = panel["fieldConfig"]["defaults"].get("unit") or panel["options"].get("cellValues", {}).get("unit")
        assert unit, panel["title"]


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_no_datasource_is_fixed_and_every_target_has_its_format(name: str) -> None:
    for panel in panels(BOARDS[name]):
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert target["format"] in (0, 1)
            assert target["rawSql"]
    for variable in BOARDS[name]["templating"]["list"]:
        if variable["type"] == "query":
            assert variable["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_no_panels_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(BOARDS[name]):
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_maps_draw_a_true_price_axis_from_lower_edges() -> None:
    maps = [panel for panel in panels(BOARDS["liquidation_heatmap"]) if panel["type"] == "heatmap"]
    assert [panel["title"] for panel in maps] == ["Long liquidations", "Short liquidations"]
    for panel in maps:
        assert panel["options"]["calculate"] is False
        assert panel["options"]["rowsFrame"] == {
            "layout": "ge",
            "value": "notional",
            "yBucketScale": {"type": "linear"},
        }


def test_alert_rules_use_nothing_that_only_the_browser_knows_and_no_variable_of_the_environment() -> None:
    text = RULES.read_text()
    assert set(re.findall(r"\$\S*", text)) == {
        "$__timeFilter(window_start)",
        "$__timeFilter(received_at)",
        "$__timeFilter(event_time)",
    }


def test_every_alert_rule_is_known_by_one_uid_and_asks_the_provisioned_datasource() -> None:
    provisioning = RULES.parents[1]
    (source,) = yaml.safe_load((provisioning / "datasources" / "clickhouse.yaml").read_text())["datasources"]
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert len({rule["uid"] for rule in rules}) == len(rules) == 3 + len(AlertKind)
    assert len({rule["title"] for rule in rules}) == len(rules)
    for rule in rules:
        query, threshold = rule["data"]
        assert query["datasourceUid"] == source["uid"]
        assert rule["condition"] == threshold["refId"] == threshold["model"]["refId"]
        assert threshold["model"]["expression"] == query["refId"] == query["model"]["refId"]
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"page", "ticket", "info"}
