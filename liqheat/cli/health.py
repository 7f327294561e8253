"""`liqheat health`: ask a service on this machine how it is; the containers' health check."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(health)


def health(
    port: int = typer.Option(
        None, min=1, max=65_535, help="Port of the service's endpoint.", show_default="LIQHEAT_SERVICE__PORT"
    ),
) -> None:
    """Ask the service's /healthz; exit status 1 with its reason when it is not well."""
    from http.client import HTTPConnection, HTTPException

    from liqheat.platform.errors import ConfigurationError
    from liqheat.platform.settings import load

    asked = load().service.port if port is None else port
    if not asked:
        raise ConfigurationError("Say which port to ask: --port, or LIQHEAT_SERVICE__PORT as the service has it")
    connection = HTTPConnection("127.0.0.1", asked, timeout=4)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        print(answer.read().decode())
    except (OSError, HTTPException) as error:
        print(f"No service answers on 127.0.0.1:{asked} ({error})")
        raise typer.Exit(1) from error
    finally:
        connection.close()
    if answer.status != 200:
        raise typer.Exit(1)
