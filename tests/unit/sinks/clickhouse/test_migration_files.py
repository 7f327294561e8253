"""Migrations as text: how files are read, cut and filled in; no database."""

from pathlib import Path

import pytest

from liqheat.platform.errors import FatalError
from liqheat.platform.settings import ClickHouse, Settings
from liqheat.platform.sql_text import split_statements
from sinks.clickhouse.migrate import Migration, placeholders, read_migrations


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' AS a; SELECT 'it''s; \\'; fine'", ["SELECT ';' AS a", "SELECT 'it''s; \\'; fine'"]),
        ("-- one; two\nSELECT 1; -- done;\n", ["-- one; two\nSELECT 1"]),
        ('/* a; b */ SELECT `x;y`, "p;q";', ['/* a; b */ SELECT `x;y`, "p;q"']),
        (" ;; \n-- nothing\n;", []),
    ],
)
def test_only_a_semicolon_between_statements_splits(text: str, statements: list[str]) -> None:
    assert split_statements(text) == statements


def test_an_unknown_placeholder_is_refused_and_query_parameters_are_left_alone() -> None:
    values = {"database": "d"}
    assert Migration(1, "a", "SELECT {x:Int8} FROM {database}.t").statements(values) == ["SELECT {x:Int8} FROM d.t"]
    with pytest.raises(FatalError, match=r"\{databse\}"):
        Migration(1, "a", "SELECT 1 FROM {databse}.t").statements(values)


def test_misnamed_and_doubled_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("SELECT 1")
    assert [migration.number for migration in read_migrations(tmp_path)] == [1]
    (tmp_path / "0001_b.sql").write_text("SELECT 1")
    with pytest.raises(FatalError, match="number 0001: a and b"):
        read_migrations(tmp_path)
    (tmp_path / "0001_b.sql").rename(tmp_path / "2_b.sql")
    with pytest.raises(FatalError, match=r"was 2_b\.sql"):
        read_migrations(tmp_path)


def test_every_statement_can_be_run_again_and_names_the_database_and_cluster() -> None:
    settings = Settings(clickhouse=ClickHouse(database="mine", cluster="all"))
    for migration in read_migrations():
        for statement in migration.statements(placeholders(settings)):
            code = "\n".join(line for line in statement.splitlines() if not line.startswith("--"))
            first = code.split("\n")[0]
            if first.startswith("INSERT INTO mine."):
                # Rows of a keyed table, made of what is stored: the second time they replace themselves.
                assert first in ("INSERT INTO mine.heatmap_upgrade_raw", "INSERT INTO mine.market_hours_raw")
                continue
            repeatable = (
                "CREATE TABLE IF NOT EXISTS mine.",
                "CREATE OR REPLACE VIEW mine.",
                "DROP TABLE IF EXISTS mine.",
                "DROP VIEW IF EXISTS mine.",
            )
            alterations = (
                "ADD COLUMN IF NOT EXISTS",
                "DROP COLUMN IF EXISTS",
                "RENAME COLUMN IF EXISTS",
                "MODIFY",
                "COMMENT COLUMN IF EXISTS",
            )
            assert first.startswith(repeatable) or (
                first.startswith("ALTER TABLE mine.") and any(word in code for word in alterations)
            ), f"{migration.number:04d}: {first}"
            assert "ON CLUSTER 'all'" in first, f"{migration.number:04d}: {first}"
            if "ENGINE" in code:
                assert "ENGINE = Replicated" in code, f"{migration.number:04d}: {first}"
