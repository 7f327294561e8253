"""Where images are built and containers run: a Docker engine, or Podman answering in its place on a socket of its own.

Podman needs no daemon to be there; its service is started here and ended with the tests. Images that cannot be pulled
are made: the base by `make_base_image.sh`, Kafka from its jars.
"""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker
from docker.errors import DockerException

from liqheat.local.child import ChildProcess

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PUBLISHED_BASE = "docker.io/library/python:3.11.14-slim-bookworm"
OWN_BASE = "localhost/liqheat-test-base:bookworm"
_AUTHORITY = "/etc/ssl/own-authority.crt"


class EngineMissing(Exception):
    """Neither Docker nor Podman can be had; the message says why."""


@dataclass(frozen=True)
class Engine:
    """A running engine: its command line, and the address of its API in `environment`."""

    command: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one command of the engine's command line; a failure raises with its last words."""
        done = subprocess.run(
            [self.command, *arguments],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == 0 or not check, f"{arguments[:2]}: {(done.stderr or done.stdout)[-2_000:]}"
        return done

    def has(self, image: str) -> bool:
        """Whether `image` is here."""
        return self.run("image", "inspect", image, check=False).returncode == 0

    def base(self) -> str:
        """Return the image to build on: the published one, or one made here where it cannot be pulled."""
        if self.has(PUBLISHED_BASE) or self.run("pull", PUBLISHED_BASE, check=False).returncode == 0:
            return PUBLISHED_BASE
        if not self.has(OWN_BASE):
            missing = [tool for tool in ("podman", "debootstrap") if shutil.which(tool) is None]
            if missing:
                tools = " and ".join(missing)
                raise EngineMissing(f"{PUBLISHED_BASE} cannot be pulled, nor a base made without {tools}")
            script = str(HERE / "make_base_image.sh")
            subprocess.run([script, OWN_BASE], env=os.environ | self.environment, check=True, capture_output=True)
        return OWN_BASE

    def build(self, tag: str, dockerfile: Path, context: Path, **arguments: str) -> None:
        """Build `dockerfile`, with the machine's network and its own certificate authority, if it has one."""
        values = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        where = ["--network=host", *self._own_authority(), "-f", str(dockerfile), "-t", tag, str(context)]
        self.run("build", *values, *where)

    def _own_authority(self) -> list[str]:
        """Mount what PIP_CERT or SSL_CERT_FILE names where pip finds it; only Podman can mount into a build."""
        file = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
        if file is None or self.command != "podman":
            return []
        settings = self.folder / "pip.conf"
        settings.write_text(f"[global]\ncert = {_AUTHORITY}\n")
        return ["-v", f"{file}:{_AUTHORITY}:ro", "-v", f"{settings}:/etc/pip.conf:ro"]


@contextmanager
def running_engine(folder: Path) -> Iterator[Engine]:
    """Yield the machine's Docker engine, or a Podman service that ends with the block.

    Raises:
        EngineMissing: there is neither.
    """
    if shutil.which("docker") and _answers(None):
        yield Engine("docker", folder)
        return
    if shutil.which("podman") is None:
        raise EngineMissing("no Docker engine answers, and podman is not installed")
    socket = f"unix://{folder}/podman.sock"
    environment = {"DOCKER_HOST": socket, "TESTCONTAINERS_RYUK_DISABLED": "true"}
    if "CONTAINERS_CONF" not in os.environ:
        environment["CONTAINERS_CONF"] = str(_containers_conf(folder))
    command = ["podman", "system", "service", "--time=0", socket]
    with ChildProcess("podman", command, folder / "podman.log", environment) as service:
        deadline = time.monotonic() + 20
        while not _answers(socket):
            if service.exit_status is not None or time.monotonic() > deadline:
                raise EngineMissing(f"podman does not serve here: {service.last_words(3)}")
            time.sleep(0.2)
        yield Engine("podman", folder, environment)


def _answers(address: str | None) -> bool:
    try:
        client = docker.DockerClient(base_url=address) if address else docker.from_env()
        try:
            return bool(client.ping())
        finally:
            client.close()
    except DockerException:
        return False


def _containers_conf(folder: Path) -> Path:
    """Write settings with which Podman also runs inside a container: no systemd, no limits above our own."""
    files, processes = (resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
    limits = [
        f'"{name}={most if limit == resource.RLIM_INFINITY else min(limit, most)}:'
        f'{most if limit == resource.RLIM_INFINITY else min(limit, most)}"'
        for name, limit, most in (("nofile", files, 20_000), ("nproc", processes, 4_096))
    ]
    runtime = 'runtime="runc"\n' if shutil.which("runc") else ""
    path = folder / "containers.conf"
    path.write_text(
        f'[engine]\n{runtime}cgroup_manager="cgroupfs"\n'
        f'[containers]\nnetns="host"\ndefault_ulimits=[{", ".join(limits)}]\n'
    )
    return path
