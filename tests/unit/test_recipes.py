"""docs/recipes.md: an alert kind costs the files that the recipe names, and docs/architecture.md has the count."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from liqheat.domain.signals import AlertKind
from liqheat.platform.settings import Signals
from processors.signals import rules
from processors.signals.alerts import ClusterRule, SideRule

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "docs/recipes.md").read_text(encoding="utf-8").partition("## An alert kind")[2].partition("\n## ")[0]
LATEST = "fragile"
SEARCHED = ("ingest", "liqheat", "processors", "sinks", "deploy/grafana/src", "deploy/grafana/queries", "tests")
WRITTEN_BY_A_COMMAND = {"docker-compose.yml", "deploy/settings.md", "sinks/README.md"}


def files_of(kind: str) -> set[str]:
    return {
        path.replace("<kind>", kind) for path in re.findall(r"^\d\. `([^`]+)`:", RECIPE, re.MULTILINE) if "/" in path
    }


def test_no_other_file_names_the_latest_kind() -> None:
    paths = [path for folder in SEARCHED for path in (ROOT / folder).rglob("*") if "node_modules" not in path.parts]
    paths = [path for path in paths if path.suffix in {".py", ".sql", ".js", ".html", ".css"}]
    naming = {path.relative_to(ROOT).as_posix() for path in paths if LATEST in path.read_text(encoding="utf-8").lower()}

    assert naming - {"tests/unit/test_recipes.py"} == files_of(LATEST)
    assert not naming & WRITTEN_BY_A_COMMAND


def test_the_documents_give_the_count() -> None:
    count = len(files_of(LATEST))
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")

    assert f"| an alert kind | {count} " in page
    assert RECIPE.lstrip().startswith({3: "Three", 4: "Four", 5: "Five"}[count])
    assert count <= 4


@pytest.mark.parametrize("kind", AlertKind)
def test_every_kind_has_its_rule_its_meaning_and_its_test(kind: AlertKind) -> None:
    assert isinstance(rules.RULES[kind], ClusterRule | SideRule)
    assert "{side}" in kind.meaning
    assert (ROOT / f"processors/signals/rules/{kind}.py").is_file()
    assert (ROOT / f"tests/unit/processors/signals/rules/test_{kind}.py").is_file()


def test_a_kind_without_its_rule_is_a_sentence() -> None:
    class Other(StrEnum):
        QUIET = "quiet"

    with pytest.raises(ImportError, match=r"alert kind .quiet. needs a module processors\.signals\.rules\.quiet"):
        rules.rule_of(Other.QUIET)


def test_every_rule_is_of_a_kind() -> None:
    modules = {path.stem for path in (ROOT / "processors/signals/rules").glob("*.py")} - {"__init__"}

    assert modules == {kind.value for kind in AlertKind}


def test_the_excerpts_are_of_the_code() -> None:
    sources = "".join((ROOT / file).read_text(encoding="utf-8") for file in files_of(LATEST))
    for block in re.findall(r"```python\n(.*?)```", RECIPE, re.DOTALL):
        for line in filter(None, map(str.strip, block.splitlines())):
            # The excerpt shortens what the module names first.
            shortened = line.replace("case.settings", "settings").replace("case.minute", "minute")
            assert line in sources or shortened in sources, line


def test_thresholds_can_be_overridden_by_symbol() -> None:
    settings = Signals(overrides={"BTC": {"fragile_percent": 1.0}})

    assert (settings.of("BTC").fragile_percent, settings.of("FET").fragile_percent) == (1.0, 3.0)
