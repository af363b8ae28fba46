"""Every code of the catalogue has a way to happen, and every expected error has a code."""

import inspect
import json
from importlib.resources import files

from generated.api.problems import PROBLEM_TYPES
from payment_service.api.problems import TABLE, problem_of
from payment_service.domain import errors
from payment_service.providers import provider

CATALOGUE = json.loads((files("generated.api") / "openapi.json").read_text())["x-error-codes"]
# Codes that the runtime, the door or a later stage raises by themselves.
ELSEWHERE = {
    "MALFORMED_REQUEST", "IDEMPOTENCY_KEY_MISSING", "IDEMPOTENCY_KEY_INVALID", "UNAUTHENTICATED",
    "FORBIDDEN", "METHOD_NOT_ALLOWED", "REQUEST_TIMEOUT", "PAYLOAD_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE", "INTERNAL_ERROR", "OVERLOADED",
}  # fmt: skip


def expected_errors() -> list[type[Exception]]:
    ours = [cls for _, cls in inspect.getmembers(errors, inspect.isclass)]
    return [cls for cls in ours if issubclass(cls, errors.PaymentServiceError)]


def test_every_expected_error_has_a_problem() -> None:
    assert set(expected_errors()) - set(TABLE) == {errors.PaymentServiceError}


def test_every_trouble_of_a_provider_has_a_problem() -> None:
    for _, cls in inspect.getmembers(provider, inspect.isclass):
        if issubclass(cls, provider.ProviderError):
            assert problem_of(cls("x")) is not None


SAMPLES: dict[type[Exception], tuple[object, ...]] = {
    errors.InvalidStateTransition: ("x", "paid"),
    errors.IdempotencyInProgress: (1,),
    errors.OrderReferenceInUse: ("pay_x",),
    errors.RefundReferenceInUse: ("ref_x",),
    errors.RefundExceedsAvailable: (1,),
    errors.ExceptionAlreadyResolved: ("kept", "x"),
    errors.ExceptionActionNotAllowed: ("x", ("keep",)),
    errors.ExceptionTargetNotAllowed: ("x", "paid"),
    errors.PaymentRejected: ("x", "20"),
    errors.InvalidField: ("/description", "x"),
    errors.RateLimited: (1,),
    errors.Overloaded: (1,),
}
PROBLEMS = [TABLE[kind](kind(*SAMPLES.get(kind, ("x",)))) for kind in TABLE]


def test_every_code_can_happen() -> None:
    raised = {problem.kind.code for problem in PROBLEMS}

    assert raised | ELSEWHERE == set(PROBLEM_TYPES)


def test_what_may_be_repeated_says_when() -> None:
    silent = [
        problem.kind.code
        for problem in PROBLEMS
        if problem.kind.retryable and int(problem.headers.get("retry-after", 0)) < 1
    ]

    assert silent == []


def test_members_that_a_problem_adds_are_those_that_the_catalogue_names() -> None:
    for problem in PROBLEMS:
        told = {*problem.members, *(["errors"] if problem.errors else [])}

        assert told == set(CATALOGUE[problem.kind.code].get("members", [])), problem.kind.code


def test_bug_of_ours_has_no_problem() -> None:
    assert problem_of(KeyError("x")) is None
