"""The image: what is in it, and a payment through containers of it on real MySQL and Kafka.

`make image` builds it and runs these; otherwise they are skipped, for building takes minutes.
"""

import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.image.buildah import Buildah, Image
from deploy.sbom import LOCK, read_lock
from deploy.stack.packages import ensure_program
from tests.image.container import Containers
from tests.support.deployment import Deployment, deployment
from tests.support.simulator import Simulator

STOP_SECONDS_MAX = 20  # of which the service allows itself as many to drain; idle it needs few
LOOPBACK = {"PAYMENTS_HOST": "127.0.0.1", "PAYMENTS_OPS_HOST": "127.0.0.1"}
ROLES = ("api", "relay", "consumer", "scheduler")

pytestmark = [
    pytest.mark.skipif(os.environ.get("IMAGE") != "1", reason="make image builds one first"),
    pytest.mark.slow,
    pytest.mark.stack,
    pytest.mark.xdist_group("stack"),
]


@pytest.fixture(scope="module")
def buildah() -> Buildah:
    return Buildah()


@pytest.fixture(scope="module")
def image(buildah: Buildah) -> Image:
    return buildah.image()


@pytest.fixture(scope="module")
def root(buildah: Buildah) -> Iterator[Path]:
    with buildah.mounted() as files:
        yield files


@pytest.fixture
def containers(image: Image, root: Path, tmp_path: Path) -> Iterator[Containers]:
    runtime = ensure_program("runc", "runc", progress=print)
    made = Containers(runtime, image, root, tmp_path)
    yield made
    made.close()


@pytest.fixture
def running(
    containers: Containers,
    tmp_path: Path,
    mysql_server: Any,
    kafka_server: Any,
    simulator: Simulator,
) -> Iterator[Deployment]:
    name = f"test_{secrets.token_hex(8)}"
    with deployment(
        tmp_path,
        database_url=mysql_server.create_database(name),
        broker_url=f"kafka://127.0.0.1:{kafka_server.port}",
        simulator=simulator,
        launch=lambda arguments, environ: containers.make(arguments, environ | LOOPBACK).command,
    ) as made:
        yield made
    mysql_server.drop_database(name)


def test_the_image_runs_as_nobody_in_particular_and_lets_nothing_be_written(
    containers: Containers,
) -> None:
    look = (
        "import json, os, pathlib\n"
        "status = dict(line.split(':\\t', 1) for line in open('/proc/self/status')"
        " if ':\\t' in line)\n"
        "places = [str(p) for p in ['/', '/tmp', '/var', '/venv', os.getcwd()]"
        " if os.access(p, os.W_OK)]\n"
        "print(json.dumps([os.getpid(), os.getuid(), os.getgid(), status['CapEff'].strip(),"
        " places]))"
    )

    done = containers.run("python", "-c", look)

    assert json.loads(done.stdout) == [1, 10001, 10001, "0" * 16, []]


def test_nothing_is_in_the_image_but_what_the_lock_names(containers: Containers) -> None:
    listed = containers.run(
        "python", "-c",
        "import importlib.metadata as m; print(*(f'{d.name}=={d.version}'"
        " for d in m.distributions()))",
    )  # fmt: skip

    installed = {each.lower().replace("_", "-") for each in listed.stdout.split()}
    locked = {f"{each.name}=={each.version}" for each in read_lock(LOCK.read_text())}
    ours = {each for each in installed if each.startswith("payment-service==")}
    assert len(ours) == 1
    assert len(installed) > 50
    # The lock also names what other systems need; pip itself is not among what is installed.
    assert installed - ours <= locked


def test_the_image_holds_no_tests_tools_or_history(root: Path) -> None:
    site = next((root / "venv").glob("lib/python3.*/site-packages"))
    wanted = {"payment_service", "payos_simulator", "openapi_runtime", "generated"}

    assert wanted <= {path.name for path in site.iterdir()}
    for name in ("tests", "pip", "setuptools", "hatchling", "pytest", "codegen", "deploy"):
        assert not (site / name).exists(), name
    assert list((root / "venv").rglob("tests")) == []
    assert [
        path for path in (root / "build", root / "tools", root / "wheels") if path.exists()
    ] == []


def test_a_payment_is_made_and_paid_by_containers(
    running: Deployment, containers: Containers, image: Image, simulator: Simulator
) -> None:
    roles = running.start(*ROLES)
    checks = [
        inside.execute(*image.config["Healthcheck"]["Test"][1:])
        for inside in containers.made[-len(ROLES) :]
    ]

    payment = running.create(45_000)
    simulator.pay(payment["provider_reference"])
    webhook = simulator.webhook(payment["provider_reference"])
    told = running.call("POST", "/v1/webhooks/payos", webhook)
    running.wait_for(payment["payment_id"], "paid", seconds=60)
    ended = []
    for role in roles:
        started = time.monotonic()
        code = role.stop()
        ended.append((role.name, code, time.monotonic() - started))

    print(", ".join(f"{name} ends in {seconds:.1f} s" for name, _, seconds in ended))
    assert [check.returncode for check in checks] == [0] * len(ROLES), checks
    assert told.status_code == 200
    assert [code for _, code, _ in ended] == [0] * len(ROLES)
    assert max(seconds for *_, seconds in ended) < STOP_SECONDS_MAX
    assert running.command("audit").returncode == 0


def test_a_process_that_does_not_serve_is_unhealthy(containers: Containers, image: Image) -> None:
    _, *check = image.config["Healthcheck"]["Test"]

    silent = containers.run(*check)

    assert silent.returncode != 0
    assert image.config["Healthcheck"]["Test"][0] == "CMD"  # not CMD-SHELL
