"""Webhooks: what payOS posts when money arrives, with the ways in which deliveries go wrong."""

import asyncio
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from payos_simulator import signatures
from payos_simulator.config import Config
from payos_simulator.ledger import VIETNAM, Ledger, Link, Transfer

TIMEOUT_SECONDS = 10.0
LOG_MAX = 1000
PENDING_MAX = 10_000
LOCAL_TIME = "%Y-%m-%d %H:%M:%S"

# Source: the sample by which payOS's own shop plugins recognise the registration ping.
PING = {
    "accountNumber": "12345678",
    "amount": 3000,
    "description": "VQRIO123",
    "reference": "TF230204212323",
    "transactionDateTime": "2023-02-04 18:25:00",
    "virtualAccountNumber": "",
    "counterAccountBankId": "",
    "counterAccountBankName": "",
    "counterAccountName": "",
    "counterAccountNumber": "",
    "virtualAccountName": "",
    "currency": "VND",
    "orderCode": 123,
    "paymentLinkId": "124c33293c43417ab7879e14c8d9eb18",
    "code": "00",
    "desc": "success",
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try to deliver a webhook."""

    order_code: int
    reference: str
    attempt: int
    outcome: str  # the status, or what went wrong


class Webhooks:
    """Sends webhooks, again and again until they are acknowledged or the tries are used up."""

    def __init__(self, config: Config, ledger: Ledger, http: httpx.AsyncClient) -> None:
        self._config = config
        self._ledger = ledger
        self._http = http
        self._tasks: set[asyncio.Task[None]] = set()
        self.log: deque[Delivery] = deque(maxlen=LOG_MAX)
        self.iso_times = False  # the next form of webhooks: see `webhook-schemas/payos/v2.json`

    @property
    def deliveries(self) -> list[dict[str, Any]]:
        """List the tries, oldest first."""
        return [asdict(delivery) for delivery in self.log]

    def tell(self, link: Link, transfer: Transfer, mode: str = "on") -> None:
        """Report a transfer. Modes: on, off, duplicate, tampered."""
        if mode == "off" or len(self._tasks) >= PENDING_MAX:
            return
        envelope = self.envelope(link, transfer)
        if mode == "tampered":
            envelope["data"]["amount"] += 1
        for _ in range(2 if mode == "duplicate" else 1):
            task = asyncio.create_task(self._deliver(envelope))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def envelope(self, link: Link, transfer: Transfer) -> dict[str, Any]:
        """Write a webhook: all sixteen members, in the order of captured ones (not sorted)."""
        return self._signed(
            {
                "accountNumber": self._config.account_number,
                "amount": transfer.amount,
                "description": link.description,
                "reference": transfer.reference,
                "transactionDateTime": self._time(transfer),
                "virtualAccountNumber": "",
                "counterAccountBankId": transfer.counter_bank,
                "counterAccountBankName": "",
                "counterAccountName": transfer.counter_name,
                "counterAccountNumber": transfer.counter_account,
                "virtualAccountName": "",
                "currency": "VND",
                "orderCode": link.order_code,
                "paymentLinkId": link.id,
                "code": "00",
                "desc": "success",
            }
        )

    def _time(self, transfer: Transfer) -> str:
        at = transfer.at.astimezone(VIETNAM)
        return at.isoformat(timespec="seconds") if self.iso_times else at.strftime(LOCAL_TIME)

    async def ping(self, url: str) -> str | None:
        """Send the registration sample; return what was wrong with the answer."""
        try:
            response = await self._http.post(
                url, json=self._signed(dict(PING)), timeout=TIMEOUT_SECONDS
            )
        except httpx.TimeoutException:
            return f"timeout of {TIMEOUT_SECONDS * 1000:.0f}ms exceeded"
        except httpx.HTTPError as error:
            return type(error).__name__
        if not response.is_success:
            return f"Request failed with status code {response.status_code}"
        return None

    async def close(self) -> None:
        """Give up what is not delivered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _signed(self, data: dict[str, Any]) -> dict[str, Any]:
        signature = signatures.of_data(data, self._config.payment.checksum_key)
        return {
            "code": "00",
            "desc": "success",
            "success": True,
            "data": data,
            "signature": signature,
        }

    async def _deliver(self, envelope: dict[str, Any]) -> None:
        for attempt, delay in enumerate(self._config.webhook_delays_seconds, start=1):
            await asyncio.sleep(delay)
            url = self._ledger.books.webhook_url
            if url is None:
                return
            outcome = await self._post(url, envelope)
            data = envelope["data"]
            self.log.append(Delivery(data["orderCode"], data["reference"], attempt, outcome))
            if outcome.startswith("2"):
                return

    async def _post(self, url: str, envelope: dict[str, Any]) -> str:
        try:
            response = await self._http.post(url, json=envelope, timeout=TIMEOUT_SECONDS)
        except httpx.HTTPError as error:
            return type(error).__name__
        return str(response.status_code)
