"""Whatever Stripe answers: did it act? And how things are found there by our own names."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from payment_service.domain.ids import id_made_at, new_id, new_order_code, order_code_made_at
from payment_service.providers.exchange import Request, Response
from payment_service.providers.guard import Guard
from payment_service.providers.provider import (
    AlreadyExists,
    CheckoutState,
    InsufficientFunds,
    Operation,
    OutcomeUnknown,
    PayoutState,
    ProviderError,
    ProviderFailing,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderTimeout,
    RequestNotSent,
    RequestRejected,
    UnknownReference,
)
from payment_service.providers.stripe import objects
from payment_service.providers.stripe.adapter import StripeProvider
from payment_service.providers.stripe.client import StripeClient
from payment_service.providers.stripe.search import NEAR, PAGES_MAX, SKEW, Finder, Kind
from payment_service.providers.stripe.settings import StripeSettings

NOW = datetime(2026, 11, 24, 3, 15, tzinfo=UTC)
REPLAYED = {"idempotent-replayed": "true"}
Answer = Callable[[Request], Response]


class Connections:
    """Connections to whoever answers."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def exchange(self, request: Request, **_bounds: object) -> Response:
        """Answer a request."""
        return self._answer(request)


def client(answer: Answer) -> StripeClient:
    guard = Guard(lambda _: None, sleep=Time().sleep, now=Time.now)
    return StripeClient(Connections(answer), "sk_test_x", guard)


