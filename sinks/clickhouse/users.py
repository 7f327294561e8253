"""The three users of a ClickHouse server: writer (the sink), reader (services) and grafana.

`users.sql` says what each may do; this fills in password hashes, limits, and the tables of the registry. Embedded
ClickHouse has no users, so nothing of this applies there.
"""

import hashlib
from pathlib import Path

from clickhouse_connect.driver.client import Client

from liqheat.platform.clickhouse import translated_errors
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.settings import Settings
from liqheat.platform.sql_text import fill, split_statements
from sinks.clickhouse.migrate import placeholders, stored_placeholders
from sinks.clickhouse.tables import TABLES, VIEWS_READ_BACK, Writer

USERS_FILE = Path(__file__).parent / "users.sql"
_ROLES = ("writer", "reader", "grafana")
_TABLES = {
    "{written_table}": [table.name for table in TABLES.values() if table.writer is not Writer.MIGRATION],
    "{read_table}": [*(table.name for table in TABLES.values() if table.read_back), *VIEWS_READ_BACK],
}
"""Placeholders whose statement is repeated, once for each of these tables."""


def user_statements(settings: Settings) -> list[str]:
    """Return the statements of `users.sql`, those that name a kind of table once for each such table of the registry.

    Raises:
        ConfigurationError: a password is not set.
    """
    # Half of what readers may use in all for each of their two users, and a third of that for one query.
    of_user = settings.clickhouse.readers_memory_bytes // 2
    values = placeholders(settings) | {"user_memory": str(of_user), "query_memory": str(of_user // 3)}
    for role in _ROLES:
        password = getattr(settings.clickhouse, f"{role}_password")
        if password is None or not password.get_secret_value():
            raise ConfigurationError(
                f"LIQHEAT_CLICKHOUSE__{role.upper()}_PASSWORD is missing: `liqheat migrate --users` gives it to "
                f"the user liqheat_{role}"
            )
        values[f"{role}_hash"] = hashlib.sha256(password.get_secret_value().encode()).hexdigest()
    statements = []
    for template in split_statements(USERS_FILE.read_text(encoding="utf-8")):
        placeholder = next((name for name in _TABLES if name in template), "")
        for table in _TABLES[placeholder] if placeholder else [""]:
            statement = template.replace(placeholder, table) if placeholder else template
            statements.append(fill(statement, values, USERS_FILE.name))
            if settings.clickhouse.shard_database and " ON {database}." in statement:
                # A shard asks for the same right on its own table; what was there before is taken back above.
                on_shard = fill(statement, values | stored_placeholders(settings), USERS_FILE.name)
                statements.append(on_shard.replace(" WITH REPLACE OPTION", ""))
    return statements


def create_users(client: Client, settings: Settings) -> None:
    """Create or bring up to date the users, their rights and limits; `client` must be an administrator's.

    Raises:
        ConfigurationError: ClickHouse is embedded, a password is missing, or the user may not manage access.
    """
    if settings.clickhouse.interface == "chdb":
        raise ConfigurationError("Embedded ClickHouse has no users; `migrate --users` is for a server")
    with translated_errors(settings.clickhouse):
        for statement in user_statements(settings):
            client.command(statement, use_database=False)
