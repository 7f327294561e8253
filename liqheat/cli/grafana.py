"""`liqheat grafana push`: put the dashboards and their datasource on a Grafana that already runs.

Compares what is there with what is wanted, by uid, and changes only what differs. grafana-api is used
thinly: its helpers use folder and datasource numbers, which Grafana 13 no longer answers, so requests go
to the uid paths through its client.
"""

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from liqheat.platform.errors import ConfigurationError, FatalError, TransientError

DATASOURCE_UID = "liqheat-clickhouse"
DATASOURCE_TYPE = "grafana-clickhouse-datasource"
FOLDER_UID = "liqheat"
FOLDER_TITLE = "Liquidations"
OLDEST_GRAFANA = (12, 4)
"""The first version whose heatmap panel draws rows on a true price axis (`rowsFrame.yBucketScale`)."""

# What Grafana adds to a dashboard by itself, and so says nothing of a difference.
_GRAFANAS_OWN = ("id", "version", "iteration")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One object that is to be created or updated; `difference` is a unified diff of its JSON."""

    what: str
    uid: str
    title: str
    action: str
    difference: str
    method: str
    path: str
    body: Json


class Grafana:
    """Grafana's HTTP API over grafana-api's client, with liqheat's errors.

    `client` offers `GET`, `POST` and `PUT` (`grafana_api.grafana_face.GrafanaFace(...).api`).
    """

    def __init__(self, client: Any, address: str) -> None:
        self._client = client
        self._address = address

    def ask(self, method: str, path: str, body: Json | None = None) -> Json | None:
        """Return the JSON answer, or None for 404.

        Raises:
            ConfigurationError: the credentials lack the permission.
            TransientError: Grafana cannot be reached, or fails.
            FatalError: it refuses the request.
        """
        # Both libraries' exceptions are imported here: grafana-api raises its own and passes on requests'.
        import requests
        from grafana_api.grafana_api import GrafanaClientError, GrafanaException

        try:
            runner = getattr(self._client, method)
            answer: Json = runner(path) if body is None else runner(path, json=body)
            return answer
        except GrafanaClientError as error:
            if error.status_code == 404:
                return None
            if error.status_code in (401, 403):
                raise ConfigurationError(
                    f"Grafana at {self._address} denies {method} {path}: the token needs the role Editor for "
                    "dashboards and Admin for the datasource (LIQHEAT_GRAFANA__TOKEN)"
                ) from error
            raise FatalError(f"Grafana refuses {method} {path}: {error}") from error
        except GrafanaException as error:
            raise TransientError(f"Grafana fails at {method} {path}: {error}") from error
        except requests.RequestException as error:
            raise TransientError(f"Cannot reach Grafana at {self._address} ({type(error).__name__})") from error


def check_version(grafana: Grafana) -> str:
    """Return Grafana's version.

    Raises:
        FatalError: it is older than the dashboards need, or the address is no Grafana.
    """
    health = grafana.ask("GET", "/health")
    version = str((health or {}).get("version", ""))
    parts = version.split(".")
    if len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):
        raise FatalError("The address answers, but not like a Grafana: /api/health has no version")
    if (int(parts[0]), int(parts[1])) < OLDEST_GRAFANA:
        oldest = ".".join(str(part) for part in OLDEST_GRAFANA)
        raise FatalError(f"The dashboards need Grafana {oldest} or newer (true price axis), this is {version}")
    return version


def plan(grafana: Grafana, dashboards: list[Json], datasource: Json, secret: Json | None) -> Iterator[Change]:
    """Yield what must change so that Grafana has the folder, the datasource and the dashboards as wanted.

    A stored password cannot be read back, so the datasource is written when its open part differs, or is new.
    """
    if grafana.ask("GET", f"/folders/{FOLDER_UID}") is None:
        body: Json = {"uid": FOLDER_UID, "title": FOLDER_TITLE}
        yield Change("folder", FOLDER_UID, FOLDER_TITLE, "create", _difference({}, body), "POST", "/folders", body)
    path = f"/datasources/uid/{DATASOURCE_UID}"
    there = grafana.ask("GET", path)
    wanted = datasource | ({"secureJsonData": secret} if secret else {})
    title = str(datasource["name"])
    if there is None:
        shown = _difference({}, datasource)
        yield Change("datasource", DATASOURCE_UID, title, "create", shown, "POST", "/datasources", wanted)
    elif shown := _difference({key: there.get(key) for key in datasource}, datasource):
        yield Change("datasource", DATASOURCE_UID, title, "update", shown, "PUT", path, wanted)
    for dashboard in dashboards:
        uid = str(dashboard["uid"])
        stored = (grafana.ask("GET", f"/dashboards/uid/{uid}") or {}).get("dashboard", {})
        shown = _difference(_comparable(stored), _comparable(dashboard))
        if shown:
            body = {
                "dashboard": _comparable(dashboard) | {"id": None},
                "folderUid": FOLDER_UID,
                "overwrite": True,
                "message": "liqheat grafana push",
            }
            action = "update" if stored else "create"
            yield Change("dashboard", uid, str(dashboard["title"]), action, shown, "POST", "/dashboards/db", body)


def _comparable(dashboard: Json) -> Json:
    return {key: value for key, value in dashboard.items() if key not in _GRAFANAS_OWN}


def _difference(there: Json, wanted: Json) -> str:
    before, after = (json.dumps(side, indent=1, sort_keys=True).splitlines() for side in (there, wanted))
    return "\n".join(difflib.unified_diff(before, after, "in Grafana", "wanted", lineterm="", n=1))


def read_dashboards(folder: Path) -> list[Json]:
    """Return the generated dashboards below `folder`, in the order of their file names.

    Raises:
        ConfigurationError: the folder holds none.
    """
    dashboards = [json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))]
    if not dashboards:
        raise ConfigurationError(f"No dashboards in {folder}: name the project's deploy/grafana/dashboards")
    return dashboards


def register(app: typer.Typer) -> None:
    """Add the command group to `app`."""
    group = typer.Typer(help="Dashboards on an existing Grafana.", no_args_is_help=True)
    group.command()(push)
    app.add_typer(group, name="grafana")


def push(
    folder: Path = typer.Option(Path("deploy/grafana/dashboards"), help="The generated dashboards."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would change, and change nothing."),
) -> None:
    """Put the dashboards and the ClickHouse datasource on Grafana; a second push changes nothing.

    Set LIQHEAT_GRAFANA__URL and LIQHEAT_GRAFANA__TOKEN (a service account's); the datasource connects to the
    ClickHouse of LIQHEAT_GRAFANA__CLICKHOUSE_HOST as LIQHEAT_GRAFANA__CLICKHOUSE_USERNAME.
    """
    from urllib.parse import urlsplit

    from grafana_api.grafana_face import GrafanaFace

    from liqheat.platform.settings import load

    settings = load()
    options = settings.grafana
    if options.token is None:
        raise ConfigurationError("Set LIQHEAT_GRAFANA__TOKEN to the token of a Grafana service account")
    address = urlsplit(options.url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ConfigurationError(f"LIQHEAT_GRAFANA__URL: expected http(s)://host:port, was {options.url!r}")
    prefix = address.path.strip("/")
    face = GrafanaFace(
        auth=options.token.get_secret_value(),
        host=address.hostname,
        port=address.port,
        protocol=address.scheme,
        url_path_prefix=f"{prefix}/" if prefix else "",
        timeout=15.0,
    )
    grafana = Grafana(face.api, options.url)
    version = check_version(grafana)
    datasource = {
        "uid": DATASOURCE_UID,
        "name": "liqheat ClickHouse",
        "type": DATASOURCE_TYPE,
        "access": "proxy",
        "jsonData": {
            "host": options.clickhouse_host,
            "port": options.clickhouse_port,
            "protocol": "native",
            "secure": options.clickhouse_secure,
            "username": options.clickhouse_username,
            "defaultDatabase": settings.clickhouse.database,
            "dialTimeout": 10,
            "queryTimeout": 60,
        },
    }
    password = options.clickhouse_password
    secret = {"password": password.get_secret_value()} if password else None
    changes = list(plan(grafana, read_dashboards(folder), datasource, secret))
    for change in changes:
        print(f"{change.action} {change.what} {change.title!r} ({change.uid})")
        if dry_run:
            print(change.difference)
        else:
            grafana.ask(change.method, change.path, change.body)
    verb = "would change" if dry_run else "changed"
    print(f"Grafana {version} at {options.url}: {len(changes)} {verb}" if changes else f"Grafana {version}: unchanged")
