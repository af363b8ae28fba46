"""Where requests come from, and how many a tenant may make."""

from ipaddress import ip_address, ip_network

import pytest

from generated.api.routes import OPERATIONS
from openapi_runtime.headers import Headers
from openapi_runtime.operations import Context
from payment_service.api.rates import KEYS_MAX, RateLimits
from payment_service.api.sources import Sources, site_of
from payment_service.domain.clock import OffsetClock
from payment_service.domain.errors import RateLimited

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
CREATE = next(each for each in OPERATIONS if each.id == "createPayment")
READ = next(each for each in OPERATIONS if each.id == "getPayment")


def context(peer: str = "10.0.0.1", *headers: tuple[str, str], reads: bool = False) -> Context:
    return Context(
        operation=READ if reads else CREATE,
        request_id="request-1",
        headers=Headers([(name.encode(), value.encode()) for name, value in headers]),
        client_host=peer,
        path_params={},
        query_params=[],
    )


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # a stranger's word
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # the stranger's word before it
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1, 10.2.2.2"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),  # in two headers
        ("10.0.0.1", ["10.1.1.1"], "10.1.1.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, evil"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("fd00::1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("", ["198.51.100.1"], "0.0.0.0"),
    ],
)
def test_the_source_is_told_by_our_own_proxies_only(
    peer: str, forwarded: list[str], source: str
) -> None:
    headers = [("X-Forwarded-For", value) for value in forwarded]

    assert Sources(PROXIES).source_of(context(peer, *headers)) == ip_address(source)


def test_a_subscriber_of_ipv6_is_one_sender() -> None:
    assert site_of(ip_address("2001:db8::1")) == site_of(ip_address("2001:db8::ffff:1"))
    assert site_of(ip_address("2001:db8:0:1::1")) != site_of(ip_address("2001:db8::1"))
    assert site_of(ip_address("192.0.2.1")) != site_of(ip_address("192.0.2.2"))


def limits() -> RateLimits:
    now = OffsetClock()()
    return RateLimits(lambda: now, per_minute=12)  # two at once


def key(number: int) -> tuple[str, str]:
    return ("Idempotency-Key", f"key-{number}")


def test_a_tenant_is_told_what_is_left_and_then_refused() -> None:
    rates = limits()
    for left in (1, 0):
        told = context(reads=True)
        rates.admit("shop", told)
        assert told.response_headers == {
            "ratelimit-policy": '"requests";q=2;w=10, "repeats";q=2;w=10',
            "ratelimit": f'"requests";r={left};t={(2 - left) * 5}',
        }

    with pytest.raises(RateLimited) as refusal:
        rates.admit("shop", context(reads=True))

    assert refusal.value.retry_after_seconds == 5
    rates.admit("another", context(reads=True))


def test_what_was_let_in_may_be_repeated_though_nothing_is_left() -> None:
    rates = limits()
    rates.admit("shop", context("10.0.0.1", key(1)))
    rates.admit("shop", context("10.0.0.1", key(2)))

    repeat = context("10.0.0.1", key(1))
    rates.admit("shop", repeat)
    assert repeat.response_headers["ratelimit"] == '"repeats";r=1;t=5'
    with pytest.raises(RateLimited):
        rates.admit("shop", context("10.0.0.1", key(3)))
    rates.admit("shop", context("10.0.0.1", key(2)))
    with pytest.raises(RateLimited):  # repeats without end are no better than requests
        rates.admit("shop", context("10.0.0.1", key(1)))


def test_what_was_refused_is_not_a_repeat() -> None:
    rates = limits()
    for number in (1, 2):
        rates.admit("shop", context("10.0.0.1", key(number)))

    for _ in range(2):
        with pytest.raises(RateLimited):
            rates.admit("shop", context("10.0.0.1", key(3)))


def test_keys_are_remembered_in_bounded_number() -> None:
    now = OffsetClock()()
    rates = RateLimits(lambda: now, per_minute=10**6)
    for number in range(3 * KEYS_MAX):
        rates.admit("shop", context("10.0.0.1", key(number)))

    assert len(rates._keys["shop"]) == KEYS_MAX
