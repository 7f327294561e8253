"""What `liqheat` makes of errors that no command turned into a sentence, and that help texts arrive whole."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text
from typer.main import get_command
from typer.testing import CliRunner

from liqheat.cli import main as command_line
from liqheat.cli.output_files import check_output
from liqheat.platform.errors import ConfigurationError, FatalError


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.jsonl"), 1, "a.jsonl: No such file"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "folder"), 1, "folder: Is a directory"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "liqheat: No space left on device"),
        (OSError("the library's own words"), 1, "liqheat: the library's own words"),
        (FatalError("it stops"), 1, "liqheat: it stops"),
        (ConfigurationError("it is wrong"), 2, "liqheat: it is wrong"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_end_as_one_line_and_a_status(
    error: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise error

    command_line.load_commands()
    monkeypatch.setattr(command_line, "app", fail)
    with pytest.raises(SystemExit) as end:
        command_line.main()
    assert end.value.code == status
    assert said in (err := capsys.readouterr().err)
    assert err.count("\n") == bool(said)


def test_outputs_that_can_be_written_are_left_as_they_are(tmp_path: Path) -> None:
    check_output(None)
    check_output(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").write_text("kept")
    check_output(tmp_path / "old")
    assert (tmp_path / "old").read_text() == "kept"
    with pytest.raises(ConfigurationError, match="it is a folder"):
        check_output(tmp_path)


def help_texts(command: Any, path: str) -> Iterator[tuple[str, str]]:
    for text in (command.help, *(parameter.help for parameter in command.params if hasattr(parameter, "help"))):
        if text:
            yield path, text
    for name, inner in getattr(command, "commands", {}).items():
        yield from help_texts(inner, f"{path} {name}")


def test_no_help_text_loses_a_bracket_to_markup() -> None:
    command_line.load_commands()
    texts = list(help_texts(get_command(command_line.app), "liqheat"))
    assert len(texts) > 100
    assert [(path, text) for path, text in texts if Text.from_markup(text).plain != text] == []


@pytest.mark.parametrize("command", ["view", "health", "simulate", "demo", "live"])
@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_is_none_is_refused_before_any_work(command: str, port: str) -> None:
    command_line.load_commands()
    result = CliRunner().invoke(command_line.app, [command, "--port", port])
    assert result.exit_code == 2
    assert "Invalid value for '--port'" in result.stderr
