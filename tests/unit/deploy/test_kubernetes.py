"""deploy/kubernetes against the schemas of Kubernetes, and against docker-compose.yml, which says the same."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import kubernetes_validate
import pytest
import yaml

from liqheat.platform.settings import ClickHouse
from tests.support.compose_file import COMPOSE, SERVICES, substituted
from tests.support.kubernetes_files import (
    DEPLOY,
    FOLDER,
    KUSTOMIZATION,
    OBJECTS,
    WORKLOADS,
    container,
    environment,
    may_reach,
    of_kind,
    pod,
    secret_files,
)

KUBERNETES = "1.37"
"""The newest version whose schemas the package has; what is used here has been the same since 1.31."""

LIVE = {name: service for name, service in SERVICES.items() if service.get("profiles") != ["demo"]}
STORES = {"clickhouse-1": "clickhouse", "clickhouse-2": "clickhouse"}
"""Workloads that are one service of compose."""
ONLY_HERE = {"keeper", "page"}
OURS = sorted(name for name in WORKLOADS if container(name)["image"].startswith("liqheat"))
SEVERAL_MACHINES = {
    "LIQHEAT_KAFKA__PARTITIONS": "16",
    "LIQHEAT_KAFKA__REPLICATION_FACTOR": "3",
    "LIQHEAT_CLICKHOUSE__CLUSTER": "liqheat",
    "LIQHEAT_CLICKHOUSE__SHARD_DATABASE": "liqheat_shard",
}
"""Settings that one machine does not need."""


@pytest.mark.parametrize(
    ("place", "each"), OBJECTS, ids=[f"{each['kind']} {each['metadata']['name']}" for _, each in OBJECTS]
)
def test_every_object_is_valid(place: str, each: dict[str, Any]) -> None:
    kubernetes_validate.validate(each, KUBERNETES, strict=True)
    assert each["kind"] == "Namespace" or each["metadata"]["namespace"] == "liqheat", place


def test_an_object_that_is_not_valid_is_refused() -> None:
    broken = {**WORKLOADS["worker"], "spec": {**WORKLOADS["worker"]["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


def test_kustomize_takes_every_file_but_the_optional_ones_and_makes_every_config_map() -> None:
    files = {place for place, _ in OBJECTS if "optional/" not in place}
    assert set(KUSTOMIZATION["resources"]) == files
    made = {each["name"]: each["files"] for each in KUSTOMIZATION["configMapGenerator"]}
    assert all((DEPLOY / file).is_file() for names in made.values() for file in names)
    assert all(sum((DEPLOY / file).stat().st_size for file in names) < 2**20 for names in made.values())
    mounted = set(re.findall(r"configMap': {'name': '([\w-]+)'", str(WORKLOADS)))
    assert mounted == made.keys()


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_what_kustomize_renders_is_valid() -> None:
    done = subprocess.run(["kubectl", "kustomize", str(DEPLOY)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rendered = list(yaml.safe_load_all(done.stdout))
    assert len(rendered) == len(OBJECTS) - 2 + len(KUSTOMIZATION["configMapGenerator"])
    for each in rendered:
        kubernetes_validate.validate(each, KUBERNETES, strict=True)


def test_the_services_are_those_of_compose() -> None:
    assert {STORES.get(name, name) for name in WORKLOADS} - ONLY_HERE == set(LIVE)


@pytest.mark.parametrize("name", sorted(set(WORKLOADS) - ONLY_HERE))
def test_image_memory_and_grace_are_those_of_compose(name: str) -> None:
    service = LIVE[STORES.get(name, name)]
    assert container(name)["image"] == service["image"]
    limit = container(name)["resources"]["limits"]["memory"]
    assert limit.lower().removesuffix("i") == service["mem_limit"]
    if name in OURS:
        assert f"{pod(name)['spec']['terminationGracePeriodSeconds']}s" == service["stop_grace_period"]


@pytest.mark.parametrize("name", sorted(set(OURS) - ONLY_HERE))
def test_command_settings_and_secrets_are_those_of_compose(name: str) -> None:
    service = LIVE[name]
    assert container(name)["args"] == service["command"]
    expected, given = substituted(service["environment"]) | SEVERAL_MACHINES, environment(name)
    files = secret_files(name)
    assert files.items() >= {each["target"]: f"passwords/{each['source']}" for each in service["secrets"]}.items()
    # An address that holds a token is a secret here, and a variable of compose's own .env there.
    for variable in ("LIQHEAT_WEBHOOK__URL", "LIQHEAT_WEBHOOK__SECRET"):
        assert (expected.pop(variable, None) is None) == (variable.lower() not in files)
    assert given == expected


def test_grafana_clickhouse_and_kafka_are_set_up_as_in_compose() -> None:
    """What differs is what three brokers and several nodes need."""
    assert environment("grafana") == substituted(LIVE["grafana"]["environment"])
    for name, service in STORES.items():
        beside = {"POD_NAME": "[metadata.name]", "SHARD": "[metadata.labels['liqheat/shard']]"}
        assert environment(name) == substituted(LIVE[service]["environment"]) | beside
    one, three = substituted(LIVE["kafka"]["environment"]), environment("kafka")
    same = {variable for variable in one if one[variable] == three.get(variable)}
    assert same == {
        "KAFKA_PROCESS_ROLES",
        "KAFKA_CONTROLLER_LISTENER_NAMES",
        "KAFKA_SASL_ENABLED_MECHANISMS",
        "KAFKA_CONFIG_PROVIDERS",
        "KAFKA_CONFIG_PROVIDERS_SECRETS_CLASS",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS",
        "KAFKA_LOG_DIRS",
        "KAFKA_HEAP_OPTS",
    }
    assert one.keys() <= three.keys()


def test_what_is_kept_is_on_a_volume() -> None:
    """In compose too: the image of Kafka keeps its log below /tmp unless it is said where."""
    (mounted,) = (text.partition(":")[2] for text in SERVICES["kafka"]["volumes"])
    for directory in (SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"], environment("kafka")["KAFKA_LOG_DIRS"]):
        assert directory.startswith(f"{mounted}/")
    for name in ("kafka", "keeper", *STORES):
        claims = {each["metadata"]["name"] for each in WORKLOADS[name]["spec"]["volumeClaimTemplates"]}
        paths = {each["mountPath"] for each in container(name)["volumeMounts"] if each["name"] in claims}
        assert paths == {"/var/lib/kafka/data" if name == "kafka" else "/var/lib/clickhouse"}


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_every_pod_is_restricted(name: str) -> None:
    spec, own = pod(name)["spec"], container(name)
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    # Kubernetes would put KAFKA_PORT and the like into the environment, and Kafka's image makes properties of those.
    assert spec["enableServiceLinks"] is False
    assert own["resources"]["requests"].keys() == {"cpu", "memory"}
    if WORKLOADS[name]["kind"] != "Job":
        assert {"livenessProbe", "readinessProbe"} <= own.keys()
    assert not re.search(r"(?i)password[^,]*': '(?!/run/secrets|org\.apache)", str(own.get("env", "")))


@pytest.mark.parametrize("name", sorted(set(OURS) - {"page", "topics", "schema"}))
def test_probes_ask_what_each_is_for(name: str) -> None:
    asked = {probe: container(name)[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
    assert asked == {"livenessProbe": "/livez", "readinessProbe": "/readyz"}


def test_one_reader_per_venue_and_the_old_one_ends_first() -> None:
    ingests = {name for name in OURS if name.startswith("ingest-")}
    for name in ingests | {"alerts-webhook", "catalysts"}:
        assert WORKLOADS[name]["spec"]["replicas"] == 1, name
        assert WORKLOADS[name]["spec"]["strategy"] == {"type": "Recreate"}, name
    for name in ("worker", "sink"):
        assert 1 < WORKLOADS[name]["spec"]["replicas"] <= int(SEVERAL_MACHINES["LIQHEAT_KAFKA__PARTITIONS"])
        assert of_kind("PodDisruptionBudget")[name]["spec"]["maxUnavailable"] == 1


def test_who_may_reach_whom() -> None:
    """All pairs: what is not expected is refused."""
    clients = {name for name in OURS if name not in ("page", "schema")}
    expected = {(name, "kafka", 9092) for name in (*clients, "kafka")} | {("kafka", "kafka", 9093)}
    expected |= {("keeper", "keeper", 9234)}
    for node in STORES:
        expected |= {(name, node, 8123) for name in ("sink", "page", "schema")} | {("grafana", node, 9000)}
        expected |= {(other, node, port) for other in STORES for port in (9000, 9009)} | {(node, "keeper", 9181)}
    ports = (3000, 8000, 8080, 8123, 9000, 9009, 9092, 9093, 9181, 9234)
    allowed = {(a, b, port) for a in WORKLOADS for b in WORKLOADS for port in ports if may_reach(a, b, port)}
    assert allowed == expected


def test_only_what_speaks_to_the_world_can_reach_it() -> None:
    outside = {name for name in WORKLOADS if pod(name)["metadata"]["labels"].get("liqheat/outside") == "client"}
    assert outside == {name for name, service in LIVE.items() if "outside" in service.get("networks", ())}
    (rule,) = of_kind("NetworkPolicy")["to-outside"]["spec"]["egress"]
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"} <= set(rule["to"][0]["ipBlock"]["except"])
    nothing = of_kind("NetworkPolicy")["nothing-else"]["spec"]
    assert nothing["podSelector"] == {}
    assert nothing["policyTypes"] == ["Ingress", "Egress"]


def pods_of(name: str) -> list[str]:
    """Return the stable names of a set's pods."""
    spec = WORKLOADS[name]["spec"]
    first = spec.get("ordinals", {}).get("start", 0)
    return [f"{name}-{number}.{spec['serviceName']}" for number in range(first, first + spec["replicas"])]


