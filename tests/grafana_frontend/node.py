"""Run Node in this folder's project; a test that cannot says why, and fails where CI is to have it."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parent


def require_node() -> None:
    """Skip where Node or the packages are missing, which with CI=true is an error."""
    if shutil.which("node") is None:
        _absent("Node is not installed")
    if not (PROJECT / "node_modules" / "@grafana" / "data").is_dir():
        _absent("Grafana's packages are not installed: run `make grafana-frontend` (needs npm)")


def axe_source() -> str:
    """Return axe-core, which judges a page's accessibility, as one script; skips where it is not installed."""
    script = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        _absent("axe-core is not installed: run `make grafana-frontend` (needs npm)")
    return script.read_text(encoding="utf-8")


def _absent(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"CI=true, but {reason}")
    pytest.skip(reason)


def display_names(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return of each frame `names` (in its order), `numeric` and `drawn` (in the heatmap panel's order)."""
    done = subprocess.run(
        ["node", "display_names.cjs"],
        cwd=PROJECT,
        input=json.dumps(frames),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def type_errors(source: str, file: Path) -> str:
    """Return what the TypeScript compiler says of `source`, written to `file`; empty where it has nothing to say."""
    file.write_text(source)
    (file.parent / "tsconfig.json").write_text(
        json.dumps({"extends": str(PROJECT / "tsconfig.json"), "files": [file.name]})
    )
    modules = file.parent / "node_modules"
    if not modules.exists():
        modules.symlink_to(PROJECT / "node_modules")
    compiler = PROJECT / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        ["node", str(compiler), "--project", str(file.parent), "--pretty", "false"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0 or done.stdout, done.stderr[-2_000:]
    return done.stdout
