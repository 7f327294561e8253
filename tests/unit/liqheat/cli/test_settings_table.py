"""deploy/settings.md says what the settings are now."""

from pathlib import Path

from typer.testing import CliRunner

from liqheat.cli.main import app, load_commands
from liqheat.cli.settings_table import sections, settings_page
from liqheat.domain.market import Venue
from tests.unit.deploy.test_compose import variables_of

PAGE = Path(__file__).parents[4] / "deploy" / "settings.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_page(), f"run: liqheat settings --write deploy/{PAGE.name}"


def test_every_setting_has_a_row_and_no_row_is_invented() -> None:
    from liqheat.platform.settings import Settings

    rows = [row[0] for _, _, section in sections() for row in section]
    assert len(rows) == len(set(rows))
    assert set(rows) == variables_of(Settings, "LIQHEAT_")


def test_types_and_limits_are_said_in_words() -> None:
    rows = {row[0]: row[1:] for _, _, section in sections() for row in section}
    assert rows["LIQHEAT_VENUES"][0] == "list of " + " or ".join(f"`{venue.value}`" for venue in Venue)
    assert rows["LIQHEAT_SERVICE__PORT"] == (
        "integer",
        "0",
        "port of health and metrics; 0 takes a free one; at least 0, at most 65535",
    )
    assert rows["LIQHEAT_KAFKA__SASL_PASSWORD"][:2] == ("secret", "not set")
    assert rows["LIQHEAT_INGEST__BATCH_AGE"][2].endswith("above 0")
    assert rows["LIQHEAT_WEBHOOK__SHAPE"][0] == "`generic` or `slack` or `telegram`"


def test_the_command_shows_names_but_never_values() -> None:
    load_commands()
    result = CliRunner().invoke(app, ["settings"], env={"LIQHEAT_KAFKA__SASL_PASSWORD": "hidden"})
    assert result.exit_code == 0
    assert "LIQHEAT_KAFKA__SASL_PASSWORD" in result.output
    assert "hidden" not in result.output


def test_every_setting_says_what_it_means() -> None:
    from liqheat.platform.settings import Settings

    for name, field in Settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", {})
        silent = [setting for setting, described in inner.items() if not described.description]
        assert not silent, f"{name}: {silent}"
