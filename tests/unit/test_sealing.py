"""What is sealed opens with the right key, in the right column, and only unchanged."""

import pytest

from payment_service.storage.sealing import CannotOpen, Keyring, new_key

TEXT = b"0123456789"
OLD, NEW = new_key(), new_key()


def test_what_is_sealed_opens_again_and_does_not_show() -> None:
    keyring = Keyring.parse(NEW)
    sealed = keyring.seal(TEXT, "refunds.account_number")

    assert keyring.open(sealed, "refunds.account_number") == TEXT
    assert TEXT not in sealed
    assert keyring.seal(TEXT, "refunds.account_number") != sealed  # nobody sees that two are equal


def test_keys_rotate() -> None:
    before = Keyring.parse(OLD).seal(TEXT, "a.b")
    rotating = Keyring.parse(f"{NEW}, {OLD}")
    after = rotating.seal(TEXT, "a.b")

    assert rotating.open(before, "a.b") == rotating.open(after, "a.b") == TEXT
    assert Keyring.parse(NEW).open(after, "a.b") == TEXT
    with pytest.raises(CannotOpen):
        Keyring.parse(NEW).open(before, "a.b")


def test_what_was_sealed_for_one_column_opens_in_no_other() -> None:
    keyring = Keyring.parse(NEW)

    with pytest.raises(CannotOpen):
        keyring.open(keyring.seal(TEXT, "a.b"), "a.c")


@pytest.mark.parametrize("place", [1, 9, 20, -1])
def test_what_was_changed_does_not_open(place: int) -> None:
    keyring = Keyring.parse(NEW)
    sealed = bytearray(keyring.seal(TEXT, "a.b"))
    sealed[place] ^= 1

    with pytest.raises(CannotOpen):
        keyring.open(bytes(sealed), "a.b")


@pytest.mark.parametrize("size", [1, 9, 15, 30])
def test_what_was_cut_does_not_open(size: int) -> None:
    keyring = Keyring.parse(NEW)

    with pytest.raises(CannotOpen):
        keyring.open(keyring.seal(TEXT, "a.b")[:size], "a.b")


@pytest.mark.parametrize(
    "text",
    ["", ",", "name", "name:", "name:AAAA", ":" + "A" * 43 + "=", "na me:" + "A" * 43 + "=",
     "n" * 17 + ":" + "A" * 43 + "=", f"{NEW},{NEW}", f"{NEW},x", "name:" + "!" * 44],
    ids=range(11),  # the keys are new in every process
)  # fmt: skip
def test_keys_that_cannot_be_used_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="key") as refusal:
        Keyring.parse(text)

    assert text.partition(":")[2] in {"", *str(refusal.value).split()} or "AAAA" not in str(
        refusal.value
    )
