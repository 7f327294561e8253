"""docker-compose.yml as the tests read it: the services, what compose makes of `${...}`, and all of it on loopback.

`HostNetwork` puts 127.0.0.1 and free ports where the file has service names and its own ports, so that the same
commands and environments run as plain processes, or as containers that share the machine's network.
"""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("liqheat")}
"""The services that run liqheat's own image."""

_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
_ADDRESS = re.compile(rf"\b({'|'.join(SERVICES)}):(\d+)")


def substituted(environment: Mapping[str, Any], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment as compose gives it: from `given`, else its default, else "a-password" where required.

    A variable without a value is handed on where `given` has it.
    """
    known = given or {}

    def value(match: re.Match[str]) -> str:
        return known.get(match[1]) or (match[3] if match[2] == "-" else "a-password")

    written = {name: known.get(name) if text is None else str(text) for name, text in environment.items()}
    return {name: _VARIABLE.sub(value, text) for name, text in written.items() if text is not None}


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class HostNetwork:
    """The compose file without its networks; ports given here are kept, the others are drawn."""

    ports: dict[tuple[str, int], int] = field(default_factory=dict)
    """Port of this machine by service and the port that it has in the file."""

    def port(self, service: str, number: int) -> int:
        """Return the port of this machine that maps to `number` of `service`."""
        return self.ports.setdefault((service, number), free_port())

    def health_port(self, name: str) -> int:
        """Return where `name` answers for its health."""
        return self.port(name, int(OURS[name]["environment"]["LIQHEAT_SERVICE__PORT"]))

    def environment(self, name: str, given: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of the service `name`."""
        environment = {
            variable: _ADDRESS.sub(lambda match: f"127.0.0.1:{self.port(match[1], int(match[2]))}", value)
            for variable, value in substituted(OURS[name]["environment"], given).items()
        }
        # Kafka asks for no password on this network, and no file holds one.
        for variable in ("LIQHEAT_SECRETS_DIRECTORY", "LIQHEAT_KAFKA__SASL_MECHANISM", "LIQHEAT_KAFKA__SASL_USERNAME"):
            del environment[variable]
        return environment | {
            "LIQHEAT_KAFKA__SECURITY_PROTOCOL": "PLAINTEXT",
            "LIQHEAT_SERVICE__HOST": "127.0.0.1",
            "LIQHEAT_SERVICE__PORT": str(self.health_port(name)),
            "LIQHEAT_CLICKHOUSE__HOST": "127.0.0.1",
            "LIQHEAT_CLICKHOUSE__PORT": str(self.port(environment["LIQHEAT_CLICKHOUSE__HOST"], 8123)),
        }

    def command(self, name: str) -> list[str]:
        """Return the command of the service `name`."""
        words = ["127.0.0.1" if word == "0.0.0.0" else str(word) for word in OURS[name]["command"]]  # noqa: S104 - replaced
        if "--port" in words:
            place = words.index("--port") + 1
            words[place] = str(self.port(name, int(words[place])))
        return words
