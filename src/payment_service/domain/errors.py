"""Mistakes of callers and rules of payments: expected, and mapped to problems in `api/problems.py`.

PaymentServiceError
├── NotFound                    no such thing, or another tenant's
├── InvalidCursor               a page cursor that we did not make
├── InvalidField                a value that the contract allows and we do not
├── RateLimited                 too many requests
├── Overloaded                  more to do than this process can
├── InvalidStateTransition      not possible in the current status
├── ConcurrentUpdate            the row changed between reading and writing
├── IdempotencyKeyReused        the key means another request
├── IdempotencyInProgress       the request with this key is still running
├── OrderReferenceInUse         another live payment has the order reference
├── RefundReferenceInUse        another refund has the reference
├── RefundExceedsAvailable      more than what is left
├── RefundDestinationRequired   the payer's account is not known
├── RefundNotSupported          the provider cannot pay out here
├── ExceptionAlreadyResolved    somebody has decided about this money
├── ExceptionActionNotAllowed   not with this money, or not now
├── ExceptionTargetNotAllowed   the money cannot be applied to that payment
├── PaymentRejected             the provider definitely refused
├── WebhookSignatureInvalid     not from the provider
└── StorageUnavailable          the database does not answer, or the pool is exhausted

SchemaAhead                     a newer version must undo its own migrations; for the operator
InvalidSettings                 the service cannot start so; for the operator

Troubles of providers that are not definite are `providers.provider.ProviderError`.
"""


class PaymentServiceError(Exception):
    """The message is safe to show to the caller: a full thought, no secrets, no payloads."""


class NotFound(PaymentServiceError):
    """There is no such thing for this tenant."""


class InvalidCursor(PaymentServiceError):
    """The cursor was not made by us for these filters."""


class InvalidField(PaymentServiceError):
    """A value satisfies the contract and is refused all the same; `pointer` tells where it is."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


class RateLimited(PaymentServiceError):
    """Too many requests came from there."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("Too many requests.")
        self.retry_after_seconds = retry_after_seconds


class Overloaded(PaymentServiceError):
    """Too much waits here; nothing was done."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("Too much waits here; nothing was done.")
        self.retry_after_seconds = retry_after_seconds


class InvalidStateTransition(PaymentServiceError):
    """The status does not allow it."""

    def __init__(self, message: str, current_status: str) -> None:
        super().__init__(message)
        self.current_status = current_status


class ConcurrentUpdate(PaymentServiceError):
    """Somebody else changed the row; nothing was written."""


class IdempotencyKeyReused(PaymentServiceError):
    """The key was used for a different request."""


class IdempotencyInProgress(PaymentServiceError):
    """The first request with this key still runs."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("A request with this key is still running.")
        self.retry_after_seconds = retry_after_seconds


class OrderReferenceInUse(PaymentServiceError):
    """Another live payment has this order reference."""

    def __init__(self, payment_id: str) -> None:
        super().__init__("Another live payment has this order reference.")
        self.payment_id = payment_id


class RefundReferenceInUse(PaymentServiceError):
    """Another refund of the tenant has this reference."""

    def __init__(self, refund_id: str) -> None:
        super().__init__("Another refund has this reference.")
        self.refund_id = refund_id


class RefundExceedsAvailable(PaymentServiceError):
    """The refund is larger than what is left."""

    def __init__(self, available: int) -> None:
        super().__init__(f"{available} can still be refunded.")
        self.available = available


class RefundDestinationRequired(PaymentServiceError):
    """The provider did not tell who paid."""


class RefundNotSupported(PaymentServiceError):
    """The provider has no way to pay out here, or not to that account."""


class ExceptionAlreadyResolved(PaymentServiceError):
    """The decision was taken before."""

    def __init__(self, outcome: str, resolved_by: str | None) -> None:
        by = f" by {resolved_by}" if resolved_by else ""
        super().__init__(f"This exception was {outcome.replace('_', ' ')}{by}.")
        self.outcome = outcome
        self.resolved_by = resolved_by


class ExceptionActionNotAllowed(PaymentServiceError):
    """The action does not fit the exception, or its payment, as they are."""

    def __init__(self, message: str, allowed_actions: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed_actions = allowed_actions


class ExceptionTargetNotAllowed(PaymentServiceError):
    """Money cannot be applied to this payment."""

    def __init__(self, message: str, current_status: str) -> None:
        super().__init__(message)
        self.current_status = current_status


class PaymentRejected(PaymentServiceError):
    """The provider definitely refused the payment."""

    def __init__(self, message: str, provider_code: str) -> None:
        super().__init__(message)
        self.provider_code = provider_code


class WebhookSignatureInvalid(PaymentServiceError):
    """The signature is not the provider's."""


class StorageUnavailable(PaymentServiceError):
    """The database does not answer in time; nothing is known to be written."""


class SchemaAhead(Exception):
    """A newer version has migrated the database, and only it knows the way back."""

    def __init__(self) -> None:
        super().__init__(
            "a newer version has migrated the database: go back with that version's "
            "payment-service migrate --down-to"
        )


class InvalidSettings(Exception):
    """Settings that the service cannot start with; one entry per fault, without the values."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)
