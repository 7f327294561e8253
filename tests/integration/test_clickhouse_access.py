"""The users of `users.sql` on an embedded engine that holds them to their rights: what they may, and may not.

Not seen here: passwords, quotas, and which of its limits a reader may change. tests/containers has those, on a server.
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from liqheat.platform.settings import ClickHouse
from sinks.clickhouse.users import user_statements
from tests.support.clickhouse_access import (
    DATABASE,
    GRAFANA,
    READER,
    REFUSED,
    STRANGERS,
    USERS,
    VIEWS,
    WRITER,
    Case,
    allowed,
    settings_of,
    users_xml,
)
from tests.support.clickhouse_as_user import SINK
from tests.support.grafana_macros import every_query

pytestmark = pytest.mark.clickhouse

ROOT = Path(__file__).parents[2]


class Engine:
    """A data directory with the schema, opened as one user after another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        *made, views = self._run([*STRANGERS, VIEWS])
        assert [answer["refusal"] for answer in made] == [None] * len(STRANGERS)
        self.views: list[str] = views["column"]
        settings = settings_of(ClickHouse(database=DATABASE), "a-password")
        self.statements = user_statements(settings)

    def refusals(self, user: str, statements: Sequence[str], users: str | None = None) -> list[str | None]:
        """Return how each of `statements` ends for `user`, with the rights of the text `users` where it is given."""
        file = self._folder / f"{user}.xml"
        file.write_text(users or users_xml(self.statements, user))
        return [answer["refusal"] for answer in self._run(statements, str(file))]

    def _run(self, statements: Sequence[str], *arguments: str) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "tests.support.clickhouse_as_user", str(self._folder / "data"), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, input=json.dumps(statements), capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr[-2_000:]
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tmp_path_factory.mktemp("users"))


@pytest.mark.parametrize("user", USERS)
def test_a_user_can_do_what_it_is_there_for(engine: Engine, user: str) -> None:
    cases = [case for case in allowed(engine.views, every_query()) if case.user == user]
    statements = [case.statement for case in cases] + ([SINK] if user == WRITER else [])
    assert len(statements) > 10
    refused = {
        statement: refusal
        for statement, refusal in zip(statements, engine.refusals(user, statements), strict=True)
        if refusal
    }
    assert refused == {}


@pytest.mark.parametrize("user", USERS)
def test_a_user_can_do_nothing_else(engine: Engine, user: str) -> None:
    cases = [case for case in REFUSED if case.user == user]
    wrong = wrongly_answered(cases, engine.refusals(user, [case.statement for case in cases]))
    assert wrong == {}


def test_a_reader_changes_no_limit(engine: Engine) -> None:
    changes = [f"SELECT 1 SETTINGS {change}" for change in ("max_execution_time = 100000", "max_result_rows = 0")]
    for user in (READER, GRAFANA):
        assert all("READONLY" in str(refusal) for refusal in engine.refusals(user, changes))


def test_one_right_too_many_is_noticed(engine: Engine) -> None:
    """So that a pass means that the rights were asked about, and not that everything is refused."""
    generous = users_xml(engine.statements, READER).replace(
        "<grants>", "<grants><query>GRANT DROP TABLE, INSERT ON liqheat.*</query>"
    )
    generous = re.sub(r"<readonly>1</readonly>", "", generous)
    cases = [case for case in REFUSED if case.user == READER and "alerts_raw" in case.statement]
    assert set(wrongly_answered(cases, engine.refusals(READER, [case.statement for case in cases], generous))) == {
        "INSERT INTO liqheat.alerts_raw FORMAT JSONEachRow {}"
    }


def wrongly_answered(cases: Sequence[Case], refusals: Sequence[str | None]) -> dict[str, str | None]:
    """Return by statement what was answered where it was not refused, or for another reason."""
    return {
        case.statement: refusal
        for case, refusal in zip(cases, refusals, strict=True)
        if not re.search(str(case.refused), refusal or "")
    }
