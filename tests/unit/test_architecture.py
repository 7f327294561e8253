"""The walls of the house: who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = {"ingest", "processors", "sinks"}


def imported_packages(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def modules_of(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_imports_no_other_stage_and_of_liqheat_only_domain_and_platform(stage: str) -> None:
    for path in modules_of(stage):
        for name in imported_packages(path):
            top = name.split(".")[0]
            assert top not in STAGES - {stage}, f"{path} imports {name}"
            if top == "liqheat":
                assert name.split(".")[1] in ("domain", "platform"), f"{path} imports {name}"


@pytest.mark.parametrize("folder", ["liqheat/domain", "liqheat/platform", "liqheat/simulator", "liqheat/viewer"])
def test_what_is_shared_imports_no_stage(folder: str) -> None:
    for path in modules_of(folder):
        assert not {name.split(".")[0] for name in imported_packages(path)} & STAGES, path


def test_the_domain_is_pure() -> None:
    edges = {"asyncio", "socket", "time", "random", "kafka", "faust", "aiohttp", "logging", "structlog", "threading"}
    for path in modules_of("liqheat/domain"):
        names = imported_packages(path)
        assert not {name.split(".")[0] for name in names} & edges, path
        assert not any(name.startswith("liqheat.platform") for name in names), path


@pytest.mark.parametrize("folder", ["processors/positions", "processors/heatmap", "processors/signals"])
def test_the_engine_knows_no_clock_socket_or_faust(folder: str) -> None:
    edges = {"asyncio", "socket", "time", "random", "kafka", "faust", "aiohttp", "logging", "structlog", "threading"}
    for path in modules_of(folder):
        assert not {name.split(".")[0] for name in imported_packages(path)} & edges, path


@pytest.mark.parametrize("folder", ["liqheat", "ingest", "processors", "sinks", "tests"])
def test_modules_say_where_they_stand_and_stay_readable(folder: str) -> None:
    for path in modules_of(folder):
        source = path.read_text()
        if not source.strip():
            continue
        assert ast.get_docstring(ast.parse(source)), f"{path} has no module docstring"
        assert len(source.splitlines()) <= 450, f"{path} is too long to read in one sitting"
