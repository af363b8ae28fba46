"""What a key covers: the request as it was meant, not as it was spelled."""

import json

from hypothesis import given, strategies as st

from payment_service.domain.idempotency import fingerprint, normalise_key

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


def of(body: object, path: str = "/v1/payments") -> str:
    return fingerprint(method="POST", path=path, query=[], body=body)


@given(st.dictionaries(st.text(max_size=5), JSON))
def test_member_order_does_not_matter(body: dict[str, object]) -> None:
    assert of(body) == of(dict(reversed(body.items())))


@given(JSON, JSON)
def test_another_body_is_another_request(one: object, other: object) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (of(one) == of(other)) is same


def test_spelling_of_whole_numbers_does_not_matter() -> None:
    assert of({"amount": 1000}) == of({"amount": 1000.0}) == of({"amount": 1e3})


def test_another_path_is_another_request() -> None:
    assert of({}, "/v1/payments/a/cancel") != of({}, "/v1/payments/b/cancel")


def test_quoted_and_bare_keys_are_one() -> None:
    assert normalise_key('"abc"') == normalise_key("abc") == "abc"
