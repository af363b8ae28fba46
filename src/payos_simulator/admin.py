"""The admin API, under /_admin: drive the simulator and look into its books.

GET  /ledger                         links, payouts, wallet, clock
GET  /deliveries                     tries to deliver webhooks
POST /links/{order code or id}/pay   {amount?, times?, webhook?: on|off|duplicate|tampered,
                                      counter_bank?, counter_account?, counter_name?}
GET  /links/{name}/webhook           its last webhook, as it would be delivered
POST /links/{name}/webhook           deliver its last webhook again
POST /payouts/{reference}/state      {state}
POST /modes                          {payout_seconds?, auto_payouts?, wallet?, webhook_iso_times?}
POST /clock                          {advance_seconds}
POST /faults, DELETE /faults         {kind, path?, method?, times?, ...}: see `faults`
POST /webhook-url                    {url}
"""

import json
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from payos_simulator.faults import Fault
from payos_simulator.ledger import Ledger, Refused
from payos_simulator.payout_api import PayoutApi
from payos_simulator.webhooks import Webhooks

TIMES_MAX = 100


class Admin:
    """The endpoints of the admin API."""

    def __init__(
        self, ledger: Ledger, webhooks: Webhooks, payouts: PayoutApi, faults: list[Fault]
    ) -> None:
        self._ledger = ledger
        self._webhooks = webhooks
        self._payouts = payouts
        self._faults = faults

    def routes(self) -> list[Route]:
        """List the endpoints."""
        table = [
            ("/ledger", "GET", self.ledger),
            ("/deliveries", "GET", self.deliveries),
            ("/links/{name}/pay", "POST", self.pay),
            ("/links/{name}/webhook", "GET", self.show_webhook),
            ("/links/{name}/webhook", "POST", self.repeat_webhook),
            ("/payouts/{reference}/state", "POST", self.settle),
            ("/modes", "POST", self.modes),
            ("/clock", "POST", self.clock),
            ("/faults", "POST", self.add_fault),
            ("/faults", "DELETE", self.clear_faults),
            ("/webhook-url", "POST", self.set_webhook_url),
        ]
        return [Route(f"/_admin{path}", do, methods=[method]) for path, method, do in table]

    async def ledger(self, _request: Request) -> Response:
        """Show the books."""
        now = self._ledger.now()
        books = msgspec.to_builtins(self._ledger.books)
        links = {
            str(code): msgspec.to_builtins(link) | {"status": link.status(now), "paid": link.paid}
            for code, link in self._ledger.books.links.items()
        }
        content = books | {"links": links, "now": now.isoformat(),
                           "payout_signatures": self._payouts.variants}  # fmt: skip
        return JSONResponse(content)

    async def deliveries(self, _request: Request) -> Response:
        """Show the tries to deliver webhooks."""
        return JSONResponse(self._webhooks.deliveries)

    async def pay(self, request: Request) -> Response:
        """Pay a link as a payer would."""
        body = await _json(request)
        try:
            link = self._ledger.link(request.path_params["name"])
        except Refused:
            return JSONResponse({"error": "no such link"}, 404)
        counter = {k: v for k, v in body.items() if k.startswith("counter_")}
        references = []
        for _ in range(min(int(body.get("times", 1)), TIMES_MAX)):
            transfer = self._ledger.pay(link, body.get("amount"), **counter)
            self._webhooks.tell(link, transfer, body.get("webhook", "on"))
            references.append(transfer.reference)
        return JSONResponse({"references": references})

    async def show_webhook(self, request: Request) -> Response:
        """Show the last webhook of a link, as it would be delivered."""
        link = self._ledger.link(request.path_params["name"])
        return JSONResponse(self._webhooks.envelope(link, link.transfers[-1]))

    async def repeat_webhook(self, request: Request) -> Response:
        """Deliver the last webhook of a link again."""
        link = self._ledger.link(request.path_params["name"])
        self._webhooks.tell(link, link.transfers[-1])
        return JSONResponse({"repeated": link.transfers[-1].reference})

    async def settle(self, request: Request) -> Response:
        """Change the state of a payout."""
        body = await _json(request)
        for payout in self._ledger.books.payouts.values():
            if payout.reference == request.path_params["reference"]:
                self._ledger.settle(payout, body["state"])
                return JSONResponse({"state": payout.state})
        return JSONResponse({"error": "no such payout"}, 404)

    async def modes(self, request: Request) -> Response:
        """Change how payouts behave, and which form webhooks have."""
        body = await _json(request)
        self._webhooks.iso_times = bool(body.get("webhook_iso_times", self._webhooks.iso_times))
        self._ledger.payout_seconds = float(body.get("payout_seconds", self._ledger.payout_seconds))
        self._ledger.auto_payouts = bool(body.get("auto_payouts", self._ledger.auto_payouts))
        if "wallet" in body:
            self._ledger.books.wallet = int(body["wallet"])
        return JSONResponse({"payout_seconds": self._ledger.payout_seconds})

    async def clock(self, request: Request) -> Response:
        """Move the bank's time on."""
        body = await _json(request)
        self._ledger.advance(float(body.get("advance_seconds", 0)))
        return JSONResponse({"now": self._ledger.now().isoformat()})

    async def add_fault(self, request: Request) -> Response:
        """Have the next requests that match go wrong."""
        self._faults.append(Fault(**await _json(request)))
        return JSONResponse({"faults": len(self._faults)})

    async def clear_faults(self, _request: Request) -> Response:
        """Have nothing go wrong any more."""
        self._faults.clear()
        return JSONResponse({"faults": 0})

    async def set_webhook_url(self, request: Request) -> Response:
        """Say where webhooks go, without a ping."""
        self._ledger.books.webhook_url = (await _json(request))["url"]
        self._ledger.on_change()
        return JSONResponse({"url": self._ledger.books.webhook_url})


async def _json(request: Request) -> dict[str, Any]:
    raw = await request.body()
    return dict(json.loads(raw)) if raw else {}
