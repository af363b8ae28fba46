"""Tokens: what is accepted, and everything that is nearly a token and is not."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from payment_service.api import auth
from payment_service.api.auth import InvalidToken, TokenVerifier
from payment_service.api.keys import KeySet, KeysUnavailable, parse, reader_of
from payment_service.domain.clock import OffsetClock
from tests.support.identity import (
    AUDIENCE,
    ISSUER,
    IdentityProvider,
    SigningKey,
    claims,
    encoded,
    handmade,
    identity_provider,
)

SECRET = "a-secret-for-tests-of-at-least-32-bytes"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def served() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture
def provider(served: IdentityProvider) -> IdentityProvider:
    """One that works, with a key of its own."""
    served.keys = served.keys[:1]
    served.answer, served.status, served.asked = None, 200, 0
    return served


def verifier(keys: str | KeySet) -> TokenVerifier:
    return TokenVerifier(keys=keys, issuer=ISSUER, audience=AUDIENCE, lifetime_max=DAY)


def key_set(provider: IdentityProvider, clock: OffsetClock) -> KeySet:
    return KeySet(reader_of(provider.url), clock)


def refused_claims() -> dict[str, dict[str, Any]]:
    now = claims()["iat"]
    return {
        "expired": {"iat": now - 700, "exp": now - 31},
        "not yet valid": {"nbf": now + 60},
        "made in the future": {"iat": now + 600, "exp": now + 900},
        "good for two days": {"exp": now + 2 * 86_400},
        "good for ever": {"exp": 10**18},
        "an infinite end": {"exp": float("inf")},
        "an end as text": {"exp": str(now + 60)},
        "an end as truth": {"exp": True},
        "a start as text": {"nbf": str(now)},
        "without an end": {"exp": None},
        "without a start": {"iat": None},
        "without an issuer": {"iss": None},
        "without an audience": {"aud": None},
        "without a subject": {"sub": None},
        "without a tenant": {"tenant_id": None},
        "of another issuer": {"iss": "https://evil.test"},
        "for another audience": {"aud": "another-service"},
        "a subject that is a number": {"sub": 7},
        "an empty tenant": {"tenant_id": ""},
        "a tenant with a line feed": {"tenant_id": "shop\n"},
        "a tenant in another script": {"tenant_id": "shоp"},  # noqa: RUF001  # that is the point
        "a tenant that is a list": {"tenant_id": ["shop"]},
        "a long tenant": {"tenant_id": "a" * 65},
        "scopes as a list": {"scope": ["payments:read"]},
    }


@pytest.mark.parametrize("name", refused_claims())
@pytest.mark.parametrize("kind", ["secret", "keys"])
async def test_a_token_is_refused(name: str, kind: str, provider: IdentityProvider) -> None:
    changes = refused_claims()[name]
    if kind == "secret":
        token = handmade({"alg": "HS256"}, claims(**changes), SECRET.encode())
        checked = verifier(SECRET)
    else:
        signed = encoded({"alg": "RS256", "kid": "key-1"}) + b"." + encoded(claims(**changes))
        algorithm = jwt.get_algorithm_by_name("RS256")
        token = (signed + b"." + encoded(algorithm.sign(signed, provider.keys[0].private))).decode()
        checked = verifier(key_set(provider, OffsetClock()))

    with pytest.raises(InvalidToken):
        await checked.verify(token)


@pytest.mark.parametrize(
    "changes_at",
    [lambda _now: {}, lambda _now: {"aud": ["another", AUDIENCE]},
     lambda now: {"iat": now - 500, "exp": now - 5}, lambda now: {"nbf": now + 5},
     lambda _now: {"scope": None}],
    ids=["plain", "several audiences", "just expired", "nearly valid", "without scopes"],
)  # fmt: skip
async def test_a_token_is_accepted(changes_at: Callable[[int], dict[str, Any]]) -> None:
    changes = changes_at(claims()["iat"])
    token = jwt.encode(claims(**changes), SECRET, algorithm="HS256")

    principal = await verifier(SECRET).verify(token)

    assert (principal.tenant_id, principal.user_id) == ("shop", "tester")


def forgeries(provider: IdentityProvider) -> dict[str, str]:
    key = provider.keys[0]
    good = provider.token()
    stranger = SigningKey(key.name)
    return {
        "no algorithm": handmade({"alg": "none"}, claims()),
        "None": handmade({"alg": "None", "kid": key.name}, claims()),
        "no algorithm named": handmade({"kid": key.name}, claims()),
        "two algorithms": handmade(b'{"alg":"RS256","kid":"key-1","alg":"none"}', claims()),
        "HMAC with the public key": handmade(
            {"alg": "HS256", "kid": key.name}, claims(), key.public_pem
        ),
        "HMAC with nothing": handmade({"alg": "HS256", "kid": key.name}, claims(), b""),
        "a stranger's key": jwt.encode(
            claims(), stranger.private, algorithm="RS256", headers={"kid": key.name}
        ),
        "its own key inside": jwt.encode(
            claims(), stranger.private, algorithm="RS256",
            headers={"kid": "other", "jwk": stranger.public(), "jku": "http://127.0.0.1:9/"},
        ),
        "a key by path": provider.token({"kid": "../../dev/null"}),
        "a key by SQL": provider.token({"kid": "' OR 1=1 --"}),
        "an ID token": provider.token({"typ": "id_token"}),
        "an unknown condition": provider.token({"crit": ["exp"]}),
        "another signing algorithm": jwt.encode(
            claims(), key.private, algorithm="RS512", headers={"kid": key.name}
        ),
        "a cut signature": good[:-8],
        "more after the signature": good + "AAAA",
        "another payload": re.sub(rb"\.[^.]*\.", b"." + encoded(claims(tenant_id="other")) + b".",
                                  good.encode()).decode(),
        "nothing": "",
        "dots": "..",
        "not base64": "a.!.c",
        "a line feed": good.replace(".", ".\n", 1),
        "nesting without end": handmade({"alg": "RS256", "kid": key.name}, b"[" * 5000),
        "a header of nesting": handmade(b'{"a":' * 1200, claims()),
        "a payload that is a list": handmade({"alg": "RS256", "kid": key.name}, []),
        "bytes that are no text": handmade(b"\xff\xfe", b"\xff"),
    }  # fmt: skip


NAMES = tuple(forgeries(IdentityProvider()))


@pytest.mark.parametrize("name", NAMES)
async def test_a_forged_token_is_refused(name: str, provider: IdentityProvider) -> None:
    with pytest.raises(InvalidToken):
        await verifier(key_set(provider, OffsetClock())).verify(forgeries(provider)[name])


async def test_a_new_key_is_found_and_names_that_lead_nowhere_are_asked_about_rarely(
    provider: IdentityProvider,
) -> None:
    clock = OffsetClock()
    checked = verifier(key_set(provider, clock))
    await checked.verify(provider.token())
    clock.advance(timedelta(seconds=11))
    provider.keys = [*provider.keys, SigningKey("key-2")]

    await checked.verify(provider.token())
    for number in range(50):
        with pytest.raises(InvalidToken):
            await checked.verify(provider.token({"kid": f"made-up-{number}"}))

    assert provider.asked == 2


async def test_known_keys_serve_through_an_outage_for_a_bounded_time(
    provider: IdentityProvider,
) -> None:
    clock = OffsetClock()
    checked = verifier(key_set(provider, clock))
    await checked.verify(provider.token())
    provider.status = 500

    clock.advance(timedelta(hours=5))
    await checked.verify(provider.token())

    clock.advance(timedelta(hours=2))
    with pytest.raises(KeysUnavailable):
        await checked.verify(provider.token())


@pytest.mark.parametrize("name", ["key-2", "key-1"])
async def test_a_withdrawn_key_is_no_longer_taken(name: str, provider: IdentityProvider) -> None:
    clock = OffsetClock()
    keys = key_set(provider, clock)
    checked = verifier(keys)
    old = provider.token()
    await checked.verify(old)
    provider.keys = [SigningKey(name)]
    clock.advance(timedelta(minutes=6))
    await keys.find("a name that is not known has them read anew")
    await checked.verify(provider.token())

    with pytest.raises(InvalidToken):
        await checked.verify(old)

    provider.keys = [SigningKey("key-1")]


async def test_a_token_is_decoded_once_and_again_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded: list[str] = []
    decode = jwt.decode

    def counting(token: str, *arguments: Any, **options: Any) -> Any:
        decoded.append(token)
        return decode(token, *arguments, **options)

    monkeypatch.setattr(auth.jwt, "decode", counting)
    mine, end = verifier(SECRET), claims()["exp"]
    header = {"alg": "HS256", "typ": "JWT"}
    token, other = (
        handmade(header, claims(sub=user, exp=end), SECRET.encode()) for user in ("one", "two")
    )

    principals = [await mine.verify(each) for each in (token, other, token)]
    assert [principal.user_id for principal in principals] == ["one", "two", "one"]
    assert decoded == [token, other]

    monkeypatch.setattr(auth.time, "time", lambda: end + auth.LEEWAY.total_seconds())
    await mine.verify(token)
    assert decoded == [token, other, token]


@pytest.mark.parametrize("status", [301, 302, 404, 500])
async def test_whoever_answers_at_the_address_cannot_lead_elsewhere(
    status: int, provider: IdentityProvider
) -> None:
    provider.status = status

    with pytest.raises(KeysUnavailable):
        await key_set(provider, OffsetClock()).check()

    assert provider.asked == 1


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{}", b'{"keys": 5}', b'{"keys": []}', b'{"keys": [null, 1, "a", {}]}',
     b'{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}',
     b'{"keys": [{"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB"}]}',
     b'{"keys": [{"kty": "RSA", "kid": "a", "use": "enc", "n": "AQAB", "e": "AQAB"}]}'],
)  # fmt: skip
def test_a_document_without_a_public_signing_key_is_none(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"key|JSON|Expecting|line"):
        parse(document)


def test_a_short_rsa_key_is_left_out() -> None:
    short = rsa.generate_private_key(65537, 1024).public_key()
    described = jwt.algorithms.RSAAlgorithm.to_jwk(short, as_dict=True)

    with pytest.raises(ValueError, match="no usable key"):
        parse(json.dumps({"keys": [{**described, "kid": "short"}]}).encode())


async def test_a_document_without_end_is_not_read_to_its_end(provider: IdentityProvider) -> None:
    provider.answer = b" " * 300_000 + provider.document()

    with pytest.raises(KeysUnavailable):
        await key_set(provider, OffsetClock()).check()
