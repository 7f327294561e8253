"""The ClickHouse datasource's macros and Grafana's variables, expanded as its documentation says.

Only what the dashboards use. Lets every dashboard query run on an embedded ClickHouse in the tests.
"""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Dashboard:
    """What Grafana would fill in: the time range (unix seconds), the interval, and the variables' values."""

    time_from: int
    time_to: int
    interval_seconds: int = 60
    variables: dict[str, list[str]] = field(default_factory=dict)
    everything: frozenset[str] = frozenset({"venue", "leverage_band", "basis"})
    """Variables that stand on "All"."""


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
