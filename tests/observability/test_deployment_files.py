"""What compose starts fits together, as far as that can be seen without a Docker daemon.

The configurations of Tempo, Loki and Alloy cannot be checked by their programs here: they are
parsed and held against what is known to have changed.
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from payment_service.providers.payos.settings import PayOSSettings
from payment_service.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
SEEN = {name for name, service in SERVICES.items() if "seen" in service.get("profiles", ())}


def load(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text())


def test_the_profile_has_all_that_sees() -> None:
    assert {"prometheus", "alertmanager", "grafana", "tempo", "loki", "alloy"} == SEEN


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_images_are_pinned_and_mounted_files_exist(name: str) -> None:
    service = SERVICES[name]
    if "build" not in service:
        assert re.fullmatch(r"[\w./-]+:v?\d+(\.\d+)+", service["image"])
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        if source.startswith("."):
            assert (DEPLOY / source).exists(), source
        elif not source.startswith("/"):
            assert source in COMPOSE["volumes"]


def test_prometheus_scrapes_every_role_where_it_listens() -> None:
    (job,) = load("prometheus/prometheus.yml")["scrape_configs"]
    scraped = {c["labels"]["role"]: c["targets"] for c in job["static_configs"]}
    roles = {name for name in SERVICES if name in {"api", "relay", "consumer", "scheduler"}}

    assert set(scraped) == roles
    for role, targets in scraped.items():
        port = SERVICES[role].get("environment", {}).get("PAYMENTS_OPS_PORT", "9000")
        assert targets == [f"simulator:{port}"], "they share the simulator's network"


def test_settings_are_such_that_every_process_starts() -> None:
    for role in ("migrate", "api", "relay", "consumer", "scheduler"):
        environ = {name: str(value) for name, value in SERVICES[role]["environment"].items()}

        settings = Settings.read(environ)

        assert PayOSSettings.read(settings.environment).payout is not None
        assert SERVICES[role]["command"] == [role]
        assert urlsplit(settings.database_url).hostname in SERVICES
        assert urlsplit(settings.broker_url).hostname in SERVICES


def test_spans_and_logs_find_their_way() -> None:
    alloy = (DEPLOY / "alloy/config.alloy").read_text()
    grpc = load("tempo/tempo.yml")["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]
    port = load("loki/loki.yml")["server"]["http_listen_port"]

    assert f'endpoint = "tempo:{grpc["endpoint"].rpartition(":")[2]}"' in alloy
    assert f'url = "http://loki:{port}/loki/api/v1/push"' in alloy
    assert 'endpoint = "0.0.0.0:4318"' in alloy
    labels = SERVICES["api"]["labels"]
    assert [f"{name}={value}" for name, value in labels.items()] == re.findall(
        r'values = \["([^"]+)"\]', alloy
    )
    used = r"= \[?((?:otelcol|loki|discovery)\.[\w.]+?)\.(?:input|receiver|output|targets)\b"
    wired = set(re.findall(used, alloy))
    declared = {".".join(pair) for pair in re.findall(r'^([\w.]+) "(\w+)" \{', alloy, re.MULTILINE)}
    assert wired <= declared
    assert alloy.count("{") == alloy.count("}")


def test_nothing_of_what_is_dead_is_used() -> None:
    kinds = {".yml", ".yaml", ".alloy"}
    text = "".join(path.read_text() for path in DEPLOY.rglob("*") if path.suffix in kinds)

    assert "promtail" not in text
    assert "grafana/agent" not in text
    assert not {"ingester", "compactor", "metrics_generator_client"} & set(load("tempo/tempo.yml"))
    (schema,) = load("loki/loki.yml")["schema_config"]["configs"]
    assert (schema["schema"], schema["store"]) == ("v13", "tsdb")


def test_grafana_finds_its_dashboards_and_datasources() -> None:
    (provider,) = load("grafana/provisioning/dashboards/payments.yml")["providers"]
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    sources = load("grafana/provisioning/datasources/payments.yml")["datasources"]

    assert mounted["./grafana/dashboards"] == provider["options"]["path"]
    assert {source["url"].split("/")[2].split(":")[0] for source in sources} <= SEEN
