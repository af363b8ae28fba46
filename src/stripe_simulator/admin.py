"""The admin API, under /_admin: drive the simulator and look into its books.

GET  /ledger                          sessions, refunds, balance, clock
GET  /deliveries                      tries to deliver webhooks
POST /sessions/{id or reference}/pay  {card?: good|declined|insufficient_funds|..., see `books`}
GET  /events                          all events, as they would be delivered: {headers, body}
POST /events/{id}                     deliver an event again
POST /refunds/{id or reference}/state {state}
POST /modes                           {refund_status?, balance?, webhooks?}
POST /clock                           {advance_seconds}
POST /faults, DELETE /faults          {kind, path?, method?, ...}: see `payos_simulator.faults`
POST /webhook-url                     {url}
"""

import json
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from payos_simulator.faults import Fault
from stripe_simulator.books import Ledger, Refused
from stripe_simulator.objects import Objects
from stripe_simulator.payer import try_card
from stripe_simulator.webhooks import Webhooks


class Admin:
    """The endpoints of the admin API."""

    def __init__(
        self, ledger: Ledger, objects: Objects, webhooks: Webhooks, faults: list[Fault]
    ) -> None:
        self._ledger = ledger
        self._objects = objects
        self._webhooks = webhooks
        self._faults = faults

    def routes(self) -> list[Route]:
        """List the endpoints."""
        table = [
            ("/ledger", "GET", self.ledger),
            ("/deliveries", "GET", self.deliveries),
            ("/sessions/{name}/pay", "POST", self.pay),
            ("/events", "GET", self.events),
            ("/events/{name}", "POST", self.repeat_event),
            ("/refunds/{name}/state", "POST", self.settle),
            ("/modes", "POST", self.modes),
            ("/clock", "POST", self.clock),
            ("/faults", "POST", self.add_fault),
            ("/faults", "DELETE", self.clear_faults),
            ("/webhook-url", "POST", self.set_webhook_url),
        ]
        return [Route(f"/_admin{path}", do, methods=[method]) for path, method, do in table]

    async def ledger(self, _request: Request) -> Response:
        """Show the books."""
        books = msgspec.to_builtins(self._ledger.books)
        del books["replies"]
        for name, session in self._ledger.books.sessions.items():
            books["sessions"][name]["status"] = session.status(self._ledger.now())
        return JSONResponse(books | {"now": self._ledger.now()})

    async def deliveries(self, _request: Request) -> Response:
        """Show the tries to deliver webhooks."""
        return JSONResponse(self._webhooks.deliveries)

    async def pay(self, request: Request) -> Response:
        """Try a card as a payer would."""
        body = await _json(request)
        card = body.get("card", "good")
        try:
            session = self._ledger.session(request.path_params["name"])
            charge = try_card(self._ledger, self._objects, self._webhooks, session, card)
        except Refused as error:
            return JSONResponse({"error": str(error)}, error.status)
        return JSONResponse({"charge": charge.id, "status": charge.status})

    async def events(self, _request: Request) -> Response:
        """Show the events, oldest first."""
        written = [self._webhooks.written(event) for event in self._webhooks.events]
        return JSONResponse([{"headers": headers, "body": body} for headers, body in written])

    async def repeat_event(self, request: Request) -> Response:
        """Deliver an event again."""
        for event in self._webhooks.events:
            if event["id"] == request.path_params["name"]:
                self._webhooks.send(event)
                return JSONResponse({"repeated": event["id"]})
        return JSONResponse({"error": "no such event"}, 404)

    async def settle(self, request: Request) -> Response:
        """Change the state of a refund, by its name or by one in its metadata."""
        name, state = request.path_params["name"], (await _json(request))["state"]
        for refund in self._ledger.books.refunds.values():
            if name == refund.id or name in refund.metadata.values():
                self._ledger.settle(refund, state)
                kind = "refund.failed" if state == "failed" else "refund.updated"
                self._webhooks.tell(kind, self._objects.refund(refund))
                return JSONResponse({"state": refund.status})
        return JSONResponse({"error": "no such refund"}, 404)

    async def modes(self, request: Request) -> Response:
        """Change how refunds and webhooks behave."""
        body = await _json(request)
        self._ledger.refund_status = body.get("refund_status", self._ledger.refund_status)
        self._webhooks.is_on = bool(body.get("webhooks", self._webhooks.is_on))
        if "balance" in body:
            self._ledger.books.balance = int(body["balance"])
        return JSONResponse({"refund_status": self._ledger.refund_status})

    async def clock(self, request: Request) -> Response:
        """Move Stripe's time on."""
        body = await _json(request)
        self._ledger.advance(float(body.get("advance_seconds", 0)))
        return JSONResponse({"now": self._ledger.now()})

    async def add_fault(self, request: Request) -> Response:
        """Have the next requests that match go wrong."""
        self._faults.append(Fault(**await _json(request)))
        return JSONResponse({"faults": len(self._faults)})

    async def clear_faults(self, _request: Request) -> Response:
        """Have nothing go wrong any more."""
        self._faults.clear()
        return JSONResponse({"faults": 0})

    async def set_webhook_url(self, request: Request) -> Response:
        """Say where webhooks go."""
        self._ledger.books.webhook_url = (await _json(request))["url"]
        self._ledger.on_change()
        return JSONResponse({"url": self._ledger.books.webhook_url})


async def _json(request: Request) -> dict[str, Any]:
    raw = await request.body()
    return dict(json.loads(raw)) if raw else {}
