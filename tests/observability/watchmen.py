"""A real Prometheus and a real Alertmanager beside real processes, and somebody who is told.

Rules and routes are the ones of deploy/prometheus; only their patience is shortened.
"""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.deployment import Role
from tests.support.process import free_port, wait_until
from tests.support.prometheus import tool

DEPLOY = Path(__file__).parents[2] / "deploy/prometheus"
SOON = "1s"
START_SECONDS = 60
STOP_SECONDS = 20


class Pager:
    """Who is told: every notification, in order."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.url = ""

    def heard(self, alert: str, status: str) -> dict[str, Any] | None:
        """Find the last word on an alert, if that is its state."""
        words = [word for word in self.told if word["labels"]["alertname"] == alert]
        return words[-1] if words and words[-1]["status"] == status else None


@contextmanager
def running_pager() -> Iterator[Pager]:
    """Take notifications on a free port."""
    pager = Pager()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            receiver = self.path.strip("/")
            pager.told += [alert | {"receiver": receiver} for alert in body["alerts"]]
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    pager.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield pager
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def watching(folder: Path, roles: list[Role]) -> Iterator[tuple[Pager, str]]:
    """Watch some processes; give the pager, and the address of Prometheus."""
    with ExitStack() as stack:
        pager = stack.enter_context(running_pager())
        prometheus, alertmanager = free_port(), free_port()
        _write_rules(folder / "rules.yml")
        _write(folder / "alertmanager.yml", _alertmanager(pager.url))
        _write(folder / "prometheus.yml", _prometheus(roles, alertmanager))
        stack.enter_context(_process(
            folder, tool("prometheus-alertmanager"), f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/alerts", f"--web.listen-address=127.0.0.1:{alertmanager}",
            "--cluster.listen-address=",
        ))  # fmt: skip
        stack.enter_context(_process(
            folder, tool("prometheus"), f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{prometheus}",
        ))  # fmt: skip
        for port in (prometheus, alertmanager):
            url = f"http://127.0.0.1:{port}/-/ready"
            wait_until(lambda url=url: _answers(url), seconds=START_SECONDS, what=url)
        yield pager, f"http://127.0.0.1:{prometheus}"


def _write_rules(path: Path) -> None:
    """Shorten the waits of the rules; the expressions stay what they are."""
    content = yaml.safe_load((DEPLOY / "rules.yml").read_text())
    for group in content["groups"]:
        group["interval"] = SOON
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = SOON
    _write(path, content)


def _alertmanager(url: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "alertmanager.yml").read_text())
    content["route"] |= {"group_wait": "0s", "group_interval": SOON}
    for receiver in content["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{url}/{receiver['name']}", "send_resolved": True}]
    return content


def _prometheus(roles: list[Role], alertmanager: int) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    content["global"] = {"scrape_interval": SOON, "evaluation_interval": SOON}
    (job,) = content["scrape_configs"]
    job["static_configs"] = [
        {"targets": [f"127.0.0.1:{role.ops_port}"], "labels": {"role": role.name}} for role in roles
    ]
    target = {"targets": [f"127.0.0.1:{alertmanager}"]}
    content["alerting"] = {"alertmanagers": [{"static_configs": [target]}]}
    return content


def _write(path: Path, content: Any) -> None:
    path.write_text(yaml.safe_dump(content))


@contextmanager
def _process(folder: Path, *command: str) -> Iterator[None]:
    with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False
