"""Every manifest is what Kubernetes takes, in the oldest release that we name and in a new one.

Fields that do not exist are refused.
"""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from deploy.stack.cache import build_once
from deploy.stack.errors import Unavailable
from tests.kubernetes.manifests import FOLDER, Manifest, load

LOCK = Path(__file__).with_name("schemas.lock")
VERSIONS = ("1.30", "1.37")  # 1.30 is the first that can sleep before it stops a container
INSTALL_SECONDS = 120
CUSTOM = {"PodMonitor", "Kustomization", "Component"}  # no API of Kubernetes itself
FILES = sorted(
    path.relative_to(FOLDER).as_posix()
    for path in FOLDER.rglob("*.yaml")
    if path.name != "prometheus-adapter.yaml"  # values of a chart
)


@pytest.fixture(scope="module")
def schemas() -> Path:
    try:
        return build_once("kubernetes-schemas-1.37.0", _install) / "kubernetes_validate"
    except (subprocess.SubprocessError, OSError, Unavailable) as error:
        reason = f"the schemas of Kubernetes cannot be had: {error}"
        (pytest.fail if os.environ.get("REQUIRE_STACK") else pytest.skip)(reason)


def _install(folder: Path) -> None:
    """Unpack a package, checked against its hash: it brings schemas, and nothing of it is run."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [str(uv), "pip", "install", "--quiet", "--no-deps", "--require-hashes",
         "--only-binary=:all:", "--target", str(folder), "-r", str(LOCK)],
        check=True, timeout=INSTALL_SECONDS,
    )  # fmt: skip


@cache
def validator(place: Path, name: str) -> jsonschema.Draft202012Validator:
    def read(name: str) -> Any:
        return json.loads((place / f"{name}.json").read_text())

    definitions = Resource(contents=read("_definitions"), specification=DRAFT202012)
    registry = Registry().with_resource("/api/_definitions.json", definitions)
    return jsonschema.Draft202012Validator(read(name), registry=registry)


def faults(folder: Path, version: str, manifest: Manifest) -> list[str]:
    group, _, api = manifest["apiVersion"].rpartition("/")
    name = "-".join(filter(None, [manifest["kind"].lower(), group.split(".")[0], api]))
    place = folder / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    found = validator(place, name).iter_errors(manifest)
    return [f"{error.json_path}: {error.message}"[:200] for error in found]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", FILES)
def test_a_manifest_is_what_kubernetes_takes(schemas: Path, path: str, version: str) -> None:
    ours = [each for each in load(path) if each["kind"] not in CUSTOM]

    assert {each["metadata"]["name"]: faults(schemas, version, each) for each in ours} == {
        each["metadata"]["name"]: [] for each in ours
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_a_field_that_does_not_exist_is_refused(schemas: Path, version: str) -> None:
    """The schemas are strict: else a field that is misspelt would be dropped without a word."""
    deployment = load("service/api.yaml")[0]
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = 75
    deployment["spec"]["minReadySeconds"] = "five"

    assert len(faults(schemas, version, deployment)) == 2
