"""How a report of pip-audit is judged."""

from deploy.audit import judged


def test_known_faults_are_named_and_packages_without_data_counted() -> None:
    report = {
        "dependencies": [
            {"name": "aiohttp", "version": "3.9.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.9.2"]}]},
            {"name": "lz4", "version": "4.4.0", "vulns": []},
            {"name": "numpy", "skip_reason": "Dependency not found on PyPI"},
        ]
    }
    assert judged(report) == (["aiohttp 3.9.0: PYSEC-1, fixed in 3.9.2"], 2, 1)