def said(status: int, body: object = "", **headers: str) -> Response:
    """Make an answer: text as it stands, all else as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    return Response(status, headers, text.encode())


class Time:
    """Passes when somebody sleeps."""

    seconds = 0.0

    @classmethod
    def now(cls) -> float:
        return cls.seconds

    async def sleep(self, seconds: float) -> None:
        type(self).seconds += seconds


def refusal(status: int, **error: Any) -> Response:
    return said(status, {"error": error})


@pytest.mark.parametrize(
    ("answer", "expected", "code"),
    [
        (refusal(400, type="invalid_request_error", code="amount_too_small"), RequestRejected,
         "amount_too_small"),
        (refusal(400, type="invalid_request_error"), RequestRejected, "invalid_request_error"),
        (refusal(402, type="card_error", code="card_declined", decline_code="lost_card"),
         RequestRejected, "lost_card"),
        (refusal(404, type="invalid_request_error", code="resource_missing"), UnknownReference,
         "resource_missing"),
        (refusal(400, type="invalid_request_error", code="balance_insufficient"),
         InsufficientFunds, "balance_insufficient"),
        (refusal(400, type="idempotency_error"), AlreadyExists, "idempotency_error"),
        (refusal(409, type="invalid_request_error", code="idempotency_key_in_use"), AlreadyExists,
         "idempotency_key_in_use"),
        (refusal(401, type="invalid_request_error"), ProviderMisconfigured, "401"),
        (refusal(403, type="invalid_request_error"), ProviderMisconfigured, "403"),
        (refusal(429, type="invalid_request_error", code="rate_limit"), ProviderThrottled, ""),
        (refusal(400, type="a_type_to_come"), OutcomeUnknown, "a_type_to_come"),
        (refusal(424, type="invalid_request_error", code="x"), OutcomeUnknown, "x"),
        (said(400, {"error": "text"}), OutcomeUnknown, "400"),
        (said(400, {}), OutcomeUnknown, "400"),
        (said(302, {}), OutcomeUnknown, "302"),
        (said(400, "<html>"), OutcomeUnknown, ""),
        (said(200, "<html>"), ProviderFailing, ""),
        (said(200, []), OutcomeUnknown, ""),
        (said(500, {"error": {"type": "api_error"}}), ProviderFailing, ""),
    ],
)  # fmt: skip
async def test_every_answer_is_classified(
    answer: Response, expected: type[ProviderError], code: str
) -> None:
    with pytest.raises(ProviderError) as caught:
        await client(lambda _: answer).post(Operation.CREATE, "/x", {}, idempotency_key="k")

    assert type(caught.value) is expected
    assert caught.value.provider_code == code


async def test_write_is_sent_again_under_the_same_key_until_it_is_answered() -> None:
    keys: list[str] = []

    def answer(request: Request) -> Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            return said(500)
        # The first try has acted, and its answer was lost: ours, though it is a replay.
        return said(200, {"id": "x"}, **REPLAYED)

    found = await client(answer).post(Operation.CREATE, "/x", {}, idempotency_key="k")

    assert (found.data, found.is_replay) == ({"id": "x"}, False)
    assert keys == ["k", "k"]


async def test_earlier_try_may_have_acted_though_the_last_was_not_sent() -> None:
    tries: list[Request] = []

    def answer(request: Request) -> Response:
        tries.append(request)
        raise ProviderTimeout("x") if len(tries) == 1 else RequestNotSent("x")

    with pytest.raises(OutcomeUnknown):
        await client(answer).post(Operation.CREATE, "/x", {}, idempotency_key="k")

    assert len(tries) == 2


async def test_what_was_never_sent_has_not_acted() -> None:
    def answer(request: Request) -> Response:
        raise RequestNotSent("x")

    with pytest.raises(RequestNotSent):
        await client(answer).post(Operation.CREATE, "/x", {}, idempotency_key="k")


async def test_answer_to_an_earlier_call_is_told_apart() -> None:
    replay = said(200, {"id": "x"}, **REPLAYED)

    found = await client(lambda _: replay).post(Operation.CREATE, "/x", {}, idempotency_key="k")

    assert found.is_replay


class Shelf:
    """A list of things, as Stripe pages through it: the newest first."""

    def __init__(self, *made_at: datetime) -> None:
        self.things = [
            {"id": f"s{number}", "name": f"n{number}", "created": int(at.timestamp())}
            for number, at in enumerate(made_at)
        ]
        self.queries: list[dict[str, str]] = []

    def __call__(self, request: Request) -> Response:
        query = dict(parse_qsl(urlsplit(request.target).query))
        self.queries.append(query)
        begin, end = int(query["created[gte]"]), int(query["created[lte]"])
        kept = [t for t in self.things if begin <= t["created"] <= end][::-1]  # type: ignore[operator]
        names = [thing["id"] for thing in kept]
        after = names.index(query["starting_after"]) + 1 if "starting_after" in query else 0
        page = kept[after : after + int(query["limit"])]
        body = {"data": page, "has_more": after + len(page) < len(kept)}
        return said(200, json.dumps(body))


def finder(shelf: Shelf) -> Finder:
    kind = Kind(path="/v1/things", name_of=lambda t: t["name"], made_within=timedelta(hours=24))
    return Finder(client(shelf), kind)


async def test_thing_is_found_by_the_time_of_its_name_and_then_known() -> None:
    shelf = Shelf(NOW)
    looking = finder(shelf)

    found = [await looking.find(Operation.GET, "n0", NOW + timedelta(seconds=9)) for _ in range(2)]

    assert found == ["s0", "s0"]
    assert len(shelf.queries) == 1


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (-SKEW - timedelta(seconds=1), None),
        (-SKEW, "s0"),
        (NEAR + timedelta(seconds=1), "s0"),
        (timedelta(hours=24) + SKEW, "s0"),
        (timedelta(hours=24) + SKEW + timedelta(seconds=1), None),
    ],
)
async def test_thing_may_be_made_later_than_its_name_or_by_another_clock(
    late: timedelta, expected: str | None
) -> None:
    assert await finder(Shelf(NOW + late)).find(Operation.GET, "n0", NOW) == expected


async def test_every_page_is_looked_at() -> None:
    shelf = Shelf(*[NOW] * 350)

    assert await finder(shelf).find(Operation.GET, "n0", NOW) == "s0"
    assert len(shelf.queries) == 4


async def test_what_is_not_seen_to_be_absent_is_not_called_absent() -> None:
    with pytest.raises(OutcomeUnknown):
        await finder(Shelf(*[NOW] * (PAGES_MAX * 100 + 1))).find(Operation.GET, "none", NOW)


@pytest.mark.parametrize("page", [{}, {"data": None}, {"data": [1]}, {"data": [{}]}])
async def test_list_in_another_shape_proves_nothing(page: dict[str, Any]) -> None:
    kind = Kind(path="/v1/things", name_of=lambda t: t["name"], made_within=timedelta(hours=24))
    looking = Finder(client(lambda _: said(200, page)), kind)

    with pytest.raises(OutcomeUnknown):
        await looking.find(Operation.GET, "n0", NOW)


def test_our_names_tell_when_they_were_made() -> None:
    at = NOW + timedelta(milliseconds=123)

    assert order_code_made_at(new_order_code(at)) == at
    assert id_made_at(new_id("ref", at)) == at


def session(status: str, paid: str = "unpaid", charge: str | None = None, **more: Any) -> Any:
    latest = {
        "id": "ch_1", "amount": 45_000, "currency": "vnd", "created": 1, "status": charge,
        "metadata": {objects.ORDER_CODE: "7"},
    } | more  # fmt: skip
    return {
        "client_reference_id": "7", "amount_total": 45_000, "metadata": {},
        "status": status, "payment_status": paid,
        "payment_intent": {"latest_charge": latest if charge else None},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "state", "paid"),
    [
        (session("open"), CheckoutState.OPEN, 0),
        (session("open", charge="failed", failure_code="card_declined"), CheckoutState.OPEN, 0),
        (session("complete", "paid", "succeeded"), CheckoutState.PAID, 45_000),
        (session("complete", "unpaid", "pending"), CheckoutState.OPEN, 0),  # on its way
        (session("expired"), CheckoutState.EXPIRED, 0),
        (session("expired", charge="failed", failure_code="card_declined"),
         CheckoutState.DECLINED, 0),
        (session("expired", charge="failed", failure_code="expired_card"),
         CheckoutState.INVALID_CARD, 0),
        (session("expired") | {"metadata": {objects.CLOSED_BECAUSE: "x"}},
         CheckoutState.CANCELED, 0),
        (session("a_word_to_come"), CheckoutState.UNRECOGNISED, 0),
        (session("complete", "no_payment_required"), CheckoutState.UNRECOGNISED, 0),
        (session("complete", "paid"), CheckoutState.UNRECOGNISED, 0),  # by what, if not a charge?
    ],
)  # fmt: skip
def test_states_of_a_session_are_read(seen: Any, state: CheckoutState, paid: int) -> None:
    read = objects.payment(seen)

    assert (read.state, read.amount_paid, sum(t.money.amount for t in read.transfers)) == (
        state, paid, paid,
    )  # fmt: skip


@pytest.mark.parametrize(
    "intent", ["pi_1", {"latest_charge": "ch_1"}, {}, {"latest_charge": {"status": "succeeded"}}]
)
async def test_session_in_another_shape_tells_nothing(intent: object) -> None:
    body = session("complete", "paid") | {"payment_intent": intent}
    http = Connections(
        lambda request: said(200, {"data": [body | {"id": "cs_1"}], "has_more": False})
        if "created" in request.target else said(200, body)
    )  # fmt: skip
    settings = StripeSettings("https://stripe.test", "sk_test_x", "whsec_x")

    with pytest.raises(OutcomeUnknown):
        await StripeProvider(http, Guard(lambda _: None), settings).get_payment(7)


def test_source_ends_in_what_the_payer_knows() -> None:
    assert objects.source_of("ch_abcd1234", "4242")[-4:] == "4242"
    assert objects.source_of("py_abcd1234", "")[-4:] == "1234"
    assert [objects.charge_of(text) for text in ("ch_a/4242", "py_a/1", "0123456789", "x/1")] == [
        "ch_a", "py_a", None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "more", "expected"),
    [
        ("pending", {}, PayoutState.PROCESSING),
        ("pending", {"pending_reason": "insufficient_funds"}, PayoutState.ON_HOLD),
        ("requires_action", {}, PayoutState.AWAITING_APPROVAL),
        ("succeeded", {}, PayoutState.SUCCEEDED),
        ("failed", {}, PayoutState.RETURNED),
        ("canceled", {}, PayoutState.CANCELED),
        ("a_word_to_come", {}, PayoutState.UNRECOGNISED),
    ],
)
def test_states_of_a_refund_are_read(
    status: str, more: dict[str, str], expected: PayoutState
) -> None:
    entry = {"id": "re_1", "amount": 1, "status": status, "metadata": {objects.REFERENCE: "r"}}

    assert objects.refund(entry | more).state is expected
