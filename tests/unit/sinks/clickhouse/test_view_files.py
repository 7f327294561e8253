"""Views as files: how they are read and ordered; no database."""

from pathlib import Path

import pytest

from liqheat.platform.errors import FatalError
from sinks.clickhouse.views import read_view, read_views

VIEW = """-- What it is,
-- in two lines.
SELECT
    a, -- First
    if(b > 1, 'x, y', NULL) AS c -- Second -- with dashes
FROM
(
    SELECT a, b -- not a meaning
    FROM {database}.other
)
"""


def test_a_view_is_its_comment_its_columns_with_meanings_and_its_query(tmp_path: Path) -> None:
    file = tmp_path / "one.sql"
    file.write_text(VIEW)
    view = read_view(file)
    assert (view.name, view.description) == ("one", "What it is, in two lines.")
    assert view.meanings == ("First", "Second -- with dashes")
    assert view.reads == {"other"}
    assert "--" not in view.query


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (VIEW.replace(" -- First", ""), "'a,'"),
        (VIEW.removeprefix("-- What it is,\n-- in two lines.\n"), "a comment, a line SELECT"),
        (VIEW.replace("FROM\n(", "  FROM ("), "a line that begins FROM|meaning after"),
    ],
)
def test_a_file_that_is_no_view_is_refused_with_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "one.sql").write_text(text)
    with pytest.raises(FatalError, match=sentence):
        read_views(tmp_path)


def test_a_view_comes_after_those_that_it_reads_and_a_circle_is_refused(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "c"), ("c", "a_table_raw")):
        (tmp_path / f"{name}.sql").write_text(f"-- It.\nSELECT\n    x -- X\nFROM {{database}}.{other}\n")
    assert [view.name for view in read_views(tmp_path)] == ["c", "b", "a"]
    (tmp_path / "c.sql").write_text("-- It.\nSELECT\n    x -- X\nFROM {database}.a\n")
    with pytest.raises(FatalError, match="a, b, c read each other in a circle"):
        read_views(tmp_path)


def test_a_file_of_periods_is_a_view_for_each(tmp_path: Path) -> None:
    text = "-- By the {unit}.\nSELECT\n    x -- Of the {unit}\nFROM {database}.map_{period}_raw\n"
    (tmp_path / "map_PERIOD.sql").write_text(text)
    by_day, by_hour = read_views(tmp_path)
    assert (by_day.name, by_day.description, by_day.meanings) == ("map_1d", "By the day.", ("Of the day",))
    assert (by_hour.name, by_hour.reads) == ("map_1h", frozenset({"map_1h_raw"}))
