"""The walls of the house: who may import whom, and how long a module or a function may be.

Ground: `liqheat/domain` and `liqheat/platform`, which every stage shares. Roof: the rest of `liqheat`. Only
`liqheat/cli` imports stages.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = {"ingest", "processors", "sinks"}
GROUND = ("domain", "platform")
ROOF = ("local", "scoring", "simulator", "viewer")
EDGES = {"asyncio", "socket", "time", "random", "kafka", "faust", "aiohttp", "logging", "structlog", "threading"}
LONGEST_MODULE = 350
LONGEST_FUNCTION = 60


def imported_packages(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def modules_of(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts)


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_imports_no_other_stage_and_of_liqheat_only_domain_and_platform(stage: str) -> None:
    for path in modules_of(stage):
        for name in imported_packages(path):
            top = name.split(".")[0]
            assert top not in STAGES - {stage}, f"{path} imports {name}"
            if top == "liqheat":
                assert name.split(".")[1] in GROUND, f"{path} imports {name}"


@pytest.mark.parametrize("folder", [*GROUND, *ROOF])
def test_only_the_command_imports_stages(folder: str) -> None:
    for path in modules_of(f"liqheat/{folder}"):
        names = imported_packages(path)
        assert not {name.split(".")[0] for name in names} & STAGES, path
        assert not any(name.startswith("liqheat.cli") for name in names), path


def test_every_package_of_liqheat_is_ground_roof_or_the_command() -> None:
    packages = {path.parent.name for path in (ROOT / "liqheat").glob("*/__init__.py")}

    assert packages == {*GROUND, *ROOF, "cli"}


@pytest.mark.parametrize("folder", GROUND)
def test_the_ground_imports_no_roof(folder: str) -> None:
    for path in modules_of(f"liqheat/{folder}"):
        for name in imported_packages(path):
            assert not name.startswith(tuple(f"liqheat.{roof}" for roof in ROOF)), f"{path} imports {name}"


def test_the_domain_is_pure() -> None:
    for path in modules_of("liqheat/domain"):
        names = imported_packages(path)
        assert not {name.split(".")[0] for name in names} & EDGES, path
        assert not any(name.startswith("liqheat.platform") for name in names), path


@pytest.mark.parametrize("folder", ["processors/positions", "processors/heatmap", "processors/signals"])
def test_the_engine_knows_no_clock_socket_or_faust(folder: str) -> None:
    for path in modules_of(folder):
        names = imported_packages(path)
        assert not {name.split(".")[0] for name in names} & EDGES, path
        assert not any(name.startswith("processors.worker") for name in names), path


def test_the_rooms_of_the_processors_import_only_downwards() -> None:
    below = {"positions": set(), "heatmap": {"positions"}, "signals": {"heatmap"}}
    for room, allowed in below.items():
        for path in modules_of(f"processors/{room}"):
            rooms = {name.split(".")[1] for name in imported_packages(path) if name.startswith("processors.")}
            assert rooms <= {room, *allowed}, f"{path} imports {rooms - {room, *allowed}}"


@pytest.mark.parametrize("folder", ["liqheat", "ingest", "processors", "sinks", "deploy", "tests"])
def test_modules_have_a_docstring_and_at_most_350_lines(folder: str) -> None:
    for path in modules_of(folder):
        source = path.read_text()
        if not source.strip():
            continue
        name = str(path.relative_to(ROOT))
        assert ast.get_docstring(ast.parse(source)), f"{name} has no module docstring"
        assert len(source.splitlines()) <= LONGEST_MODULE, f"{name} is too long: split it"


@pytest.mark.parametrize("folder", ["liqheat", "ingest", "processors", "sinks", "deploy", "tests"])
def test_functions_have_at_most_60_lines(folder: str) -> None:
    for path in modules_of(folder):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                name = f"{path.relative_to(ROOT)}:{node.name}"
                lines = node.end_lineno - node.lineno + 1
                assert lines <= LONGEST_FUNCTION, f"{name} has {lines} lines: split it"
