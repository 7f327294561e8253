"""`liqheat sql`: what stands in data is printed as it is."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from liqheat.cli.sql import _print_table


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
