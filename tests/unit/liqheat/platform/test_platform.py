"""Settings, health, logging and topics: what an operator meets first."""

import json
from pathlib import Path

import pytest

from liqheat.platform import logging as liqheat_logging
from liqheat.platform import settings
from liqheat.platform.errors import ConfigurationError, Origin, PoisonMessage, SequenceGap
from liqheat.platform.kafka import client_settings
from liqheat.platform.topics import Topic


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIQHEAT_KAFKA__BOOTSTRAP_SERVERS", "one:1,two:2")
    monkeypatch.setenv("LIQHEAT_INGEST__SYMBOLS", '["TAO", "WLD"]')
    loaded = settings.load()
    assert client_settings(loaded.kafka)["bootstrap_servers"] == ["one:1", "two:2"]
    assert loaded.ingest.symbols == ("TAO", "WLD")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LIQHEAT_KAFKA__PARTITIONS", "0"),
        ("LIQHEAT_KAFKA__SECURITY_PROTOCOL", "HOPE"),
        ("LIQHEAT_ENGINE__GRID_FACTOR", "3"),
        ("LIQHEAT_CLICKHOUSE__DATABASE", "x; DROP"),
        ("LIQHEAT_INGEST__BACKFILL", "yesterday"),
    ],
)
def test_a_wrong_setting_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=variable):
        settings.load()


def test_a_misspelt_setting_of_a_section_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIQHEAT_KAFKA__BOOTSTRAP_SERVER", "one:1")
    with pytest.raises(ConfigurationError, match="LIQHEAT_KAFKA__BOOTSTRAP_SERVER"):
        settings.load()


def test_secrets_come_from_files_and_never_show(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "liqheat_clickhouse__password").write_text("hunter2")
    monkeypatch.setenv("LIQHEAT_SECRETS_DIRECTORY", str(tmp_path))
    loaded = settings.load()
    assert loaded.clickhouse.password is not None
    assert loaded.clickhouse.password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(loaded) + loaded.model_dump_json()


def test_a_secrets_folder_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIQHEAT_SECRETS_DIRECTORY", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="no folder"):
        settings.load()


def test_sasl_without_a_password_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="SASL_PASSWORD"):
        client_settings(settings.Kafka(sasl_mechanism="PLAIN"))


def test_logs_are_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    import structlog

    liqheat_logging.configure("info", "json")
    structlog.get_logger().info("started", service="ingest")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["service"], line["level"]) == ("started", "ingest", "info")
    with pytest.raises(ConfigurationError, match="log level"):
        liqheat_logging.configure("loud")


def test_topics_that_share_a_key_share_their_partition_count() -> None:
    keyed = [topic for topic in Topic if topic.value.key == "symbol" and topic.value.partitions is None]
    assert {Topic.POSITION_EVENTS, Topic.HEATMAP_BUCKETS, Topic.ENGINE_STATE} <= set(keyed)
    assert {topic.partitions(12) for topic in keyed} == {12}
    assert Topic.ENGINE_STATE.configuration()["cleanup.policy"] == "compact"
    assert {topic.configuration()["compression.type"] for topic in Topic} == {"lz4"}


def test_errors_carry_what_their_fate_needs() -> None:
    poison = PoisonMessage("The message is empty", Origin("position-events", 3, 41))
    assert str(poison) == "The message is empty (position-events[3]@41)"
    assert SequenceGap("btcusdt@aggTrade", 5, 9).missing == 3
