"""docker-compose.yml against the Compose specification, liqheat's settings and its command."""

import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError
from typer.testing import CliRunner

from deploy.compose import variables, with_lists
from liqheat.cli.main import app, load_commands
from liqheat.domain.market import Venue
from liqheat.platform.settings import Settings, load
from tests.support.compose_file import COMPOSE, OURS, ROOT, TEXT, substituted


def variables_of(model: type[BaseModel], prefix: str) -> set[str]:
    """Every environment variable that is a setting below `model`."""
    names: set[str] = set()
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names |= variables_of(kind, f"{variable}__")
        else:
            names.add(variable)
    return names


def test_the_file_is_valid_compose() -> None:
    schema = json.loads((ROOT / "tests/data/compose/compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_every_variable_is_a_setting() -> None:
    known = variables_of(Settings, "LIQHEAT_")
    for name, service in OURS.items():
        # The folder of secrets is read before any setting is.
        known.add("LIQHEAT_SECRETS_DIRECTORY")
        unknown = {variable for variable in service["environment"] if variable.startswith("LIQHEAT_")} - known
        assert not unknown, f"{name} sets {unknown}"


READ_BY = {
    "ingest": {name for name in OURS if "ingest" in name},
    **{venue.value: {name for name in OURS if name.endswith(f"ingest-{venue.value}")} for venue in Venue},
    "engine": {"worker"},
    "signals": {"worker"},
    "sink": {"sink", "schema"},
    "study": {"sink"},
    "webhook": {"alerts-webhook"},
    "catalysts": {"catalysts"},
    **{section: set(OURS) for section in ("kafka", "clickhouse", "service")},
}
"""By section of the settings, the services that read it."""
NOT_IN_COMPOSE = {
    "venues": "a container reads one venue",
    "viewer": "the page has no container here",
    "local": "demo and live start their own processes",
    "grafana": "Grafana is provisioned from files; `liqheat grafana push` runs elsewhere",
}
NOT_HANDED_ON = {
    "LIQHEAT_CLICKHOUSE__DATA_DIRECTORY": "of the embedded ClickHouse",
    "LIQHEAT_CLICKHOUSE__USERNAME": "each service has its own",
}


def test_every_section_of_the_settings_is_read_by_a_service_or_left_out_for_a_reason() -> None:
    assert set(READ_BY) | set(NOT_IN_COMPOSE) == set(Settings.model_fields)
    assert not set(READ_BY) & set(NOT_IN_COMPOSE)


@pytest.mark.parametrize("section", sorted(READ_BY))
def test_every_setting_reaches_the_services_that_read_it(section: str) -> None:
    wanted = set(variables(section)) - set(NOT_HANDED_ON)
    assert wanted
    for name in READ_BY[section]:
        missing = wanted - set(OURS[name]["environment"])
        assert not missing, f"{name} is not given {sorted(missing)}"


def test_what_the_env_file_sets_reaches_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"LIQHEAT_SIGNALS__OVERRIDES": '{"BTC": {"cluster_usd": 1e8}}', "LIQHEAT_STUDY__PERCENT": "7.5"}
    for name in ("worker", "sink"):
        for variable, value in substituted(OURS[name]["environment"], given).items():
            monkeypatch.setenv(variable, value)
    settings = Settings()
    assert settings.signals.of("BTC").cluster_usd == 1e8
    assert settings.study.percent == 7.5


def test_the_lists_are_what_make_documents_writes() -> None:
    assert with_lists(TEXT) == TEXT
    assert with_lists(TEXT.replace("  LIQHEAT_SIGNALS__OVERRIDES:\n", "")) == TEXT


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_environment_is_a_valid_configuration(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in substituted(OURS[name]["environment"]).items():
        monkeypatch.setenv(variable, value)
    try:
        Settings()
    except ValidationError as error:
        pytest.fail(f"{name}: {error}")


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_exists_with_its_options(name: str) -> None:
    load_commands()
    command = [str(word) for word in OURS[name]["command"]]
    words = [word for word in command if not word.startswith("-")]
    path = words[:2] if words[0] in {"topics", "catalyst"} else words[:1]
    result = CliRunner().invoke(app, [*path, "--help"], terminal_width=200)
    assert result.exit_code == 0, result.output
    for option in (word for word in command if word.startswith("--")):
        assert option in result.output, f"{name} uses {option}"


def test_every_service_is_hardened() -> None:
    for name, service in OURS.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "ports" not in service, name
    for name, service in COMPOSE["services"].items():
        assert "mem_limit" in service, name
        assert "healthcheck" in service, name
        assert service["restart"] in ("unless-stopped", "on-failure"), name
        tag = service["image"].rpartition(":")[2]
        assert re.fullmatch(r"\d+(\.\d+){2,3}", tag), f"{name} is not pinned exactly: {service['image']}"


def test_only_grafana_is_published_and_on_loopback() -> None:
    published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert list(published) == ["grafana"]
    assert published["grafana"][0].startswith("${GRAFANA_BIND:-127.0.0.1}:")


def test_every_password_is_a_file_that_the_script_makes(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    command = [str(ROOT / "deploy" / "make_secrets.sh"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    made = {file.name: file.read_text() for file in folder.iterdir()}
    assert {f"${{LIQHEAT_SECRETS:-./secrets}}/{name}" for name in made} == {
        secret["file"] for secret in COMPOSE["secrets"].values()
    }
    assert all(len(text) == 48 for text in made.values())
    assert len(set(made.values())) == len(made)
    assert folder.stat().st_mode & 0o777 == 0o700
    # What is there stays.
    subprocess.run(command, check=True, capture_output=True)
    assert made == {file.name: file.read_text() for file in folder.iterdir()}


def test_no_environment_holds_a_password_and_each_service_gets_only_its_own() -> None:
    assert not re.search(r"PASSWORD: (?!/run/secrets)", TEXT)
    given = {
        name: {secret if isinstance(secret, str) else secret["source"] for secret in service.get("secrets", ())}
        for name, service in COMPOSE["services"].items()
    }
    for name in OURS:
        expected = {"kafka_password"}
        if name == "sink":
            expected |= {"clickhouse_writer_password"}
        if name == "schema":
            expected = {f"clickhouse_{user}_password" for user in ("admin", "writer", "reader", "grafana")}
        assert given[name] == expected, name
    assert given["kafka"] == {"kafka_password"}
    assert given["clickhouse"] == {"clickhouse_admin_password"}
    assert given["grafana"] == {"grafana_admin_password", "clickhouse_grafana_password"}


def test_secrets_have_the_names_of_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name.lower() for name in variables_of(Settings, "LIQHEAT_")}
    for service in OURS.values():
        for secret in service["secrets"]:
            assert secret["target"] in known
    (tmp_path / "liqheat_kafka__sasl_password").write_text("of Kafka")
    (tmp_path / "liqheat_clickhouse__password").write_text("of the writer")
    monkeypatch.setenv("LIQHEAT_SECRETS_DIRECTORY", str(tmp_path))
    for variable, value in substituted(OURS["sink"]["environment"]).items():
        if variable != "LIQHEAT_SECRETS_DIRECTORY":
            monkeypatch.setenv(variable, value)
    loaded = load()
    assert loaded.kafka.sasl_password is not None
    assert loaded.kafka.sasl_password.get_secret_value() == "of Kafka"
    assert loaded.clickhouse.password is not None
    assert loaded.clickhouse.password.get_secret_value() == "of the writer"


def test_only_what_speaks_to_the_world_can_reach_it() -> None:
    networks = COMPOSE["networks"]
    assert networks["pipeline"]["internal"]
    assert networks["dashboards"]["internal"]
    outside = {name for name, service in COMPOSE["services"].items() if "outside" in service["networks"]}
    ingests = {f"ingest-{venue.value}" for venue in Venue if f"ingest-{venue.value}" in OURS}
    assert outside == ingests | {"alerts-webhook", "catalysts", "grafana"}


def test_the_image_runs_as_a_user_without_rights() -> None:
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text()
    last_stage = dockerfile.rpartition("\nFROM ")[2]
    assert re.search(r"^USER liqheat$", last_stage, re.MULTILINE)
