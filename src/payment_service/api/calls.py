"""What every handler does with a call: who acts, what the key covers, how an answer is sent."""

from typing import Any

import msgspec

from openapi_runtime.endpoint import Hooks
from openapi_runtime.operations import Context, StoredResponse
from payment_service.api.answers import stored_problem
from payment_service.api.auth import Principal
from payment_service.domain.audit import Actor, ActorKind
from payment_service.domain.errors import PaymentServiceError
from payment_service.domain.idempotency import (
    Answer,
    IdempotentRequest,
    RenderError,
    StoredResponse as Stored,
    fingerprint,
    normalise_key,
)

REPLAYED = "idempotent-replayed"

REQUEST_SECONDS = 12.0
"""How long a request may work with a provider. Less than half of the lease of its idempotency key,
and than the time that is left to requests when a process stops; clients rarely wait longer."""


def principal_of(context: Context) -> Principal:
    """Return the authenticated caller."""
    principal = context.principal
    assert isinstance(principal, Principal)
    return principal


def actor_of(context: Context) -> Actor:
    """Name the caller for the audit log."""
    return Actor(ActorKind.CLIENT, principal_of(context).user_id, context.request_id)


def idempotent_request(context: Context, key: str) -> IdempotentRequest:
    """Say what the key covers: the operation, its address and its body."""
    operation = context.operation
    path = operation.path.format_map(context.path_params)
    return IdempotentRequest(
        tenant_id=principal_of(context).tenant_id,
        key=normalise_key(key),
        operation=operation.id,
        fingerprint=fingerprint(
            method=operation.method,
            path=path,
            query=context.query_params,
            body=context.decoded_body,
        ),
    )


def error_renderer(context: Context, hooks: Hooks) -> RenderError:
    """Make what turns an expected error into the bytes that are kept and sent."""

    def render_error(error: PaymentServiceError) -> Stored:
        return stored_problem(error, request_id=context.request_id, problem_base=hooks.problem_base)

    return render_error


def send(answer: Answer) -> StoredResponse:
    """Answer with the kept bytes, marked when they were decided by an earlier request."""
    headers = dict(answer.response.headers)
    if answer.replayed:
        headers[REPLAYED] = "true"
    return StoredResponse(answer.response.status, headers, answer.response.body)


def given(value: Any) -> Any:
    """Turn what was left out into None."""
    return None if value is msgspec.UNSET else value
