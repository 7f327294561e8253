"""The ClickHouse datasource's macros and Grafana's variables, expanded as its documentation says.

Only what the dashboards use. Lets every dashboard query run on an embedded ClickHouse in the tests.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from deploy.grafana.src.build import OUTPUT


@dataclass(frozen=True)
class Dashboard:
    """What Grafana would fill in: the time range (unix seconds), the interval, and the variables' values."""

    time_from: int
    time_to: int
    interval_seconds: int = 60
    variables: dict[str, list[str]] = field(default_factory=dict)
    everything: frozenset[str] = frozenset({"venue", "leverage_band", "basis"})
    """Variables set to "All"."""


def interpolate(sql: str, dashboard: Dashboard) -> str:
    """Return `sql` as Grafana's page sends it to its backend: variables filled in, the backend's macros left."""

    def conditional(match: re.Match[str]) -> str:
        return "1=1" if match[2] in dashboard.everything else match[1]

    sql = re.sub(r"\$__conditionalAll\((.*?), \$(\w+)\)", conditional, sql)

    def variable(match: re.Match[str]) -> str:
        values = dashboard.variables[match[1]]
        return ",".join(f"'{value}'" for value in values) if match[2] == "singlequote" else ",".join(values)

    return re.sub(r"\$\{(\w+)(?::(\w+))?\}", variable, sql)


def expand(sql: str, dashboard: Dashboard) -> str:
    """Return `sql` as the database gets it."""
    low, high = f"toDateTime({dashboard.time_from})", f"toDateTime({dashboard.time_to})"
    sql = interpolate(sql, dashboard)
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= {low} AND \1 <= {high}", sql)
    interval = dashboard.interval_seconds
    sql = re.sub(r"\$__timeInterval\((\w+)\)", rf"toStartOfInterval(toDateTime(\1), INTERVAL {interval} second)", sql)
    sql = sql.replace("$__interval_s", str(interval)).replace("$__fromTime", low).replace("$__toTime", high)
    assert "$" not in sql, f"An unknown macro is left: {sql}"
    return sql


def every_query() -> list[str]:
    """Return every query of the committed dashboards, for one hour of one symbol."""
    chosen = {"symbol": ["VIRTUAL"], "venue": ["okx"], "leverage_band": ["1-5x"], "basis": ["inferred"]}
    chosen |= {
        "span": ["10"],
        "amount": ["at_risk_usd"],
        "price_step": ["0.01"],
        "price_low": ["1"],
        "price_rows": ["20"],
    }
    hour = Dashboard(1_767_225_600, 1_767_229_200, variables=chosen)
    queries = []
    for path in sorted(OUTPUT.glob("*.json")):
        board: dict[str, Any] = json.loads(path.read_text())
        targets = [target for panel in board["panels"] for target in panel.get("targets", [])]
        targets += [
            annotation["target"]
            for annotation in board.get("annotations", {}).get("list", [])
            if "target" in annotation
        ]
        targets += [variable["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]
        queries += [expand(target["rawSql"], hour) for target in targets]
    return queries
