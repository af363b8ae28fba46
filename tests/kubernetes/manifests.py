"""Reads the manifests as `kubectl apply -k` does, as far as ours need it: nothing is patched."""

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
PROCESSES = ("api", "relay", "consumer", "scheduler")

Manifest = dict[str, Any]


def load(path: str) -> list[Manifest]:
    """Read a file with one or more objects."""
    return [each for each in yaml.safe_load_all((FOLDER / path).read_text()) if each]


def kustomization(folder: str) -> Manifest:
    """Read what a folder consists of."""
    (found,) = load(f"{folder}/kustomization.yaml")
    return found


def objects(folder: str) -> list[Manifest]:
    """Read every object that applying a folder makes, in its order."""
    return [
        each for path in kustomization(folder)["resources"] for each in load(f"{folder}/{path}")
    ]


def of_kind(kind: str, folder: str = "service") -> dict[str, Manifest]:
    """Find the objects of a kind, by name."""
    return {each["metadata"]["name"]: each for each in objects(folder) if each["kind"] == kind}


def workloads() -> dict[str, Manifest]:
    """Find what runs, by component."""
    found = [*of_kind("Deployment").values(), *of_kind("Job", "migrate").values()]
    return {each["metadata"]["labels"][COMPONENT]: each for each in found}


def pod(workload: Manifest) -> Manifest:
    """Return the specification of its pods."""
    return dict(workload["spec"]["template"]["spec"])


def container(workload: Manifest) -> Manifest:
    """Return its one container."""
    (only,) = pod(workload)["containers"]
    return dict(only)


def settings() -> dict[str, str]:
    """Read what the ConfigMap holds."""
    lines = (FOLDER / "release/settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
