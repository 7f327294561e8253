"""`liqheat study` over a database as a finished demo leaves it: what is read is what was written, and it is judged."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from typer.testing import CliRunner

from liqheat.cli.main import app, load_commands
from liqheat.domain.events import Kind
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import FatalError, Origin
from liqheat.platform.settings import Settings
from liqheat.scoring.study_moments import History
from liqheat.viewer.study_history import daily_volume, read_history, symbols
from sinks.clickhouse.rows import rows_of
from sinks.clickhouse.tables import STORED
from sinks.clickhouse.writer import ClickHouseWriter
from tests.support.sink_fakes import filled_batch
from tests.support.study_series import series

pytestmark = pytest.mark.clickhouse

START_MS = 1_767_225_600_000
END_MS = START_MS + 100 * 86_400_000


def written(history: History, settings: Settings, client: Client) -> None:
    """Write a simulated history as the services would, with a second venue that joins late and is a percent off."""
    times = (START_MS + MINUTE_MS * np.arange(len(history.close))).tolist()
    minutes: dict[str, list[dict[str, Any]]] = {"binance": [], "bybit": []}
    for place, time in enumerate(times):
        row = {"window_start": time, "model_version": 2}
        marks = {f"mark_{name}": float(getattr(history, name)[place]) for name in ("close", "high", "low")}
        longs, shorts = (round(float(usd) * 1e6) // 2 for usd in history.executed[place])
        row |= {"liquidated_long_usd": longs, "liquidated_short_usd": shorts}
        minutes["binance"].append(row | marks)
        if place >= 1_000:
            minutes["bybit"].append(row | {name: 1.01 * price for name, price in marks.items()})
    rows = history.clusters
    clusters = [
        {
            "window_start": times[rows.minute[place]],
            "cluster_id": f"cluster {rows.cluster[place]:04d}",
            "side": int(rows.side[place]),
            "state": "swept" if rows.swept[place] else "steady",
            "price_low": float(rows.low[place]),
            "price_high": float(rows.high[place]),
            "percent_of_adv": float(rows.percent_of_adv[place]),
        }
        for place in range(len(rows.cluster))
    ]
    small = {"window_start": times[5], "cluster_id": "small", "side": 1, "price_low": 0.9, "price_high": 0.95}
    batches = [
        filled_batch(Kind.MARKET_MINUTES, *of_venue, symbol=history.symbol, venue=venue)
        for venue, of_venue in minutes.items()
    ]
    batches.append(
        filled_batch(Kind.CLUSTERS, *clusters, small | {"percent_of_adv": 1.0}, symbol=history.symbol, venue="all")
    )
    judged = [{"window_start": time} for time in times]
    batches.append(filled_batch(Kind.SYMBOL_SIGNALS, *judged, symbol=history.symbol, venue="all"))
    # Another symbol, backfilled: no daily volume is known.
    for venue in ("binance", "bybit"):
        flows = [
            {"window_start": time, "mark_close": 1.0, "mark_high": 1.0, "mark_low": 1.0, "taker_buy_usd": 10**9}
            for time in times[:200]
        ]
        batches.append(filled_batch(Kind.MARKET_MINUTES, *flows, symbol="OLD", venue=venue))
    old = [
        {"window_start": times[minute], "cluster_id": "old", "side": 1, "at_risk_usd": 288_000 * 10**6}
        for minute in (10, 100, 150)
    ]
    batches.append(filled_batch(Kind.CLUSTERS, *old, symbol="OLD", venue="all"))
    writer = ClickHouseWriter(client, settings.clickhouse)
    for batch in batches:
        writer.insert(STORED[batch.kind].table.name, [rows_of(batch, Origin("test", 0, 0))])


@pytest.fixture(scope="module")
def history() -> History:
    return series(1, days=12, pull=0.15, liquidated_usd=1e6)


@pytest.fixture(scope="module")
def client(module_clickhouse: Client, module_settings: Settings, history: History) -> Client:
    written(history, module_settings, module_clickhouse)
    return module_clickhouse


@pytest.fixture
def run(client: Client, module_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call the command on the module's database."""
    load_commands()
    monkeypatch.setenv("LIQHEAT_CLICKHOUSE__DATABASE", module_settings.clickhouse.database)
    directory = Path(str(module_settings.clickhouse.data_directory)).parent
    return lambda *words: CliRunner().invoke(app, ["study", "--data-dir", str(directory), *words])


def test_a_stored_history_is_read_back_as_it_was(client: Client, history: History) -> None:
    assert symbols(client, START_MS, END_MS) == ["TAO"]
    read = read_history(client, "TAO", START_MS, END_MS, 5.0)
    assert read is not None
    assert datetime.fromtimestamp(read.start / 1_000, UTC) == datetime.fromtimestamp(START_MS / 1_000, UTC)
    for name in ("close", "high", "low", "judged"):
        np.testing.assert_array_equal(getattr(read, name), getattr(history, name))
    whole = history.executed.copy()
    whole[:1_000] /= 2
    np.testing.assert_allclose(read.executed, whole, atol=1e-5)
    # Clusters are numbered as they come.
    np.testing.assert_array_equal(read.clusters.cluster, history.clusters.cluster - 1)
    for name in ("minute", "side", "low", "high", "percent_of_adv", "swept"):
        np.testing.assert_array_equal(getattr(read.clusters, name), getattr(history.clusters, name))


def test_a_day_of_volume_is_made_up_from_the_minutes_that_are_stored() -> None:
    traded = np.full(3_000, 2.0)
    traded[1_500:] = 3.0
    traded[100:200] = np.nan
    volume = daily_volume(traded)
    assert np.isnan(volume[:59]).all()
    assert (volume[59], volume[1_499], volume[2_999]) == (2 * 1_440, 2 * 1_440, 3 * 1_440)
    # Of the day before, 1,340 minutes are stored: half an hour of 3, the rest of 2.
    assert volume[1_529] == pytest.approx((30 * 3 + 1_310 * 2) / 1_340 * 1_440)


def test_a_cluster_of_unknown_share_is_sized_by_what_was_traded(client: Client, history: History) -> None:
    read = read_history(client, "OLD", START_MS, END_MS, 5.0)
    assert read is not None
    # 1,000 USD per minute of two venues are 2.88M per day, and it holds 288,000.
    assert read.clusters.percent_of_adv == pytest.approx([0.0, 10.0, 10.0])


def test_only_the_span_asked_for_is_read(client: Client) -> None:
    start, end = START_MS + 100 * MINUTE_MS, START_MS + 200 * MINUTE_MS
    read = read_history(client, "TAO", start, end, 5.0)
    assert read is not None
    assert (read.start, len(read.close)) == (start, 100)
    assert read_history(client, "NONE", start, end, 5.0) is None


def test_the_command_answers_in_words_and_as_json(run: Any) -> None:
    spoken = run()
    assert spoken.exit_code == 0, spoken.output
    assert "Too few cases to say whether clusters attract price" in spoken.output
    assert "came near: " in spoken.output
    plain = json.loads(run("tao", "--json", "--percent", "8").stdout)
    assert plain["verdict"] == "too few cases"
    assert plain["percent_of_adv"] == 8
    assert plain["stages"]["neared"]["cases"] > 5
    assert plain["words"][0].startswith("Too few cases")


def test_a_symbol_that_is_not_stored_is_said_to_be_so(run: Any) -> None:
    result = run("WLD")
    assert isinstance(result.exception, FatalError)
    assert str(result.exception) == "Nothing is stored of WLD; known are TAO"
