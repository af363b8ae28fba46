"""What the contract cannot say about a request's values: whose hosts, and no card numbers."""

from collections.abc import Mapping

from payment_service.domain.card_numbers import contains_card_number
from payment_service.domain.errors import InvalidField
from payment_service.domain.return_url import ReturnUrls


def check_return_urls(urls: ReturnUrls, tenant_id: str, given: Mapping[str, str]) -> None:
    """Refuse addresses that payers must not be sent to; `given` is by the body's members.

    Raises:
        InvalidField: The first one.
    """
    for name, url in given.items():
        fault = urls.find_fault(tenant_id, url)
        if fault is not None:
            raise InvalidField(f"/{name}", fault)


def check_free_text(pointer: str, *texts: str | None) -> None:
    """Refuse card numbers: what is never stored cannot leak.

    Raises:
        InvalidField: A text holds one.
    """
    if any(text is not None and contains_card_number(text) for text in texts):
        raise InvalidField(pointer, "looks like a card number; those have no place here")
