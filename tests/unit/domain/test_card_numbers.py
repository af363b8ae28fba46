"""Card numbers are found however they are written, and little else is taken for one."""

import pytest

from payment_service.domain.card_numbers import contains_card_number

# Numbers that the networks publish for testing.
CARDS = (
    "4111111111111111", "4222222222222", "5555555555554444", "2223003122003222", "378282246310005",
    "3530111333300000", "30569309025904", "6011111111111117", "6200000000000005",
    "9704000000000018", "4111 1111 1111 1111", "4111-1111-1111-1111", "card:4111111111111111!",
    "4111111111111111 and more", "４１１１１１１１１１１１１１１１",  # noqa: RUF001  # that is the point
)  # fmt: skip
OTHERS = (
    "", "order 1001", "4111111111111112",  # the check digit is wrong
    "1764086400000", "1764086400000000000",  # times since 1970, in milli- and nanoseconds
    "0123456789012", "19036789012345",  # bank accounts
    "84912345678", "411111111111111111111111111111",  # longer than any card
    "5f2b9c1e-8a37-4a55-b3f0-0d6a51a7c001", "7210482093571",  # a UUID, an order code
    "4111.1111.1111.1111 is no way to write one",
)  # fmt: skip


@pytest.mark.parametrize("text", CARDS)
def test_a_card_number_is_found(text: str) -> None:
    assert contains_card_number(text)


@pytest.mark.parametrize("text", OTHERS)
def test_other_numbers_are_let_pass(text: str) -> None:
    assert not contains_card_number(text)
