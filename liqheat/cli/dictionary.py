"""`liqheat dictionary`: what every view and column means, from the schema itself."""

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(dictionary)


def dictionary(
    write: Path = typer.Option(None, help="Markdown page to renew between its markers, instead of printing."),
) -> None:
    """Describe the views of this version, in Markdown; needs no server, only embedded ClickHouse."""
    from tempfile import TemporaryDirectory

    from liqheat.cli.output_files import check_output
    from liqheat.platform import logging
    from liqheat.platform.clickhouse import open_clickhouse
    from liqheat.platform.settings import ClickHouse, Settings
    from sinks.clickhouse.dictionary import data_dictionary, with_dictionary
    from sinks.clickhouse.migrate import migrate

    check_output(write)
    # The page is renewed, not made: one that is not there is said before the schema is built.
    page = "" if write is None else write.read_text(encoding="utf-8")
    logging.configure("warning", "console")
    with TemporaryDirectory() as directory:
        settings = Settings(clickhouse=ClickHouse(interface="chdb", data_directory=Path(directory)))
        client = open_clickhouse(settings.clickhouse)
        migrate(client, settings)
        text = data_dictionary(client, settings.clickhouse.database)
        client.close()
    if write is None:
        print(text)
    else:
        write.write_text(with_dictionary(page, text), encoding="utf-8")
