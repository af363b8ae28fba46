"""A headless Chromium, driven over the WebDriver protocol (W3C) without a library."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.support.process import free_port, wait_until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
STOP_SECONDS = 10
LOGS = {"browser": "ALL", "performance": "ALL"}
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=480,1000",
)  # fmt: skip
PHONE_WIDTH_MAX = 600
LOGS = {"browser": "ALL", "performance": "ALL"}


class Tab:
    """A page in the browser."""

    def __init__(self, session: httpx.Client) -> None:
        self._session = session

    def open(self, url: str) -> None:
        """Go to an address."""
        self._call("POST", "/url", {"url": url})

    def click(self, selector: str) -> None:
        """Click what a CSS selector names."""
        query = {"using": "css selector", "value": selector}
        element = self._call("POST", "/element", query)[ELEMENT]
        self._call("POST", f"/element/{element}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Write into what a CSS selector names."""
        query = {"using": "css selector", "value": selector}
        element = self._call("POST", "/element", query)[ELEMENT]
        self._call("POST", f"/element/{element}/value", {"text": text})

    def press(self, key: str) -> None:
        """Press a key, whatever has the focus."""
        actions = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        sequence = {"type": "key", "id": "keyboard", "actions": actions}
        self._call("POST", "/actions", {"actions": [sequence]})

    def forget(self) -> None:
        """Lose what the page has left in the browser, and load it afresh."""
        self._call("DELETE", "/cookie")
        self.run("localStorage.clear()")
        self._call("POST", "/refresh", {})

    def run(self, script: str) -> Any:
        """Run the body of a function in the page; return what it returns."""
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def wait_for(self, condition: str, *, seconds: float = 20) -> None:
        """Wait until an expression holds in the page."""
        wait_until(lambda: self.run(f"return {condition}"), seconds=seconds, what=condition)

    def look(self, *, width: int, height: int, scheme: str = "light") -> None:
        """Set the size of the page, and whether the user likes it light or dark."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1}
        metrics |= {"mobile": width < PHONE_WIDTH_MAX}  # whose scrollbars take no room
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._devtools("Emulation.setEmulatedMedia", {"features": [feature]})

    def screenshot(self) -> bytes:
        """Take a picture of the whole page, as PNG."""
        options = {"format": "png", "captureBeyondViewport": True}
        return base64.b64decode(self._devtools("Page.captureScreenshot", options)["data"])

    def requested(self) -> list[str]:
        """List every address that the browser asked for since the last look."""
        entries = self._call("POST", "/se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def _devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def text(self) -> str:
        """Read the page."""
        return str(self._call("GET", "/source"))

    def resize(self, width: int, height: int = 1000) -> None:
        """Look through a window of another size, as a phone does; not below 500 without this."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
        self._command("Emulation.setDeviceMetricsOverride", metrics)

    def ask(self, script: str) -> Any:
        """Evaluate an expression of JavaScript in the page."""
        return self._call("POST", "/execute/sync", {"script": f"return {script}", "args": []})

    def picture(self) -> Image.Image:
        """Look at the page."""
        raw = base64.b64decode(self._call("GET", "/screenshot"))
        return Image.open(BytesIO(raw)).convert("L")

    def save(self, path: Path) -> None:
        """Keep a picture of the page, for people."""
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def requests(self) -> list[str]:
        """List the addresses that the browser has asked since the last call, its own aside."""
        entries = self._call("POST", "/se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        urls = [message["params"]["request"]["url"] for message in messages
                if message["method"] == "Network.requestWillBeSent"]  # fmt: skip
        return [url for url in urls if not url.startswith(("data:", "blob:", "chrome"))]

    def errors(self) -> list[str]:
        """List what the browser complained about."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if "favicon" not in entry["message"]]

    def _command(self, name: str, parameters: dict[str, Any]) -> None:
        self._call("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        response = self._session.request(method, path.lstrip("/"), json=body)
        assert response.status_code == 200, response.text
        return response.json()["value"]


@contextmanager
def browser() -> Iterator[Tab]:
    """Start a browser; skip where there is none, fail where there must be one."""
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or chromium is None:
        reason = "chromium and chromium-driver are not installed"
        (pytest.fail if os.environ.get("REQUIRE_STACK") else pytest.skip)(reason)
    port = free_port()
    with tempfile.TemporaryDirectory() as profile:
        process = subprocess.Popen(
            [driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            base = f"http://127.0.0.1:{port}"
            wait_until(lambda: _answers(base), what="chromedriver answers")
            yield from _session(base, chromium, profile)
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _session(base: str, chromium: str, profile: str) -> Iterator[Tab]:
    options = {"binary": chromium, "args": [*FLAGS, f"--user-data-dir={profile}"]}
    capabilities = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": LOGS}}
    with httpx.Client(timeout=60, trust_env=False) as http:
        made = http.post(f"{base}/session", json={"capabilities": capabilities})
        assert made.status_code == 200, made.text
        path = f"{base}/session/{made.json()['value']['sessionId']}/"
        with httpx.Client(base_url=path, timeout=60, trust_env=False) as session:
            yield Tab(session)
        http.delete(path.rstrip("/"))


def _answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/status", timeout=1, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
