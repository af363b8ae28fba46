"""payOS webhooks: verified over exactly what was received, read version by version.

Only `data` is signed, without a time and without a name for the event. So repeated deliveries are
recognised by what identifies the transfer, and old bodies stay readable for ever.
Source: payOS webhook guide, 2026-10; captured deliveries.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec

from generated.webhook_schemas.payos import v1, v2
from payment_service.domain.errors import WebhookSignatureInvalid
from payment_service.domain.money import Currency, Money
from payment_service.providers.payos import signature
from payment_service.providers.provider import (
    Payer,
    Transfer,
    UnreadableWebhook,
    VerifiedWebhook,
    WebhookKind,
    WebhookReport,
)

VIETNAM = timezone(timedelta(hours=7))  # no daylight saving, and slim images have no tzdata
_IDENTITY = ("paymentLinkId", "reference", "amount", "transactionDateTime", "orderCode")
_NAMING = (str, int)
_KEY_DIGITS_MAX = 16
_BIN_DIGITS = 6
_SUCCESS = "00"
_ISO_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T")

# The sample that payOS sends when a webhook URL is registered: all of it, not the order code alone.
_PING = {"orderCode": 123, "reference": "TF230204212323", "accountNumber": "12345678"}


def verify(body: bytes, checksum_keys: tuple[str, ...]) -> VerifiedWebhook:
    """Check the signature over the received `data`, unknown members included.

    A signed webhook of any shape is accepted here: it must be stored, whatever it says.

    Raises:
        WebhookSignatureInvalid: No key of ours signed it.
    """
    envelope = _decode(body)
    data, given = envelope.get("data"), envelope.get("signature")
    if not isinstance(data, dict):
        raise WebhookSignatureInvalid("The webhook has no signed data.")
    # Every key is tried, so that the time taken does not tell which one fits.
    fits = [signature.matches(signature.sign_data(data, key), given) for key in checksum_keys]
    if not any(fits):
        raise WebhookSignatureInvalid("The signature does not match.")
    return VerifiedWebhook(
        event_id=_event_id(data), key=_key(data), schema_version=_version_of(data)
    )


def parse(body: bytes, schema_version: str) -> WebhookReport:
    """Read a stored webhook.

    It was stored under the version that its form had for the release of that day. A form that was
    not known then is read now as what it is, so that replaying what was set aside repairs it.

    Raises:
        UnreadableWebhook: Its shape is that of no version, or the version is not known.
    """
    read = _READERS.get(schema_version)
    if read is None:
        raise UnreadableWebhook(f"there is no version {schema_version[:16]}")
    try:
        return read(body)
    except UnreadableWebhook:
        seen = _version_of(_data_of(body))
        if seen == schema_version:
            raise
        return _READERS[seen](body)


def _version_of(data: dict[str, Any]) -> str:
    """Name the version that the form is of: payOS does not say."""
    return "v2" if _is_iso(data.get("transactionDateTime")) else "v1"


def _is_iso(time: Any) -> bool:
    return isinstance(time, str) and _ISO_TIME.match(time) is not None


def _read_v1(body: bytes) -> WebhookReport:
    try:
        data = msgspec.json.decode(body, type=v1.PayosWebhookV1).data
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise UnreadableWebhook("not the shape of payos/v1") from error
    return _report(body, data)


def _read_v2(body: bytes) -> WebhookReport:
    try:
        data = msgspec.json.decode(body, type=v2.PayosWebhookV2).data
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise UnreadableWebhook("not the shape of payos/v2") from error
    return _report(body, data)


_READERS: dict[str, Callable[[bytes], WebhookReport]] = {"v1": _read_v1, "v2": _read_v2}


def _report(body: bytes, data: v1.PayosTransferV1 | v2.PayosTransferV2) -> WebhookReport:
    if _is_ping(data):
        return WebhookReport(kind=WebhookKind.PING, transfer=None)
    if data.code != _SUCCESS:
        # Never seen and not documented; it might mean money, so a person looks at it.
        raise UnreadableWebhook("data.code is not 00")
    return WebhookReport(
        kind=WebhookKind.TRANSFER,
        transfer=_transfer(data),
        is_ambiguous=signature.is_ambiguous(_data_of(body)),
    )


def _transfer(data: v1.PayosTransferV1 | v2.PayosTransferV2) -> Transfer:
    return Transfer(
        order_code=data.order_code,
        provider_reference=data.payment_link_id,
        bank_reference=data.reference.strip(),
        money=Money(data.amount, Currency.VND),
        occurred_at=local_time(data.transaction_date_time),
        payer=payer(
            data.counter_account_bank_id, data.counter_account_number, data.counter_account_name
        ),
    )


def local_time(text: str) -> datetime:
    """Read a time of payOS: with an offset, or without one in Vietnam.

    Raises:
        UnreadableWebhook: It is no time.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadableWebhook("not a time") from error
    return at.replace(tzinfo=at.tzinfo or VIETNAM).astimezone(UTC).replace(microsecond=0)


