"""A part of `make test` as the run of pytest that it is."""

from pathlib import Path

import pytest

from tests.parts import run


@pytest.mark.parametrize(("part", "passed", "status"), [("services", 0, 5), ("pure", 1, 0)])
def test_a_part_runs_its_own_tests_of_those_asked_for(tmp_path: Path, part: str, passed: int, status: int) -> None:
    asked = "tests/unit/test_parts.py::test_what_starts_services_is_not_among_what_only_computes"
    ended = run(part, ["-n0", "-q", asked], tmp_path)
    assert (ended.status, ended.counts["passed"], list(ended.failures)) == (status, passed, [])
