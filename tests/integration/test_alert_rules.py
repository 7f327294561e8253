"""Grafana's alert rules on the migrated schema, judged as its backend judges a table: numbers with labels."""

import re
import time
from typing import Any

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from deploy.grafana.src.alert_rules import KINDS
from deploy.grafana.src.build import RULES
from deploy.grafana.src.limits import BEHIND_ALARM_SECONDS, BEHIND_WARNING_SECONDS
from liqheat.domain.events import Kind
from liqheat.domain.signals import AlertKind
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import Origin
from liqheat.platform.settings import Settings
from sinks.clickhouse.rows import hours_of_minutes, rows_of
from sinks.clickhouse.tables import STORED
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.grafana_macros import Dashboard, expand
from tests.support.sink_fakes import filled_batch

pytestmark = pytest.mark.clickhouse
# These tests write rows only, so that one schema serves them all.
clickhouse = pytest.fixture(lambda shared_clickhouse: shared_clickhouse)
settings = pytest.fixture(lambda module_settings: module_settings)

Rule = dict[str, Any]
RULE_OF: dict[str, Rule] = {
    rule["uid"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
MARKET = {kind: f"liqheat-market-{kind}" for kind in KINDS}


def firing(client: Client, rule: Rule) -> list[dict[str, str]]:
    """Return the labels of each instance of the rule that is above its limit."""
    query, threshold = rule["data"]
    now = int(time.time())
    span = query["relativeTimeRange"]
    result = client.query(expand(query["model"]["rawSql"], Dashboard(now - span["from"], now - span["to"])))
    assert query["model"]["format"] == 1
    (condition,) = threshold["model"]["conditions"]
    assert condition["evaluator"]["type"] == "gt"
    found, seen = [], set()
    for row in result.result_rows:
        numbers = [value for value in row if isinstance(value, float)]
        labels = {
            name: value for name, value in zip(result.column_names, row, strict=True) if not isinstance(value, float)
        }
        assert len(numbers) == 1, "the backend takes tables with one number column"
        assert all(isinstance(value, str) for value in labels.values())
        assert tuple(labels.items()) not in seen, "the backend refuses the same labels twice"
        seen.add(tuple(labels.items()))
        if numbers[0] > condition["evaluator"]["params"][0]:
            found.append(labels)
    # What the message says of an instance must be there to say.
    assert all(set(re.findall(r"\.Labels\.(\w+)", rule["annotations"]["summary"])) <= set(each) for each in found)
    return found


def write(client: Client, settings: Settings, kind: Kind, row: dict[str, object], symbol: str, venue: str) -> None:
    batch = filled_batch(kind, row, symbol=symbol, venue=venue)
    writer, rows = ClickHouseWriter(client, settings.clickhouse), rows_of(batch, Origin("log", 0, 0))
    writer.insert(STORED[kind].table.name, [rows])
    if kind is Kind.MARKET_MINUTES:
        writer.insert("market_hours_raw", [hours_of_minutes(rows)])


def alert(client: Client, settings: Settings, kind: str, side: int, symbol: str, seconds_ago: int, name: str) -> None:
    moment = (int(time.time()) - seconds_ago) * 1_000
    row: dict[str, object] = {"event_time": moment, "alert_id": name, "kind": kind, "side": side, "message": "said"}
    write(client, settings, Kind.ALERTS, row, symbol, "all")


def minute(client: Client, settings: Settings, venue: str, seconds_ago: int) -> None:
    """Write the minute that ended `seconds_ago`, for that is when a venue was last heard of."""
    start = int(time.time() * 1_000) - seconds_ago * 1_000 - MINUTE_MS
    write(client, settings, Kind.MARKET_MINUTES, {"window_start": start}, "TAO", venue)


def test_there_is_a_rule_for_each_kind_of_alert_and_the_dictionary_names_them_all(clickhouse: Client) -> None:
    (comment,) = clickhouse.query(
        "SELECT comment FROM system.columns WHERE database = currentDatabase() AND table = 'alerts' AND name = 'kind'"
    ).result_rows[0]
    assert set(re.findall(r"\w+", comment)) - {"or"} == set(AlertKind)
    assert set(KINDS) == set(AlertKind)
    assert set(RULE_OF) == {"liqheat-stale", "liqheat-lag", "liqheat-dead-letters", *MARKET.values()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_market_rule_fires_for_its_own_kind_by_symbol_and_side(
    clickhouse: Client, settings: Settings, kind: str
) -> None:
    alert(clickhouse, settings, kind, 1, "TAO", 30, "first")
    alert(clickhouse, settings, kind, 1, "TAO", 20, "second")
    alert(clickhouse, settings, kind, -1, "FET", 20, "third")
    # Sent an hour ago, and by now no news.
    alert(clickhouse, settings, kind, 1, "WLD", 3_600, "fourth")
    assert firing(clickhouse, RULE_OF[MARKET[kind]]) == [
        {"symbol": "FET", "side": "short"},
        {"symbol": "TAO", "side": "long"},
    ]
    others = [uid for other, uid in MARKET.items() if other != kind]
    assert [firing(clickhouse, RULE_OF[uid]) for uid in others] == [[]] * (len(AlertKind) - 1)


def test_a_silent_pipeline_is_stale_and_a_live_one_is_not(clickhouse: Client, settings: Settings) -> None:
    stale = RULE_OF["liqheat-stale"]
    assert firing(clickhouse, stale) == [{}], "nothing was ever written"
    minute(clickhouse, settings, "okx", BEHIND_ALARM_SECONDS + 30)
    assert firing(clickhouse, stale) == [{}]
    minute(clickhouse, settings, "bybit", 10)
    assert firing(clickhouse, stale) == []
    assert stale["noDataState"] == "Alerting"


def test_a_minute_ahead_of_the_clock_keeps_no_alert_down(clickhouse: Client, settings: Settings) -> None:
    """A broken clock wrote one minute of tomorrow: the pipeline that stopped is stale all the same, its venue lags."""
    minute(clickhouse, settings, "okx", BEHIND_ALARM_SECONDS + 30)
    minute(clickhouse, settings, "okx", -86_400)
    assert firing(clickhouse, RULE_OF["liqheat-stale"]) == [{}]
    assert firing(clickhouse, RULE_OF["liqheat-lag"]) == [{"venue": "okx"}]


def test_one_venue_that_lags_is_named(clickhouse: Client, settings: Settings) -> None:
    lag = RULE_OF["liqheat-lag"]
    assert firing(clickhouse, lag) == []
    minute(clickhouse, settings, "okx", BEHIND_WARNING_SECONDS + 60)
    minute(clickhouse, settings, "bybit", 10)
    assert firing(clickhouse, lag) == [{"venue": "okx"}]


def test_dead_letters_are_reported_by_stage(clickhouse: Client) -> None:
    letters = RULE_OF["liqheat-dead-letters"]
    assert firing(clickhouse, letters) == []
    clickhouse.command(
        "INSERT INTO dead_letters_raw (received_at, stage, reason) "
        "SELECT now64(3) - toIntervalSecond(5 + 3600 * number), ['sink', 'ingest'][number + 1], 'unreadable' "
        "FROM numbers(2)"
    )
    assert firing(clickhouse, letters) == [{"stage": "sink"}]
