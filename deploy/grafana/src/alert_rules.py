"""Grafana's alert rules: one for each kind of market alert, and three for the pipeline itself.

Rules run in Grafana's backend, which knows no variables and no macro of the browser ($__conditionalAll). A query
returns one number per row; its columns of text become labels, so that each symbol and side is an alert of its own.
"""

from dataclasses import dataclass, field
from typing import Any

import yaml

from deploy.grafana.src.limits import BEHIND_ALARM_SECONDS, BEHIND_WARNING_SECONDS, DEAD_LETTERS_ALLOWED
from deploy.grafana.src.panels import read_sql
from liqheat.domain.signals import AlertKind

DATASOURCE_UID = "liqheat-clickhouse"
_HEADER = "# Generated from deploy/grafana/src/alert_rules.py by `make dashboards`; change it there.\n"

KINDS = {kind.value: kind.meaning for kind in AlertKind}
"""What each kind of market alert says; the numbers are in the view `alerts`, in its column `message`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: it fires for each row of `query` whose number is above `limit`, over the last `seconds`."""

    uid: str
    title: str
    summary: str
    query: str
    limit: float
    seconds: int
    severity: str
    wait: str = "0m"
    """How long the number must stay above the limit."""
    no_data: str = "OK"
    replacements: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the rule as Grafana's provisioning reads it."""
        model = {
            "refId": "A",
            "editorType": "sql",
            "queryType": "table",
            "format": 1,
            "rawSql": read_sql(f"rules/{self.query}", **self.replacements),
        }
        threshold = {
            "refId": "C",
            "type": "threshold",
            "expression": "A",
            "conditions": [{"evaluator": {"type": "gt", "params": [self.limit]}}],
        }
        return {
            "uid": self.uid,
            "title": self.title,
            "condition": "C",
            "for": self.wait,
            "noDataState": self.no_data,
            "execErrState": "Error",
            "annotations": {"summary": self.summary},
            "labels": {"severity": self.severity},
            "data": [
                {
                    "refId": "A",
                    "datasourceUid": DATASOURCE_UID,
                    "relativeTimeRange": {"from": self.seconds, "to": 0},
                    "model": model,
                },
                {"refId": "C", "datasourceUid": "__expr__", "model": threshold},
            ],
        }


def pipeline_rules() -> list[Rule]:
    """Return the rules that say whether what is shown can be relied on."""
    return [
        Rule(
            "liqheat-stale",
            "Heatmap stale",
            f"No venue has written a minute for over {BEHIND_ALARM_SECONDS} s.",
            "stale",
            BEHIND_ALARM_SECONDS,
            3_600,
            "page",
            "3m",
            "Alerting",
        ),
        Rule(
            "liqheat-lag",
            "Venue behind",
            f"{{{{ .Labels.venue }}}} has written no minute for over {BEHIND_WARNING_SECONDS} s; see Pipeline health.",
            "lag",
            BEHIND_WARNING_SECONDS,
            86_400,
            "ticket",
            "5m",
        ),
        Rule(
            "liqheat-dead-letters",
            "Dead letters",
            "Messages could not be read in the stage {{ .Labels.stage }} in the last 15 minutes; see Pipeline health.",
            "dead_letters",
            DEAD_LETTERS_ALLOWED,
            900,
            "ticket",
        ),
    ]


def market_rules() -> list[Rule]:
    """Return a rule for each kind of market alert; five minutes back, so that one that came late is not missed."""
    return [
        Rule(
            f"liqheat-market-{kind}",
            f"Liquidations: {kind}",
            # Not $labels: what provisioning reads has its dollar signs replaced from the environment.
            "{{ .Labels.symbol }}: " + text.replace("{side}", "{{ .Labels.side }}") + ".",
            "alerts",
            0,
            300,
            "info",
            replacements={"kind": kind},
        )
        for kind, text in KINDS.items()
    ]


def generate() -> str:
    """Return the provisioning file's text."""
    groups = [
        {
            "orgId": 1,
            "name": name,
            "folder": "liquidations",
            "interval": "1m",
            "rules": [rule.as_json() for rule in rules],
        }
        for name, rules in (("pipeline", pipeline_rules()), ("market", market_rules()))
    ]
    return _HEADER + yaml.dump({"apiVersion": 1, "groups": groups}, Dumper=_Readable, sort_keys=False, width=120)


class _Readable(yaml.SafeDumper):
    """Writes text of several lines as a block."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)
