"""What a newcomer does: start, create a payment, pay it on the page, read it back."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import zxingcpp

from tests.support.browser import browser
from tests.support.process import Development, development, wait_until

COMMAND_SECONDS = 60


def create(running: Development) -> dict[str, Any]:
    response = running.call("POST", "/v1/payments", {
        "amount": 45_000, "currency": "VND", "order_reference": "order-1",
        "return_url": "https://shop.example/t", "cancel_url": "https://shop.example/c",
    })  # fmt: skip
    assert response.status_code == 201, response.text
    return dict(response.json())


def status(running: Development, payment_id: str) -> str:
    return str(running.call("GET", f"/v1/payments/{payment_id}").json()["status"])


def console_opens(running: Development) -> bool:
    """Sign in to the console with what was printed."""
    printed = re.search(r"Console +(\S+)/console\n +with the token (\S+)", running.welcome)
    assert printed is not None, running.welcome
    address, token = printed.groups()
    body = {"name": "you", "token": token}
    return httpx.post(
        f"{address}/console/session", json=body, headers={"origin": address}, trust_env=False
    ).is_success


@pytest.mark.slow
def test_payment_is_paid_on_the_checkout_page_and_survives_a_restart(tmp_path: Path) -> None:
    with development(tmp_path) as running:
        payment = create(running)
        page = httpx.get(payment["checkout_url"], trust_env=False)
        clicked = httpx.post(f"{payment['checkout_url']}/pay", trust_env=False)
        wait_until(lambda: status(running, payment["payment_id"]) == "paid", seconds=5, what="paid")

        assert console_opens(running)
        assert "45.000" in page.text
        assert "<script" not in page.text
        assert clicked.status_code == 303
        assert running.stop() == 0

        running.start()
        assert status(running, payment["payment_id"]) == "paid"
        again = httpx.get(payment["checkout_url"], trust_env=False)
        assert "Paid" in again.text
        assert running.stop() == 0


@pytest.mark.slow
def test_clock_of_dev_lets_a_payment_expire_at_once_and_survives_a_restart(tmp_path: Path) -> None:
    with development(tmp_path) as running:
        payment = create(running)
        clock = f"{running.ops_url}/dev/clock"

        moved = httpx.post(clock, json={"advance_seconds": 86_400}, timeout=60, trust_env=False)

        assert moved.json()["idle"] is True, moved.text
        assert "/dev/clock" in running.welcome
        assert status(running, payment["payment_id"]) == "expired"
        assert running.stop() == 0
        running.start()
        assert httpx.get(clock, trust_env=False).json()["ahead_seconds"] == 86_400
        assert create(running)["status"] == "pending"
        assert running.stop() == 0


@pytest.mark.slow
def test_printed_curl_lines_work_as_they_are(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with development(tmp_path) as running:
        create, read, wait = re.findall(
            r"^    (curl (?:.*\\\n)*.*(?:\n {11}.*)?)$", running.welcome, re.MULTILINE
        )
        created = json.loads(paste(create, running))
        assert created["status"] == "pending"

        httpx.post(f"{created['checkout_url']}/pay", trust_env=False)

        def is_paid() -> bool:
            [seen] = json.loads(paste(read, running))["data"]
            return (seen["payment_id"], seen["status"]) == (created["payment_id"], "paid")

        wait_until(is_paid, seconds=20, what="paid")
        assert json.loads(paste(wait, running))["ahead_seconds"] == 900


def paste(line: str, running: Development) -> str:
    """Run a line that was printed, as a shell that has the token."""
    return subprocess.run(
        ["bash", "-c", f"TOKEN={shlex.quote(running.token)}; {line}"],
        capture_output=True, text=True, check=True, timeout=COMMAND_SECONDS,
    ).stdout  # fmt: skip


@pytest.mark.slow
def test_payer_scans_and_pays_in_a_real_browser(tmp_path: Path) -> None:
    with development(tmp_path) as running, browser() as tab:
        payment = create(running)

        tab.open(payment["checkout_url"])
        codes = [code.text for code in zxingcpp.read_barcodes(tab.picture())]
        tab.click("#pay")

        assert codes == [payment["qr_code"]]
        wait_until(lambda: status(running, payment["payment_id"]) == "paid", seconds=5, what="paid")
        assert "Paid" in tab.text()
        assert tab.errors() == []


@pytest.mark.slow
def test_payer_is_declined_and_pays_with_another_card_in_a_real_browser(tmp_path: Path) -> None:
    with development(tmp_path, {"PAYMENTS_PROVIDER": "stripe"}) as running, browser() as tab:
        payment = create(running)

        tab.open(payment["checkout_url"])
        tab.click("#insufficient_funds")
        wait_until(lambda: "insufficient funds" in tab.text(), seconds=5, what="declined")
        still = status(running, payment["payment_id"])
        tab.click("#good")

        assert still == "pending"
        wait_until(lambda: status(running, payment["payment_id"]) == "paid", seconds=5, what="paid")
        assert "Paid" in tab.text()
        assert tab.errors() == []
