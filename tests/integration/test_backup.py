"""Backup and restore rehearsed on embedded ClickHouse: `BACKUP DATABASE`, a lost database, `RESTORE`, and the sink
goes on.

Embedded ClickHouse reads the folder that backups may go to from a configuration file when it starts, so the rehearsal
runs in a process of its own, as on a server whose `backups.allowed_path` is set (deploy/README.md).
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.clickhouse

ROOT = Path(__file__).parents[2]


def test_a_database_comes_back_from_its_backup_and_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.backup_rehearsal", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2_000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["before"] == report["restored"]
    assert report["before"]["heatmap"] == [3, 3]
    assert report["pending"] == 0
    assert report["after"]["heatmap"] == [4, 4]