def test_the_quorums_and_the_cluster_name_the_pods_that_there_are() -> None:
    voters = environment("kafka")["KAFKA_CONTROLLER_QUORUM_VOTERS"].split(",")
    assert voters == [f"{number}@{name}:9093" for number, name in enumerate(pods_of("kafka"), 1)]
    keeper = ElementTree.parse(FOLDER / "clickhouse" / "keeper.xml")  # noqa: S314 - our own file
    assert [each.text for each in keeper.iter("hostname")] == pods_of("keeper")
    assert [each.text for each in keeper.iter("id")] == ["1", "2", "3"]
    nodes = ElementTree.parse(FOLDER / "clickhouse" / "cluster.xml")  # noqa: S314 - our own file
    assert [each.text for each in nodes.findall("zookeeper/node/host")] == pods_of("keeper")
    servers = nodes.find("remote_servers")
    assert servers is not None
    assert [each.tag for each in servers] == [environment("schema")["LIQHEAT_CLICKHOUSE__CLUSTER"]]
    shards = [[host.text for host in shard.iter("host")] for shard in servers.iter("shard")]
    assert shards == [pods_of("clickhouse-1"), pods_of("clickhouse-2")]
    # Else a row would be sent to both replicas by the one that took it, and copied by both.
    assert [each.text for each in servers.iter("internal_replication")] == ["true"] * len(shards)
    services = of_kind("Service")
    for name in ("kafka", "keeper", *STORES):
        labels, selector = pod(name)["metadata"]["labels"], services[WORKLOADS[name]["spec"]["serviceName"]]["spec"]
        assert selector["clusterIP"] == "None"
        assert labels.items() >= selector["selector"].items()


