"""What the documents point at is there: relative links, make targets, commands with their options, settings."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from liqheat.cli import main
from liqheat.platform.settings import Settings

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", "node_modules", ".git", "build"} & set(path.relative_to(ROOT).parts)
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"(?:^|[`(;&]|\$ )make ((?:[a-z][a-z-]*[ `])+|[a-z][a-z-]*$)", re.MULTILINE)
COMMAND = re.compile(r"(?:^|[`(;&|]|\$ |\.venv/bin/)liqheat ([a-z][a-z-]*)([^`\n|]*)", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]*)")
SETTING = re.compile(r"LIQHEAT_[A-Z0-9_]+")


def names_of(documents: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in documents]


def anchors_of(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", names_of(DOCUMENTS))
def test_every_relative_link_leads_somewhere(name: str) -> None:
    document = ROOT / name
    for target in (first or second for first, second in LINK.findall(document.read_text())):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        place, _, anchor = target.partition("#")
        path = (document.parent / place).resolve() if place else document
        assert path.exists(), f"{name} links to {target}, which is not there"
        if anchor and path.suffix == ".md":
            assert anchor in anchors_of(path), f"{name} links to {target}: no such heading"


@pytest.mark.parametrize("name", names_of(DOCUMENTS))
def test_every_make_target_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for found in MAKE.findall((ROOT / name).read_text()):
        for target in found.strip("` ").split():
            assert target in targets, f"{name} says `make {target}`, which the Makefile does not have"


def group() -> TyperGroup:
    main.load_commands()
    root = typer.main.get_command(main.app)
    assert isinstance(root, TyperGroup)
    return root


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }


@pytest.mark.parametrize("name", names_of(DOCUMENTS))
def test_every_command_exists_with_the_options_that_are_shown(name: str) -> None:
    root = group()
    text = re.sub(r"\\\n\s*", " ", (ROOT / name).read_text())
    for word, rest in COMMAND.findall(text):
        command = root.commands.get(word)
        assert command is not None, f"{name} shows `liqheat {word}`, which is no command"
        known = options_of(command)
        if isinstance(command, TyperGroup):
            known |= {option for each in command.commands.values() for option in options_of(each)}
        for option in OPTION.findall(rest):
            assert option in known, f"{name} shows `liqheat {word} {option}`, which it does not take"


def variables_of(model: type, prefix: str = "LIQHEAT") -> set[str]:
    names: set[str] = set()
    for field, description in model.model_fields.items():  # type: ignore[attr-defined]
        kind = description.annotation
        full = f"{prefix}{'__' if prefix != 'LIQHEAT' else '_'}{field.upper()}"
        names.add(full)
        if hasattr(kind, "model_fields"):
            names |= variables_of(kind, full)
    return names


@pytest.mark.parametrize("name", names_of(DOCUMENTS))
def test_every_setting_that_is_named_exists(name: str) -> None:
    known = variables_of(Settings) | {"LIQHEAT_SECRETS_DIRECTORY", "LIQHEAT_REQUIRE_DOCKER"}
    for variable in SETTING.findall((ROOT / name).read_text()):
        if variable.startswith("LIQHEAT_TEST_") or variable.endswith("_"):
            continue
        assert any(variable in (each, f"{each}_FILE") for each in known), f"{name} names {variable}: no such setting"