def payer(bank_id: Any, account_number: Any, account_name: Any) -> Payer | None:
    """Read who paid; absent, null, "" and "null" all mean that payOS does not tell.

    The bank is named by a six-digit NAPAS number or by an eight-digit code of another table. Only
    the first can be paid back to.
    """
    bank, number, name = _given(bank_id), _given(account_number), _given(account_name)
    if bank is None and number is None and name is None:
        return None
    is_bin = bank is not None and len(bank) == _BIN_DIGITS and bank.isascii() and bank.isdigit()
    return Payer(
        bank_id=bank, bank_bin=bank if is_bin else None, account_number=number, account_name=name
    )


def _given(value: Any) -> str | None:
    if not isinstance(value, str) or value.strip() in {"", "null", "undefined"}:
        return None
    return value.strip()


def _is_ping(data: v1.PayosTransferV1 | v2.PayosTransferV2) -> bool:
    return (data.order_code, data.reference, data.account_number) == tuple(_PING.values())


def _event_id(data: dict[str, Any]) -> str:
    """Name the event: by what identifies a transfer, or by everything when that is missing."""
    if all(isinstance(data.get(name), _NAMING) for name in _IDENTITY):
        told = data | {"transactionDateTime": _time_of(data)}
        identity = "\n".join([str(told[name]) for name in _IDENTITY])
    else:
        identity = signature.canonical_data(data)
    return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()


def _time_of(data: dict[str, Any]) -> Any:
    """Write the time as version 1 does: one transfer that is told in both forms is one event."""
    time = data["transactionDateTime"]
    if not _is_iso(time):
        return time
    try:
        return local_time(time).astimezone(VIETNAM).strftime("%Y-%m-%d %H:%M:%S")
    except (UnreadableWebhook, OverflowError):
        return time


def _key(data: dict[str, Any]) -> str:
    code = str(data.get("orderCode"))
    if code.isascii() and code.isdigit() and len(code) <= _KEY_DIGITS_MAX:
        return code
    return "odd-" + hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _data_of(body: bytes) -> dict[str, Any]:
    """Look into a stored webhook: `verify` has seen that its data is an object."""
    try:
        data = msgspec.json.decode(body)["data"]
    except (msgspec.DecodeError, RecursionError, KeyError, TypeError) as error:
        raise UnreadableWebhook("not a webhook of payOS") from error
    if not isinstance(data, dict):
        raise UnreadableWebhook("not a webhook of payOS")
    return data


def _decode(body: bytes) -> dict[str, Any]:
    try:
        envelope = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WebhookSignatureInvalid("The webhook is not JSON.") from error
    if not isinstance(envelope, dict):
        raise WebhookSignatureInvalid("The webhook is not an object.")
    return envelope
