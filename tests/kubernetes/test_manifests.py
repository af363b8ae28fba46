"""The manifests agree with the service, with each other and with what watches them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from payment_service import bootstrap
from payment_service.messaging.kafka_settings import KafkaSettings
from payment_service.messaging.topics import WEBHOOKS
from payment_service.providers.payos.settings import PayOSSettings
from payment_service.settings import Settings
from payment_service.telemetry.metrics import Metrics
from tests.kubernetes.manifests import (
    COMPONENT,
    NAME,
    PROCESSES,
    container,
    kustomization,
    load,
    of_kind,
    pod,
    settings,
    workloads,
)
from tests.support.service import DATA_KEYS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
EVERYTHING = sorted([*PROCESSES, "migrate"])
SECRETS = {
    "PAYMENTS_DATABASE_URL": "mysql+asyncmy://payments_app:secret@mysql.data/payments",
    "PAYMENTS_BROKER_URL": "kafka://kafka.data:9092",
    "PAYMENTS_DATA_KEYS": DATA_KEYS,
    "PAYMENTS_OPS_TOKEN": "a-token-for-tests-of-at-least-32-bytes",
}
PHASES = 3  # of the end: requests, workers, the operators' port


def test_every_process_that_the_reference_names_has_a_workload() -> None:
    commands = (REFERENCE / "commands.md").read_text()
    named = re.search(r"`payment-service ((?:\w+ \| )+\w+)`: any number of each", commands)
    assert named is not None

    assert set(named[1].split(" | ")) == set(PROCESSES) == {role.value for role in bootstrap.Role}
    assert set(workloads()) == set(EVERYTHING)
    for component, workload in workloads().items():
        assert container(workload)["args"] == [component]
        assert container(workload)["image"] == "payment-service"


def test_settings_and_secrets_are_such_that_the_service_starts(tmp_path: Path) -> None:
    environ = settings()
    mounted = {name: value for name, value in environ.items() if name.endswith("_FILE")}
    for name, path in mounted.items():
        assert path == f"/run/secrets/payments/{name.removesuffix('_FILE')}"
        secret = name.removesuffix("_FILE")
        (tmp_path / secret).write_text(SECRETS.get(secret, f"the {secret}\n"))
        environ[name] = str(tmp_path / secret)

    read = Settings.read(environ)

    assert read.database_url == SECRETS["PAYMENTS_DATABASE_URL"]
    assert read.public_url.startswith("https://")
    assert PayOSSettings.read(read.environment).payout is not None
    assert set(SECRETS) <= {name.removesuffix("_FILE") for name in mounted}


def test_every_setting_is_one_that_the_reference_explains() -> None:
    page = (REFERENCE / "settings.md").read_text()
    explained = set(re.findall(r"`((?:PAYMENTS|PAYOS|OTEL)_[A-Z_]+)`", page))

    assert {name.removesuffix("_FILE") for name in settings()} <= explained


@pytest.mark.parametrize("component", EVERYTHING)
def test_nothing_runs_with_rights(component: str) -> None:
    of_pod, of_container = pod(workloads()[component]), container(workloads()[component])

    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert of_pod["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": int(user[1]), "runAsGroup": int(user[2]),
        "fsGroup": int(user[2]), "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert of_container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert of_pod["automountServiceAccountToken"] is of_pod["enableServiceLinks"] is False
    (namespace,) = of_kind("Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("component", EVERYTHING)
def test_secrets_are_files_that_only_we_read(component: str) -> None:
    of_pod, of_container = pod(workloads()[component]), container(workloads()[component])
    modes = {each["name"]: each["secret"]["defaultMode"] for each in of_pod["volumes"]}
    mounts = {each["name"]: each["mountPath"] for each in of_container["volumeMounts"]}

    assert set(modes) == set(mounts)
    assert set(modes.values()) == {0o440}
    assert all(each["readOnly"] for each in of_container["volumeMounts"])
    for setting in of_container.get("env", ()):
        assert setting["name"].endswith("_FILE"), "a secret in the environment is seen by many"
        assert any(setting["value"].startswith(f"{place}/") for place in mounts.values())


@pytest.mark.parametrize("component", PROCESSES)
def test_a_process_is_asked_where_it_answers_and_has_time_to_end(component: str) -> None:
    workload, of_container = workloads()[component], container(workloads()[component])
    dockerfile = (ROOT / "Dockerfile").read_text()
    ports = {port["name"]: port["containerPort"] for port in of_container["ports"]}
    wait = of_container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)

    assert ports == ({"http": 8000} if component == "api" else {}) | {"ops": 9000}
    assert f"PAYMENTS_OPS_PORT={ports['ops']}" in dockerfile
    assert [
        of_container[f"{probe}Probe"]["httpGet"] for probe in ("startup", "liveness", "readiness")
    ] == [{"path": path, "port": "ops"} for path in ("/livez", "/livez", "/readyz")]
    grace = pod(workload)["terminationGracePeriodSeconds"]
    assert grace >= wait + PHASES * bootstrap.DRAIN_SECONDS
    assert wait >= (10 if component == "api" else 0), "balancers need time to forget us"
    assert of_container["resources"].keys() == {"requests", "limits"}
    assert "cpu" not in of_container["resources"]["limits"]


@pytest.mark.parametrize("component", PROCESSES)
def test_a_roll_takes_nothing_away_before_its_successor_is_ready(component: str) -> None:
    workload = workloads()[component]
    labels = {NAME: "payment-service", COMPONENT: component}
    (budget,) = [
        each for each in of_kind("PodDisruptionBudget").values()
        if each["spec"]["selector"]["matchLabels"] == labels
    ]  # fmt: skip
    spreads = pod(workload)["topologySpreadConstraints"]

    assert workload["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert workload["spec"]["selector"]["matchLabels"] == labels
    assert workload["spec"]["template"]["metadata"]["labels"] == labels
    assert budget["spec"]["maxUnavailable"] == 1
    assert [each["labelSelector"]["matchLabels"] for each in spreads] == [labels, labels]
    assert replicas(component) >= 2, "one of them may go at any time"


def replicas(component: str) -> int:
    scaler = of_kind("HorizontalPodAutoscaler").get(f"payments-{component}")
    if scaler is None:
        return int(workloads()[component]["spec"]["replicas"])
    assert "replicas" not in workloads()[component]["spec"], "the autoscaler decides"
    assert scaler["spec"]["scaleTargetRef"] == {
        "apiVersion": "apps/v1", "kind": "Deployment", "name": f"payments-{component}",
    }  # fmt: skip
    return int(scaler["spec"]["minReplicas"])


def test_consumers_grow_with_lag_and_never_beyond_the_partitions() -> None:
    scaler = of_kind("HorizontalPodAutoscaler")["payments-consumer"]["spec"]
    (metric,) = scaler["metrics"]
    (rule,) = load("monitoring/prometheus-adapter.yaml")[0]["rules"]["external"]
    name = metric["external"]["metric"]["name"]
    scraped = Metrics(version="1").registry.collect()
    (alert,) = [
        rule
        for group in yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"]
        for rule in group["rules"] if rule.get("alert") == "ConsumerLagHigh"
    ]  # fmt: skip

    assert scaler["maxReplicas"] == KafkaSettings.parse("kafka://kafka:9092").partitions
    assert name in {each.name for each in scraped}
    assert rule["name"]["as"] == name
    assert name in alert["expr"]
    assert f'topic="{WEBHOOKS}"' in rule["seriesQuery"]
    assert rule["seriesQuery"].startswith(name)


def test_callers_reach_the_api_and_nobody_the_operators_port_but_the_scraper() -> None:
    policies = {name: each["spec"] for name, each in of_kind("NetworkPolicy").items()}
    (service,) = of_kind("Service").values()
    opened = {
        (port["port"], source["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"])
        for policy in policies.values() for rule in policy.get("ingress", ())
        for source in rule["from"] for port in rule["ports"]
    }  # fmt: skip

    assert policies["payments-nothing-else"] == {
        "podSelector": {}, "policyTypes": ["Ingress", "Egress"],
    }  # fmt: skip
    assert opened == {("http", "ingress-nginx"), ("ops", "monitoring")}
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    assert service["spec"]["selector"] == {NAME: "payment-service", COMPONENT: "api"}


def test_what_a_process_calls_is_let_out_and_nothing_private_by_the_way_to_the_internet() -> None:
    policies = {name: each["spec"] for name, each in of_kind("NetworkPolicy").items()}
    needs = {
        port["port"] for rule in policies["payments-needs"]["egress"] for port in rule["ports"]
    }
    (rule,) = policies["payments-internet"]["egress"]
    (selected,) = policies["payments-internet"]["podSelector"]["matchExpressions"]

    assert needs == {53, 3306, 9092, 4318}
    assert [port["port"] for port in rule["ports"]] == [443]
    assert "169.254.0.0/16" in rule["to"][0]["ipBlock"]["except"], "credentials of the machine"
    assert set(selected["values"]) == {"api", "consumer", "scheduler"}, "who asks the provider"


def test_prometheus_finds_every_process_under_the_names_of_the_alerts() -> None:
    (monitor,) = load("monitoring/pod-monitor.yaml")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    labels = {each["targetLabel"]: each for each in endpoint["relabelings"]}
    rules = (ROOT / "deploy/prometheus/rules.yml").read_text()
    asked = set(re.findall(r'up\{job="(\w+)", role="(\w+)"\}', rules))

    assert asked == {(labels["job"]["replacement"], process) for process in PROCESSES}
    (source,) = labels["role"]["sourceLabels"]
    assert source == "__meta_kubernetes_pod_label_" + re.sub(r"[./-]", "_", COMPONENT)
    assert endpoint["port"] == "ops"
    assert monitor["spec"]["selector"]["matchLabels"] == {NAME: "payment-service"}


@pytest.mark.parametrize("folder", ["migrate", "service", "monitoring"])
def test_a_kustomization_names_files_that_exist(folder: str) -> None:
    said: dict[str, Any] = kustomization(folder)

    for path in said["resources"]:
        assert load(f"{folder}/{path}"), path
    assert said.get("components", ["../release"]) == ["../release"]


def test_the_image_and_the_settings_are_said_once() -> None:
    release = kustomization("release")

    assert [image["name"] for image in release["images"]] == ["payment-service"]
    assert release["images"][0]["newTag"] == bootstrap.VERSION
    assert [each["name"] for each in release["configMapGenerator"]] == ["payments-settings"]
    for workload in workloads().values():
        assert container(workload)["envFrom"] == [{"configMapRef": {"name": "payments-settings"}}]
