"""The three users of a ClickHouse server: writer (the sink), reader (services) and grafana.

`users.sql` says what each may do; this fills in password hashes and the tables that exist. Embedded ClickHouse
has no users, so nothing of this applies there.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from clickhouse_connect.driver.client import Client

from liqheat.platform.clickhouse import translated_errors
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.settings import Settings
from sinks.clickhouse.migrate import fill, placeholders, split_statements

USERS_FILE = Path(__file__).parent / "users.sql"
_ROLES = ("writer", "reader", "grafana")
_RAW_TABLE = "{raw_table}"


def user_statements(settings: Settings, raw_tables: Sequence[str]) -> list[str]:
    """Return the statements of `users.sql`, the one with `{raw_table}` once for each of `raw_tables`.

    Raises:
        ConfigurationError: a password is not set.
    """
    values = placeholders(settings)
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
        tables = raw_tables if _RAW_TABLE in template else [""]
        statements += [fill(template.replace(_RAW_TABLE, table), values, USERS_FILE.name) for table in tables]
    return statements


def create_users(client: Client, settings: Settings) -> None:
    """Create or bring up to date the users, their rights and limits; `client` must be an administrator's.

    Raises:
        ConfigurationError: ClickHouse is embedded, a password is missing, or the user may not manage access.
    """
    if settings.clickhouse.interface == "chdb":
        raise ConfigurationError("Embedded ClickHouse has no users; `migrate --users` is for a server")
    with translated_errors(settings.clickhouse):
        rows = client.query(
            "SELECT name FROM system.tables "
            "WHERE database = {database:String} AND endsWith(name, '_raw') ORDER BY name",
            parameters={"database": settings.clickhouse.database},
        ).result_rows
        for statement in user_statements(settings, [name for (name,) in rows]):
            client.command(statement, use_database=False)
