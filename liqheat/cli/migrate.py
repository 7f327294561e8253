"""`liqheat migrate`: bring ClickHouse's tables and views up to date."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(migrate)


def migrate(
    users: bool = typer.Option(
        False, "--users", help="Also create the users writer, reader and grafana (as an administrator)."
    ),
) -> None:
    """Create the database, apply missing migrations and set how long each table is kept. Safe to repeat."""
    from liqheat.platform.clickhouse import open_clickhouse
    from liqheat.platform.settings import load
    from sinks.clickhouse import migrate as migrations
    from sinks.clickhouse.users import create_users

    settings = load()
    client = open_clickhouse(settings.clickhouse)
    try:
        applied = migrations.migrate(client, settings)
        for migration in applied:
            print(f"applied {migration.number:04d}_{migration.name}")
        if not applied:
            print(f"The database {settings.clickhouse.database} is up to date")
        if users:
            create_users(client, settings)
            print("Users liqheat_writer, liqheat_reader and liqheat_grafana are in place")
    finally:
        client.close()
