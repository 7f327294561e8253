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
from liqheat.domain.windows import MINUTE_MS
from liqheat.platform.errors import FatalError
from liqheat.platform.settings import Settings
from liqheat.scoring.study_moments import History
from liqheat.viewer.study_history import daily_volume, read_history, symbols
from tests.support.study_series import series
from tests.support.study_tables import END_MS, START_MS, write_history

pytestmark = pytest.mark.clickhouse


@pytest.fixture(scope="module")
def history() -> History:
    return series(1, days=12, pull=0.15, liquidated_usd=1e6)


@pytest.fixture(scope="module")
def client(module_clickhouse: Client, module_settings: Settings, history: History) -> Client:
    write_history(history, module_settings, module_clickhouse)
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


def test_what_counts_is_as_the_settings_say_unless_it_is_asked_otherwise(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIQHEAT_STUDY__PERCENT", "8")
    monkeypatch.setenv("LIQHEAT_STUDY__NEAR", "2")
    by_settings, asked = (json.loads(run("--json", *words).stdout) for words in ((), ("--near", "1.5")))
    assert (by_settings["percent_of_adv"], by_settings["near_percent"]) == (8, 2)
    assert (asked["percent_of_adv"], asked["near_percent"]) == (8, 1.5)


def test_a_symbol_that_is_not_stored_is_said_to_be_so(run: Any) -> None:
    result = run("WLD")
    assert isinstance(result.exception, FatalError)
    assert str(result.exception) == "Nothing is stored of WLD; known are TAO"
