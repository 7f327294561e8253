"""`liqheat sql`: data are printed as they are, and what ClickHouse would refuse in odd words is refused first."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from liqheat.cli.sql import _check_plain, _print_table
from liqheat.platform.errors import ConfigurationError


def test_brackets_in_values_and_headings_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    text = SimpleNamespace(name="String")
    result = SimpleNamespace(
        column_names=["[bold]", "[/]"], column_types=[text, text], result_rows=[("[red]x[/red]", "[/]"), (None, 1)]
    )
    _print_table(cast("Any", result))
    heading, _, first, second, *_ = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert heading == ["[bold]", "[/]"]
    assert first == ["[red]x[/red]", "[/]"]
    assert second == ["1"]


@pytest.mark.parametrize("query", ["", "  ", ";", "-- nothing"])
def test_no_query_is_refused_with_an_example(query: str) -> None:
    with pytest.raises(ConfigurationError, match="Expected a query, such as"):
        _check_plain(query)


@pytest.mark.parametrize("query", ["SELECT 1 FORMAT JSON", "SELECT 1 format CSV;", "SELECT 1 FORMAT JSON -- so"])
def test_a_format_within_the_query_names_the_option(query: str) -> None:
    with pytest.raises(ConfigurationError, match=r"choose --format table, json, csv, parquet"):
        _check_plain(query)


@pytest.mark.parametrize("query", ["SELECT 'FORMAT JSON'", "SELECT 1 -- FORMAT JSON", "SELECT * FROM format(CSV, '1')"])
def test_format_as_text_a_comment_or_a_function_is_no_format(query: str) -> None:
    _check_plain(query)
