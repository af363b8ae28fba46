"""How answers are written: the bytes that are kept under a key, whoever gets them in the end."""

from collections.abc import Sequence
from dataclasses import dataclass

from generated.api import models as contract, routes
from openapi_runtime.operations import Result, render
from payment_service.api import views
from payment_service.api.docs import ERRORS
from payment_service.api.problems import problem_of
from payment_service.domain.clock import Clock
from payment_service.domain.errors import PaymentServiceError
from payment_service.domain.idempotency import StoredResponse
from payment_service.storage.models import MoneyException, Payment, PaymentAttempt


def stored(result: Result) -> StoredResponse:
    """Turn a result into the bytes that are kept and sent."""
    response = render(result)
    return StoredResponse(response.status, response.headers, response.body)


def stored_problem(
    error: PaymentServiceError, *, request_id: str, problem_base: str
) -> StoredResponse:
    """Turn an expected error into the bytes that are kept and sent."""
    problem = problem_of(error)
    assert problem is not None, f"no problem for {type(error).__name__}"
    response = problem.render(request_id=request_id, type_base=problem_base)
    return StoredResponse(response.status, response.headers, response.body)


@dataclass(frozen=True, slots=True)
class PaymentAnswers:
    """The answers that tell of a payment, at the address where the service is known."""

    public_url: str
    clock: Clock

    def created(
        self, payment: Payment, attempt: PaymentAttempt, exceptions: Sequence[MoneyException]
    ) -> StoredResponse:
        """Tell of a payment that was created."""
        view = self._view(payment, attempt, exceptions)
        return stored(routes.CreatePayment201(body=view, location=f"/v1/payments/{payment.id}"))

    def canceled(
        self, payment: Payment, attempt: PaymentAttempt, exceptions: Sequence[MoneyException]
    ) -> StoredResponse:
        """Tell of a payment that was cancelled."""
        return stored(routes.CancelPayment200(body=self._view(payment, attempt, exceptions)))

    def refused(self, error: PaymentServiceError, request_id: str) -> StoredResponse:
        """Tell why there is none, when nobody waits for the answer any more."""
        return stored_problem(
            error, request_id=request_id, problem_base=problem_base(self.public_url)
        )

    def _view(
        self, payment: Payment, attempt: PaymentAttempt, exceptions: Sequence[MoneyException]
    ) -> contract.Payment:
        return views.payment_view(
            payment, attempt, exceptions, public_url=self.public_url, now=self.clock()
        )


def problem_base(public_url: str) -> str:
    """Say where the codes of problems are documented."""
    return f"{public_url}{ERRORS}"
