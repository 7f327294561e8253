"""A process that opens embedded ClickHouse as one of its users, and says how each statement of its input ended.

    python -m tests.support.clickhouse_as_user DIRECTORY [USERS_FILE]

Standard input is JSON: a list of statements. So is standard output: for each its `refusal`, or null, and of a query the
first `column`. Without a file of users it is the administrator, and prepares the schema first. A process of its own,
since an engine takes users but once.
"""

import json
import sys
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from liqheat.platform import logging
from liqheat.platform.settings import ClickHouse, Settings
from sinks.clickhouse.migrate import migrate
from tests.support.clickhouse_access import DATABASE, work_as_the_sink

SINK = "the sink's own work"
"""In place of a statement: what the sink does, by its own code."""


def outcome(client: Client, statement: str, settings: Settings) -> dict[str, Any]:
    """Run `statement` and return what there is to say of it."""
    column: list[str] = []
    try:
        if statement == SINK:
            work_as_the_sink(client, settings)
        elif "SELECT" in statement and not statement.startswith(("CREATE", "GRANT", "INSERT")):
            column = [str(row[0]) for row in client.query(statement).result_rows]
        else:
            client.command(statement, use_database=False)
    except DatabaseError as error:
        return {"refusal": str(error), "column": column}
    return {"refusal": None, "column": column}


def main() -> None:
    """Run the statements."""
    logging.configure("warning", "console")  # its own place is standard error, which leaves the other to the answers
    directory, *users = sys.argv[1:]
    settings = Settings(clickhouse=ClickHouse(interface="chdb", data_directory=Path(directory), database=DATABASE))
    address = directory
    if users:
        config = Path(users[0]).with_suffix(".config.xml")
        config.write_text(
            "<clickhouse><user_directories><users_xml>"
            f"<path>{users[0]}</path></users_xml></user_directories></clickhouse>"
        )
        address = f"{directory}?config-file={config}"
    client = clickhouse_connect.get_client(interface="chdb", path=address)
    client.database = DATABASE
    if not users:
        migrate(client, settings)
    answers = [outcome(client, statement, settings) for statement in json.load(sys.stdin)]
    client.close()
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
