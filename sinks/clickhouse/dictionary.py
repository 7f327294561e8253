"""The data dictionary: every view and column as the database itself describes them, as Markdown.

`sinks/README.md` holds it between two markers; `liqheat dictionary --write sinks/README.md` renews it, and a test
fails where it is out of date.
"""

from clickhouse_connect.driver.client import Client

from liqheat.platform.errors import FatalError

BEGIN = "<!-- Made by `liqheat dictionary`; change the views, not this. -->"
END = "<!-- End of the dictionary. -->"


def data_dictionary(client: Client, database: str) -> str:
    """Return a Markdown section for each view of `database`, columns in order."""
    views = client.query(
        "SELECT name, comment FROM system.tables WHERE database = {database:String} AND engine = 'View' ORDER BY name",
        parameters={"database": database},
    ).result_rows
    columns = client.query(
        "SELECT table, name, type, comment FROM system.columns WHERE database = {database:String} ORDER BY position",
        parameters={"database": database},
    ).result_rows
    sections = []
    for view, meaning in views:
        lines = [f"### `{view}`", "", meaning, "", "| column | type | meaning |", "|---|---|---|"]
        lines += [
            f"| `{name}` | {_readable(column_type)} | {comment} |"
            for table, name, column_type, comment in columns
            if table == view
        ]
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def _readable(column_type: str) -> str:
    """Leave out how a type is stored: `LowCardinality(String)` reads as `String`."""
    if column_type.startswith("LowCardinality("):
        column_type = column_type.removeprefix("LowCardinality(").removesuffix(")")
    return f"`{column_type}`"


def with_dictionary(page: str, dictionary: str) -> str:
    """Return `page` with `dictionary` between its markers.

    Raises:
        FatalError: the page has no markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise FatalError(f"Expected the lines {BEGIN!r} and {END!r} in the page")
    return f"{before}{BEGIN}\n\n{dictionary}\n\n{END}{after}"
