"""The release built twice, in other places and time zones: the same bytes, and only what is committed."""

import json
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.compose_file import ROOT

pytestmark = pytest.mark.timeout(280)


def build(clone: Path, out: Path, **environment: str) -> dict[str, bytes]:
    done = subprocess.run(
        [str(clone / "deploy" / "release.sh"), str(out)],
        env=os.environ | {"UV": str(ROOT / ".venv" / "bin" / "uv")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "error sending request" in done.stderr and not os.environ.get("CI"):
        pytest.skip(f"needs the package registry: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return {file.name: file.read_bytes() for file in out.iterdir()}


def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    clones = [tmp_path / "one", tmp_path / "a longer path" / "two"]
    for clone in clones:
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
    # What is not committed stays out.
    (clones[1] / "liqheat" / "stray.py").write_text("stray = True\n")
    first = build(clones[0], tmp_path / "out-1", TZ="UTC")
    second = build(clones[1], tmp_path / "out-2", TZ="Asia/Tokyo", LANG="de_DE.UTF-8", HOME=str(tmp_path))
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    wheel = next(name for name in first if name.endswith(".whl"))
    names = zipfile.ZipFile(tmp_path / "out-1" / wheel).namelist()
    assert {"liqheat/local/kafka_jars.sha256", "liqheat/platform/embedded_clickhouse.xml"} <= set(names)
    assert "liqheat/stray.py" not in names
    source = next(name for name in first if name.endswith(".tar.gz"))
    with tarfile.open(tmp_path / "out-1" / source) as archive:
        assert any(name.endswith("/SECURITY.md") for name in archive.getnames())
    components = json.loads(next(first[name] for name in first if name.endswith("docker-requirements.lock.cdx.json")))
    assert {"aiohttp", "polars", "kafka-python"} <= {item["name"] for item in components["components"]}
