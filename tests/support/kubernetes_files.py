"""The manifests of deploy/kubernetes as tests read them: objects, what a container is given, who may reach whom."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = DEPLOY / "kubernetes"
Object = dict[str, Any]


def _read() -> Iterator[tuple[str, Object]]:
    for path in sorted(FOLDER.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield str(path.relative_to(DEPLOY)), document


OBJECTS = list(_read())
"""Every object, with the file that it is in."""

KUSTOMIZATION: Object = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text(encoding="utf-8"))
WORKLOADS: dict[str, Object] = {
    each["metadata"]["name"]: each for _, each in OBJECTS if each["kind"] in ("Deployment", "StatefulSet", "Job")
}
"""Whatever runs pods, by name."""


def of_kind(kind: str) -> dict[str, Object]:
    """Return the objects of a kind by name."""
    return {each["metadata"]["name"]: each for _, each in OBJECTS if each["kind"] == kind}


def pod(name: str) -> Object:
    """Return the pod that the workload runs."""
    template: Object = WORKLOADS[name]["spec"]["template"]
    return template


def container(name: str) -> Object:
    """Return the one container of the workload."""
    (only,) = pod(name)["spec"]["containers"]
    found: Object = only
    return found


def environment(name: str) -> dict[str, str]:
    """Return what the container is given by name: of config maps, then its own; what a field gives is in brackets."""
    own = container(name)
    given: dict[str, str] = {}
    for source in own.get("envFrom", ()):
        given |= of_kind("ConfigMap")[source["configMapRef"]["name"]]["data"]
    for variable in own.get("env", ()):
        field = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        given[variable["name"]] = variable["value"] if field is None else f"[{field}]"
    return given


def secret_files(name: str) -> dict[str, str]:
    """Return the files below /run/secrets, each with the secret and key that it comes from (`secret/key`)."""
    (volume,) = (each for each in pod(name)["spec"]["volumes"] if each["name"] == "secrets")
    sources = [source["secret"] for source in volume.get("projected", {}).get("sources", ())] or [volume["secret"]]
    return {
        item["path"]: f"{source.get('name') or source.get('secretName')}/{item['key']}"
        for source in sources
        for item in source["items"]
    }


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def _allowed(direction: str, word: str, mine: Mapping[str, str], other: Mapping[str, str], port: int) -> bool:
    """Whether a policy lets pods labelled `mine` do this with pods labelled `other`: policies only ever add."""
    for policy in of_kind("NetworkPolicy").values():
        spec = policy["spec"]
        if direction.capitalize() not in spec["policyTypes"] or not _selects(spec["podSelector"], mine):
            continue
        for rule in spec.get(direction, ()):
            peers = [each["podSelector"] for each in rule[word] if set(each) == {"podSelector"}]
            if any(each["port"] == port for each in rule["ports"]) and any(_selects(peer, other) for peer in peers):
                return True
    return False


def may_reach(source: str, target: str, port: int) -> bool:
    """Whether pods of one workload may open connections to a port of another's: one may send, the other may be sent."""
    sender, receiver = pod(source)["metadata"]["labels"], pod(target)["metadata"]["labels"]
    return _allowed("egress", "to", sender, receiver, port) and _allowed("ingress", "from", receiver, sender, port)
