"""`make test` in parts: which test is in which, and what the summary and the exit status are."""

from tests.parts import PARTS, PURE, TESTS, Tally, joined, part_of


def tally(part: str, status: int, **counts: int) -> Tally:
    return Tally(part, status, 90.0, counts)


def test_what_starts_services_is_not_among_what_only_computes() -> None:
    for file in TESTS.rglob("test_*.py"):
        folder = file.relative_to(TESTS).parts[0]
        assert part_of(file) == ("pure" if folder in PURE else "services")
    assert part_of(TESTS / "integration" / "test_broker.py") == part_of(TESTS / "e2e" / "test_demo.py") == "services"
    assert set(PARTS) == {"pure", "services"}
    assert all((TESTS / folder).is_dir() for folder in PURE)
    assert PARTS["services"][:2] == ("-n", "2"), "each process has a broker and a ClickHouse, and looks at times"


def test_the_summary_adds_the_parts_up_and_any_failure_is_one_of_all() -> None:
    failed = Tally("services", 1, 60.0, {"passed": 5, "failed": 1, "error": 1, "skipped": 2}, ["a::b", "a::c"])
    lines, status = joined([tally("pure", 0, passed=10, skipped=1), failed])
    assert lines == [
        "FAILED a::b",
        "FAILED a::c",
        "pure: 10 passed, 1 skipped in 1.5 minutes",
        "services: 5 passed, 1 failed, 1 error, 2 skipped in 1.0 minutes",
        "15 passed, 2 failed, 3 skipped",
    ]
    assert status == 1


def test_a_part_of_which_nothing_was_asked_is_no_failure_but_nothing_at_all_is() -> None:
    lines, status = joined([tally("pure", 0, passed=3), tally("services", 5)])
    assert (lines[-1], status) == ("3 passed, 0 failed, 0 skipped", 0)
    lines, status = joined([tally("pure", 5), tally("services", 5)])
    assert (lines, status) == (["No test was asked for by these arguments"], 5)


def test_a_part_that_did_not_end_says_so_and_fails_even_where_no_test_did() -> None:
    lines, status = joined([tally("pure", 2, passed=3)])
    assert lines[0] == "pure: 3 passed in 1.5 minutes, exit status 2"
    assert status == 2
    lines, status = joined([tally("pure", 0, passed=3), tally("services", -9)])
    assert lines[1] == "services: no test in 1.5 minutes, exit status -9"
    assert status != 0
