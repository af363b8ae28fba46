"""Not a peer but ourselves without storage: the contract on stub handlers, served as we serve."""

import os
from collections import deque

import uvloop
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from openapi_runtime.http_guard import Refusals, guarded
from payment_service.bootstrap import Listener, _server, spare_what_stays
from tests.contract.stub_service import Stub, make_app, make_hooks


async def ready(_request: Request) -> Response:
    """Say that we are there."""
    return PlainTextResponse("ready")


def main() -> None:
    """Serve until killed."""
    app = make_app(Stub(calls=deque(maxlen=1)))  # it need not remember
    app.router.routes.append(Route("/ready", ready))
    hooks = make_hooks()
    refusals = Refusals(
        problem_types=hooks.problem_types,
        problem_base=hooks.problem_base,
        new_request_id=lambda: hooks.new_request_id(None),
        on_refusal=lambda _kind: None,
    )
    listener = Listener(app, "127.0.0.1", int(os.environ["PORT"]))
    spare_what_stays()
    uvloop.run(_server(listener, guarded(refusals)).run_until_exit())


if __name__ == "__main__":
    main()
