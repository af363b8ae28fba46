"""One table: what may go wrong inside -> the problem that the caller gets."""

import math
from collections.abc import Callable

from generated.api.problems import PROBLEM_TYPES
from openapi_runtime.operations import Context
from openapi_runtime.problems import FieldError, Problem
from payment_service.domain import errors
from payment_service.providers.provider import (
    OutcomeUnknown,
    ProviderError,
    ProviderMisconfigured,
    ProviderTimeout,
    RequestNotSent,
)

RETRY_AFTER_SECONDS = 2  # where nobody knows better
RETRY_AFTER_SECONDS_MAX = 86_400


def _plain(code: str, **headers: str) -> Callable[[Exception], Problem]:
    return lambda error: Problem(PROBLEM_TYPES[code], detail=str(error), headers=dict(headers))


def _retryable(code: str) -> Callable[[Exception], Problem]:
    return lambda error: Problem(
        PROBLEM_TYPES[code],
        detail=str(error),
        headers={"retry-after": str(_seconds_to_wait(error))},
    )


def _seconds_to_wait(error: Exception) -> int:
    """Say when another try is worth while: what the error knows, in whole seconds, never 0."""
    seconds: float | None = getattr(error, "retry_after_seconds", None)
    if seconds is None:
        return RETRY_AFTER_SECONDS
    return max(1, math.ceil(min(seconds, RETRY_AFTER_SECONDS_MAX)))


def _with(code: str, *members: str) -> Callable[[Exception], Problem]:
    def problem(error: Exception) -> Problem:
        known = {member: getattr(error, member) for member in members}
        told = {member: value for member, value in known.items() if value is not None}
        return Problem(PROBLEM_TYPES[code], detail=str(error), **told)

    return problem


def _invalid_field(error: Exception) -> Problem:
    assert isinstance(error, errors.InvalidField)
    fault = FieldError(pointer=error.pointer, keyword="policy", detail=str(error))
    return Problem(PROBLEM_TYPES["VALIDATION_FAILED"], errors=(fault,))


def _rate_limited(error: Exception) -> Problem:
    assert isinstance(error, errors.RateLimited)
    headers = {"retry-after": str(error.retry_after_seconds)}
    return Problem(PROBLEM_TYPES["RATE_LIMITED"], headers=headers)


TABLE: dict[type[Exception], Callable[[Exception], Problem]] = {
    errors.NotFound: lambda _error: Problem(PROBLEM_TYPES["NOT_FOUND"]),
    errors.InvalidCursor: _plain("INVALID_CURSOR"),
    errors.InvalidField: _invalid_field,
    errors.RateLimited: _rate_limited,
    errors.Overloaded: _retryable("OVERLOADED"),
    errors.InvalidStateTransition: _with("INVALID_STATE_TRANSITION", "current_status"),
    errors.ConcurrentUpdate: _retryable("CONCURRENT_UPDATE"),
    errors.IdempotencyKeyReused: _plain("IDEMPOTENCY_KEY_REUSED"),
    errors.IdempotencyInProgress: _retryable("IDEMPOTENCY_IN_PROGRESS"),
    errors.OrderReferenceInUse: _with("ORDER_REFERENCE_IN_USE", "payment_id"),
    errors.RefundReferenceInUse: _with("REFUND_REFERENCE_IN_USE", "refund_id"),
    errors.RefundExceedsAvailable: _with("REFUND_EXCEEDS_AVAILABLE", "available"),
    errors.RefundDestinationRequired: _plain("REFUND_DESTINATION_REQUIRED"),
    errors.RefundNotSupported: _plain("REFUND_NOT_SUPPORTED"),
    errors.ExceptionAlreadyResolved: _with("EXCEPTION_ALREADY_RESOLVED", "outcome", "resolved_by"),
    errors.ExceptionActionNotAllowed: _with("EXCEPTION_ACTION_NOT_ALLOWED", "allowed_actions"),
    errors.ExceptionTargetNotAllowed: _with("EXCEPTION_TARGET_NOT_ALLOWED", "current_status"),
    errors.PaymentRejected: _with("PAYMENT_FAILED", "provider_code"),
    errors.WebhookSignatureInvalid: lambda _error: Problem(
        PROBLEM_TYPES["WEBHOOK_SIGNATURE_INVALID"]
    ),
    errors.StorageUnavailable: _retryable("STORAGE_UNAVAILABLE"),
    RequestNotSent: _retryable("PROVIDER_UNAVAILABLE"),
    ProviderTimeout: _retryable("PROVIDER_TIMEOUT"),
    OutcomeUnknown: _retryable("PROVIDER_OUTCOME_UNKNOWN"),
    ProviderMisconfigured: _retryable("PROVIDER_MISCONFIGURED"),
    ProviderError: _retryable("PROVIDER_OUTCOME_UNKNOWN"),
}


def problem_of(error: Exception, _context: Context | None = None) -> Problem | None:
    """Find the problem of an expected error, its nearest kin first; None for a bug of ours."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind](error)
    return None