def test_settings_are_those_that_the_schema_takes() -> None:
    settings = of_kind("ConfigMap")["settings"]["data"]
    ClickHouse(
        cluster=settings["LIQHEAT_CLICKHOUSE__CLUSTER"],
        shard_database=settings["LIQHEAT_CLICKHOUSE__SHARD_DATABASE"],
    )
    assert not any("PASSWORD" in name for name in settings)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_script_makes_every_secret_that_is_mounted(tmp_path: Path) -> None:
    command = [str(FOLDER / "make_secrets.sh"), str(tmp_path / "secrets")]
    once = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    passwords, cluster = yaml.safe_load_all(once)
    for each in (passwords, cluster):
        kubernetes_validate.validate(each, KUBERNETES, strict=True)
    assert passwords["data"].keys() == COMPOSE["secrets"].keys()
    mounted = {file for name in WORKLOADS if name != "keeper" for file in secret_files(name).values()}
    assert mounted == {f"passwords/{name}" for name in COMPOSE["secrets"]} | {"webhook/url", "webhook/secret"}
    assert cluster["metadata"]["name"] == "clickhouse-cluster"
    text = (tmp_path / "secrets" / "clickhouse_cluster.xml").read_text()
    secret = ElementTree.fromstring(text).find("remote_servers/liqheat/secret")  # noqa: S314 - made by our own script
    assert secret is not None
    assert re.fullmatch(r"[0-9a-f]{48}", secret.text or "")
    # What is there stays.
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == once
