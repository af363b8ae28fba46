"""Turns the contract's names into Python's."""

import keyword
import re

CLASS_NAME = re.compile(r"[A-Z][A-Za-z0-9]*")
# What generated modules import or Python knows; a struct of this name would hide it.
RESERVED = {
    "Annotated", "Any", "ClassVar", "Literal", "Meta", "None", "StrEnum", "Struct", "True",
    "False", "TypeAlias", "UNSET", "UnsetType",
}  # fmt: skip
_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OTHER = re.compile(r"[^0-9a-zA-Z]+")


def snake(name: str) -> str:
    """`createPayment`, `Idempotency-Key` -> `create_payment`, `idempotency_key`."""
    words = _OTHER.sub("_", _BOUNDARY.sub("_", name)).lower().strip("_")
    return f"{words}_" if keyword.iskeyword(words) else words


def pascal(name: str) -> str:
    """`createPayment` -> `CreatePayment`."""
    parts = [part for piece in _OTHER.split(name) for part in _BOUNDARY.split(piece)]
    return "".join(part[:1].upper() + part[1:] for part in parts if part)


def module(name: str) -> str:
    """`payment-events`, `payment.v1` -> `payment_events`, `payment_v1`."""
    return name.replace("-", "_").replace(".", "_")
