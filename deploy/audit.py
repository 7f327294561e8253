"""Known vulnerabilities of the locked packages, by pip-audit; run as `python -m deploy.audit` (`make audit`).

Exit status 1 where a locked version has a known one. Where the index that is reached offers no vulnerability data, it
says so for each lock file, since silence would look like a clean bill; `--strict` makes that an error too.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = (ROOT / "requirements.lock", ROOT / "deploy" / "docker" / "requirements.lock")
PIP_AUDIT = "pip-audit==2.10.1"
_SECONDS = 300


def judged(report: Mapping[str, Any]) -> tuple[list[str], int, int]:
    """Return a line for each vulnerability of a pip-audit report, how many packages were audited, and how many not."""
    dependencies: Sequence[Mapping[str, Any]] = report["dependencies"]
    lines = [
        f"{item['name']} {item['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'no release'}"
        for item in dependencies
        for found in item.get("vulns", ())
    ]
    skipped = sum("skip_reason" in item for item in dependencies)
    return lines, len(dependencies) - skipped, skipped


def audit(lock: Path) -> Mapping[str, Any]:
    """Run pip-audit on a lock file; return its report.

    Raises:
        RuntimeError: it could not run; with its own words.
    """
    command = [str(Path(sys.executable).parent / "uv"), "tool", "run", "--quiet", "--from", PIP_AUDIT, "pip-audit"]
    command += ["--requirement", str(lock), "--disable-pip", "--require-hashes", "--format=json"]
    command += ["--progress-spinner=off"]
    done = subprocess.run(  # noqa: S603 - built above
        command, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    try:
        report: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise RuntimeError(f"pip-audit did not run: {done.stderr.strip()[-400:]}") from error
    return report


def main() -> int:
    """Audit both lock files; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strict", action="store_true", help="fail where packages could not be audited")
    strict = parser.parse_args().strict
    status = 0
    for lock in LOCKS:
        name = lock.relative_to(ROOT)
        try:
            lines, audited, skipped = judged(audit(lock))
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            sys.stderr.write(f"{name}: {error}\n")
            status |= strict
            continue
        for line in lines:
            sys.stdout.write(f"{name}: {line}\n")
        sys.stdout.write(
            f"{name}: {audited} packages audited, {skipped} without data here, {len(lines)} known faults\n"
        )
        status |= bool(lines) or (strict and bool(skipped))
    return int(status)


if __name__ == "__main__":
    raise SystemExit(main())
