"""docker-compose.yml against the Compose specification, liqheat's settings and its command."""

import json
import re

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError
from typer.testing import CliRunner

from liqheat.cli.main import app, load_commands
from liqheat.platform.settings import Settings
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
        unknown = {variable for variable in service["environment"] if variable.startswith("LIQHEAT_")} - known
        assert not unknown, f"{name} sets {unknown}"


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
        assert re.match(r"^\d+\.\d+", tag), f"{name} is not pinned: {service['image']}"


def test_only_grafana_is_published_and_on_loopback() -> None:
    published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert list(published) == ["grafana"]
    assert published["grafana"][0].startswith("${GRAFANA_BIND:-127.0.0.1}:")


def test_a_start_without_passwords_is_refused() -> None:
    passwords = set(re.findall(r"\$\{(\w+PASSWORD)[^}]*\}", TEXT))
    assert passwords == set(re.findall(r"\$\{(\w+PASSWORD):\?[^}]+\}", TEXT))
    example = (ROOT / ".env.example").read_text()
    assert all(re.search(rf"^{name}=$", example, re.MULTILINE) for name in passwords)


def test_the_image_runs_as_a_user_without_rights() -> None:
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text()
    last_stage = dockerfile.rpartition("\nFROM ")[2]
    assert re.search(r"^USER liqheat$", last_stage, re.MULTILINE)
