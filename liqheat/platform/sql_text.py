"""SQL as text: placeholders filled in, files cut into statements."""

import re

from liqheat.platform.errors import FatalError

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# Quoted text, quoted names and comments are passed over whole, so that only a semicolon between statements splits.
TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.)*" | `(?:[^`\\]|\\.)*` | --[^\n]* | /\*.*?\*/ | ;""",
    re.VERBOSE | re.DOTALL,
)


def fill(text: str, values: dict[str, str], origin: str) -> str:
    """Replace every `{name}` of `text`; `origin` names the text in the error.

    Raises:
        FatalError: a name that is not in `values`.
    """

    def value_of(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise FatalError(f"{origin} has the unknown placeholder {match[0]}; known are {', '.join(values)}")
        return values[match[1]]

    return _PLACEHOLDER.sub(value_of, text)


def split_statements(text: str) -> list[str]:
    """Cut SQL text at the semicolons outside of quotes and comments; drop pieces that are only comments."""
    pieces, start = [], 0
    for token in TOKEN.finditer(text):
        if token[0] == ";":
            pieces.append(text[start : token.start()])
            start = token.end()
    pieces.append(text[start:])
    return [piece.strip() for piece in pieces if _without_comments(piece).strip()]


def _without_comments(sql: str) -> str:
    return TOKEN.sub(lambda token: "" if token[0].startswith(("--", "/*")) else token[0], sql)
