"""Whose hosts payers may be sent to."""

import pytest

from payment_service.domain.return_url import ReturnUrls

OURS = {"shop": frozenset({"shop.example", "pay.shop.example:8443", "xn--shp-0na.example"})}
REFUSED = (
    "http://shop.example/", "https://localhost/", "https://shop.localhost/", "https://shop/",
    "https://127.0.0.1/", "https://2130706433/", "https://0x7f.1/", "https://0x7f.0x0.0x0.0x1/",
    "https://127.1/", "https://017700000001/", "https://169.254.169.254/latest/meta-data/",
    "https://shop.example:22/", "https://shop.example:443/", "https://shop.example./",
    "https://.shop.example/", "https://shop..example/", "https://-shop.example/",
    "https://shop-.example/", "https://xn--shp-0na.example/", f"https://{'a' * 64}.example/",
    "https://shop.1/", "http://localhost:3000/", "http://127.0.0.1/",
)  # fmt: skip


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_is_refused(url: str) -> None:
    assert ReturnUrls().find_fault("shop", url) is not None


@pytest.mark.parametrize(
    "url",
    ["https://shop.example", "https://a-b.shop.example/t?order=1#top", "https://SHOP.EXAMPLE/"],
)
def test_a_name_on_the_internet_is_accepted(url: str) -> None:
    assert ReturnUrls().find_fault("shop", url) is None


@pytest.mark.parametrize("url", ["https://shop.example/x", "https://pay.shop.example:8443/",
                                 "https://xn--shp-0na.example/"])  # fmt: skip
def test_a_listed_host_is_accepted(url: str) -> None:
    assert ReturnUrls(OURS).find_fault("shop", url) is None


@pytest.mark.parametrize("url", ["https://evil.example/", "https://shop.example.evil.com/",
                                 "https://pay.shop.example/", "http://shop.example/"])  # fmt: skip
def test_a_listed_tenant_is_kept_to_its_hosts(url: str) -> None:
    assert ReturnUrls(OURS).find_fault("shop", url) is not None


def test_another_tenant_is_not_bound_by_the_list() -> None:
    assert ReturnUrls(OURS).find_fault("cafe", "https://cafe.example/") is None


@pytest.mark.parametrize(
    "url", ["http://localhost:3000/x", "http://127.0.0.1/", "https://localhost/"]
)
def test_developers_may_send_payers_to_their_own_machine(url: str) -> None:
    assert ReturnUrls(allow_loopback=True).find_fault("shop", url) is None


def test_developers_may_not_send_payers_elsewhere_without_tls() -> None:
    assert ReturnUrls(allow_loopback=True).find_fault("shop", "http://localhost.evil.com/")
