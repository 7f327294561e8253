"""What Kafka's image makes of its environment, so that what a deployment says can be run from Kafka's jars."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from liqheat.local.broker import kraft_commands
from liqheat.local.child import ChildProcess
from tests.support import brokers


def properties_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the properties: KAFKA_FOO_BAR is foo.bar."""
    ours = {"HEAP_OPTS"}
    named = {name.removeprefix("KAFKA_"): value for name, value in environment.items() if name.startswith("KAFKA_")}
    return {
        name.lower().replace("_", "."): value.replace("$$", "$") for name, value in named.items() if name not in ours
    }


def start(name: str, properties: Mapping[str, str], addresses: Mapping[str, str], directory: Path) -> ChildProcess:
    """Start a broker out of its jars.

    Args:
        name: of the process.
        properties: as `properties_of` returns them; its log is put below `directory`.
        addresses: patterns of addresses and folders in the properties' values, with what replaces each.
        directory: for its files; its parent may hold other brokers.
    """
    text = "\n".join(f"{key}={value}" for key, value in properties.items())
    for pattern, address in addresses.items():
        text = re.sub(pattern, address, text)
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "server.properties"
    file.write_text(f"{text}\nlog.dirs={directory / 'log'}\n")
    java = shutil.which("java")
    assert java is not None
    prepare, command = kraft_commands(java, brokers.KAFKA_JARS, file)
    subprocess.run(prepare, check=True, capture_output=True)
    return ChildProcess(name, command, directory / "kafka.log")
