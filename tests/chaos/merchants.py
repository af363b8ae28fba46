"""Merchants and payers: they live through the stories."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from tests.chaos.client import Client, OutOfTime, Progress
from tests.chaos.plan import READS, RefundWish, Size, Story, Transfer, tell
from tests.chaos.shared import SharedClock

PATIENCE_SECONDS = 15.0  # for something to happen; the story goes on without it
MORE_CLIENTS_MAX = 12  # after the plan: what is rare by then waits for time, not for payments
RETURNED = "REVERSED"
REASON = "decided in a run of chaos"


class Merchants:
    """All merchants and payers of a run."""

    def __init__(self, size: Size, clock: SharedClock, client: Client) -> None:
        self.started = 0
        self.finished = Progress()
        self.created: list[str] = []  # ids of payments, for operators to pick from
        self.faults: Counter[str] = Counter()
        self._size = size
        self._clock = clock
        self._client = client
        self._deliveries: set[asyncio.Task[None]] = set()

    async def run(self, goes_on: Callable[[], bool]) -> None:
        """Live through the planned stories, and through more while the run wants them."""

        async def worker(client: int) -> None:
            while not self._client.is_out_of_time and (
                self.started < self._size.payments or (client < MORE_CLIENTS_MAX and goes_on())
            ):
                number = self.started
                self.started += 1
                try:
                    await self._live(tell(self._size, number))
                except OutOfTime as error:
                    self._client.answers.unfinished.append(str(error))
                self.finished.move()

        await self._work(worker)
        await asyncio.gather(*self._deliveries)

    async def ask_again(self) -> None:
        """Repeat every create request: each must get the very answer that it got before.

        Whoever forsook a request to cancel comes back, too.
        """
        numbers = iter(range(self.started))

        async def worker(_client: int) -> None:
            for number in numbers:
                key, request = _key(story := tell(self._size, number)), _request(story)
                response = await self._client.ask("POST", "/v1/payments", request, key=key)
                if response.status_code == 201:
                    payment = response.json()
                    self._client.answers.payments[key] = payment["payment_id"]
                    if story.kind == "forsaken":
                        await self._cancel(story, payment)

        self._client.extend()
        await self._work(worker)

    async def _work(self, worker: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        async with asyncio.TaskGroup() as group:
            for client in range(self._size.clients):
                group.create_task(worker(client))

    async def _live(self, story: Story) -> None:
        for fault in story.faults:
            self.faults[f"payos {fault['kind']} {fault.get('status', '')}".strip()] += 1
            await self._client.bank("POST", "/faults", fault)
        if story.kind == "abandoned":
            await self._client.ask_and_leave(
                "/v1/payments", _request(story), key=_key(story), seconds=story.patience_seconds
            )
            return
        payment = await self._create(story)
        if payment is None:
            return
        await self._go_on(story, payment)

    async def _go_on(self, story: Story, payment: dict[str, Any]) -> None:
        for name in story.reads:
            await self._read(name, payment)
        if payment["status"] != "pending":
            return  # its time was up before its link was there: nobody sees one
        match story.kind:
            case "late":
                await self._clock_reaches(payment["expires_at"])
                await self._pay(payment, story.transfers)
            case "canceled":
                await self._cancel(story, payment)
            case "forsaken":
                await self._client.ask_and_leave(
                    **_cancellation(story, payment), seconds=story.patience_seconds
                )
            case "raced":
                await asyncio.gather(
                    self._cancel(story, payment), self._pay(payment, story.transfers)
                )
            case _:
                await self._pay(payment, story.transfers)
        if story.decision:
            await self._decide(story, payment)
        if story.refunds:
            await self._refund_all(story, payment)

    async def _create(self, story: Story) -> dict[str, Any] | None:
        key, body, started = _key(story), _request(story), time.monotonic()
        twins = [
            self._client.ask(
                "POST", "/v1/payments", body, key=key, hang_up_seconds=story.hang_up_seconds
            )
            for _ in range(story.twins)
        ]
        response, *_ = await asyncio.gather(*twins)
        answers = self._client.answers
        answers.create_seconds.append(time.monotonic() - started)
        payment = dict(response.json())
        # The time may be up before the provider could refuse.
        expected = 422 if story.kind == "refused" and payment.get("status") != "expired" else 201
        if response.status_code != expected:
            answers.problems.append(f"{key} was answered {response.status_code}")
        if response.status_code != 201:
            return None
        answers.payments[key] = payment["payment_id"]
        self.created.append(payment["payment_id"])
        return payment

    async def _cancel(self, story: Story, payment: dict[str, Any]) -> None:
        await self._client.ask("POST", **_cancellation(story, payment))

    async def _pay(self, payment: dict[str, Any], transfers: tuple[Transfer, ...]) -> None:
        code = payment["provider_reference"]
        for transfer in transfers:
            await asyncio.sleep(transfer.pause_seconds)
            by_hand = transfer.webhook == "delayed"
            body = {"amount": transfer.amount, "webhook": "off" if by_hand else transfer.webhook}
            await self._client.bank("POST", f"/links/{code}/pay", body)
            self.faults[f"webhook {transfer.webhook}"] += transfer.webhook != "on"
            if by_hand:
                webhook = await self._client.bank("GET", f"/links/{code}/webhook")
                task = asyncio.create_task(self._client.deliver(webhook, transfer.delay_seconds))
                self._deliveries.add(task)
                task.add_done_callback(self._deliveries.discard)

    async def _decide(self, story: Story, payment: dict[str, Any]) -> None:
        """Resolve the first exception of a payment, as two people do at once."""
        found = await self._find_exception(payment["payment_id"])
        if found is None:
            return
        path = f"/v1/exceptions/{found['exception_id']}"
        await self._client.ask("GET", path)
        decisions = [{"action": "keep", "reason": REASON}]
        if story.decision == "refund":
            source = {"type": "source"}
            decisions.append({"action": "refund", "destination": source, "reason": REASON})
        if story.decision == "apply":
            again = await self._create_again(story)
            if again is not None:
                decisions[0] = {"action": "apply", "payment_id": again, "reason": REASON}
        asking = [
            self._client.ask("POST", f"{path}/resolve", body, key=f"{_key(story)}-{body['action']}")
            for body in decisions
        ]
        await asyncio.gather(*asking)

    async def _find_exception(self, payment_id: str) -> dict[str, Any] | None:
        patience = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < patience:
            path = f"/v1/exceptions?payment_id={payment_id}&status=open"
            page = (await self._client.ask("GET", path)).json()
            for exception in page["data"]:
                if exception["allowed_actions"]:
                    return dict(exception)
            await self._client.breathe()
        return None

    async def _create_again(self, story: Story) -> str | None:
        """Make another payment of the same order; None while the first one is still live."""
        key = f"{_key(story)}-again"
        response = await self._client.ask("POST", "/v1/payments", _request(story), key=key)
        if response.status_code != 201:
            return None
        payment_id = str(response.json()["payment_id"])
        self._client.answers.payments[key] = payment_id
        return payment_id

    async def _refund_all(self, story: Story, payment: dict[str, Any]) -> None:
        path = f"/v1/payments/{payment['payment_id']}"
        patience = time.monotonic() + PATIENCE_SECONDS
        seen = (await self._client.ask("GET", path)).json()
        while seen["status"] == "pending" and time.monotonic() < patience:
            await self._client.breathe()
            seen = (await self._client.ask("GET", path)).json()
        received = seen["amounts"]["received"]  # late money can be asked back, too
        if not received:
            return  # nobody has told of it yet
        wishes = [
            self._refund(story, path, number, wish, received)
            for number, wish in enumerate(story.refunds)
        ]
        await asyncio.gather(*wishes)

    async def _refund(
        self, story: Story, path: str, number: int, wish: RefundWish, received: int
    ) -> None:
        body = {
            "amount": max(1, received * wish.percent // 100),
            "reason": "requested_by_customer",
            "destination": dict(wish.destination),
            "reference": f"{_key(story)}-refund-{number}",
        }
        made = await self._client.ask("POST", f"{path}/refunds", body, key=str(body["reference"]))
        if made.status_code != 201:
            return
        refund_id = made.json()["refund_id"]
        seen, patience = made.json(), time.monotonic() + PATIENCE_SECONDS
        while seen["status"] == "pending" and time.monotonic() < patience:
            await self._client.breathe()
            seen = (await self._client.ask("GET", f"{path}/refunds/{refund_id}")).json()
        if wish.is_returned and seen["status"] == "succeeded":
            await self._client.bank("POST", f"/payouts/{refund_id}-1/state", {"state": RETURNED})

    async def _read(self, name: str, payment: dict[str, Any]) -> None:
        assert name in READS
        path = f"/v1/payments/{payment['payment_id']}"
        token = (payment["qr_url"] or "/unknown").rpartition("/")[2]
        paths = {
            "payment": path,
            "list": f"/v1/payments?order_reference={payment['order_reference']}",
            "timeline": f"{path}/timeline",
            "picture": f"/v1/qr-codes/{token}",
            "refunds": f"{path}/refunds",
            "refund": f"{path}/refunds/ref_{'0' * 26}",
            "health": "/v1/health",
        }
        if name == "door":  # of another provider: nobody is in
            await self._client.ask("POST", "/v1/webhooks/stripe", {"id": "evt_of_nobody"})
        else:
            await self._client.ask("GET", paths[name])

    async def _clock_reaches(self, text: str) -> None:
        await asyncio.sleep(self._clock.real_seconds_until(datetime.fromisoformat(text)))


def _cancellation(story: Story, payment: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": f"/v1/payments/{payment['payment_id']}/cancel",
        "body": {"reason": "changed my mind"},
        "key": f"{_key(story)}-cancel",
    }


def _key(story: Story) -> str:
    return f"order-{story.number}"


def _request(story: Story) -> dict[str, Any]:
    return {
        "amount": story.amount,
        "currency": "VND",
        "order_reference": _key(story),
        "return_url": "https://shop.example/thanks",
        "cancel_url": "https://shop.example/cart",
        "expires_in_seconds": story.expires_in_seconds,
    }
