"""Long inputs that go on: each bad line is said with its number and reason, and the end has a count and status 1.

Used by the commands that read one thing per line: `normalise`, `map`, `replay`, `backtest` and
`liquidation-price --jsonl`.
"""

import sys

import typer


class BadLines:
    """Says bad lines on standard error; `strict` stops at the first."""

    def __init__(self, strict: bool = False) -> None:
        self.count = 0
        self._strict = strict

    def add(self, number: int | str, reason: str, *, what: str = "line") -> None:
        """Say a line that cannot be read.

        Raises:
            typer.Exit: with status 1, where the first bad line is to be the last.
        """
        self.count += 1
        print(f"{what} {number}: {reason}", file=sys.stderr)
        if self._strict:
            sys.stdout.flush()
            print("Stopped at the first bad line (--strict)", file=sys.stderr)
            raise typer.Exit(1)

    def note(self, number: int | str, text: str, *, what: str = "line") -> None:
        """Say something about a line that was read."""
        print(f"{what} {number}: {text}", file=sys.stderr)

    def end(self) -> None:
        """Say how many there were.

        Raises:
            typer.Exit: with status 1, where there was any.
        """
        if self.count:
            sys.stdout.flush()
            noun = "line or part of a line" if self.count == 1 else "lines or parts of lines"
            print(f"{self.count} {noun} could not be read", file=sys.stderr)
            raise typer.Exit(1)
