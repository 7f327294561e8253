"""Which broker the Kafka tests run on: Apache Kafka where Java and Maven are, else the embedded Tansu.

`LIQHEAT_TEST_BROKER=kafka` or `tansu` decides otherwise.
"""

import os
import shutil
from pathlib import Path

from liqheat.local.broker import Broker, fetch_apache_kafka, start_apache_kafka, start_tansu

ROOT = Path(__file__).parents[2]
KAFKA_JARS = ROOT / ".cache" / "kafka" / "lib"


def chosen() -> str:
    """Return `kafka` or `tansu`."""
    wish = os.environ.get("LIQHEAT_TEST_BROKER")
    if wish:
        return wish
    has_jars = KAFKA_JARS.is_dir() or shutil.which("mvn") is not None
    return "kafka" if shutil.which("java") is not None and has_jars else "tansu"


def start(directory: Path) -> Broker:
    """Start the chosen broker, its files in `directory`.

    Raises:
        LiqheatError: it cannot be had on this machine.
    """
    if chosen() == "tansu":
        return start_tansu(directory / "tansu.log")
    fetch_apache_kafka(ROOT / "deploy" / "kafka" / "pom.xml", KAFKA_JARS)
    return start_apache_kafka(KAFKA_JARS, directory)
