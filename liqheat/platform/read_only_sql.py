"""Whether a reader's SQL only reads: checked before it reaches the database.

ClickHouse's own read-only mode refuses INSERT and DDL, but in an embedded engine `INTO OUTFILE` and some table
functions still write files, and `KILL QUERY` ends other people's. So only statements that read pass, and of the table
functions only those that make their rows out of nothing or out of this database.
"""

import re
from collections.abc import Collection

from liqheat.platform.errors import ConfigurationError
from liqheat.platform.sql_text import TOKEN, split_statements

_READING = frozenset({"SELECT", "WITH", "SHOW", "DESC", "DESCRIBE", "EXPLAIN", "EXISTS", "FROM", "VALUES"})
HARMLESS_TABLE_FUNCTIONS = frozenset(
    {
        *(
            "numbers",
            "numbers_mt",
            "zeros",
            "zeros_mt",
            "primes",
            "generate_series",
            "generateSeries",
            "generateRandom",
        ),
        *("values", "view", "null", "merge", "format"),
    }
)
"""Table functions that reach neither files nor networks nor programs."""

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CALL = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*\(")
_OUTFILE = re.compile(r"\bINTO\s+OUTFILE\b", re.IGNORECASE)


def check_reads_only(query: str, table_functions: Collection[str]) -> None:
    """Refuse SQL that may write anywhere, or reach outside the database.

    Args:
        query: one or more statements.
        table_functions: the names of all table functions that the database has (`system.table_functions`).

    Raises:
        ConfigurationError: with a sentence that names what is refused.
    """
    refused = {name.lower() for name in table_functions} - {name.lower() for name in HARMLESS_TABLE_FUNCTIONS}
    for statement in split_statements(query):
        bare = TOKEN.sub(lambda token: _bared(token[0]), statement)
        first = _WORD.search(bare)
        if first is None or first[0].upper() not in _READING:
            raise ConfigurationError(
                f"Only statements that read are allowed here, not {first[0] if first else 'this one'}"
            )
        if _OUTFILE.search(bare):
            raise ConfigurationError("INTO OUTFILE writes a file; redirect the command's output instead")
        for call in _CALL.finditer(bare):
            if call[1].lower() in refused:
                raise ConfigurationError(f"The table function {call[1]} reaches outside the database")


def _bared(token: str) -> str:
    """Return a space for text and comments; a quoted name without its quotes, for it may name a function."""
    return token[1:-1] if token[0] in '"`' else " "
