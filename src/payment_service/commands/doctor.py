"""`doctor`: is everything that we need there, and as it should be? It moves nothing.

One line a finding: `fine`, `hint` (works, and could be safer) or `WRONG`; and what to do about it.
"""

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from payment_service.bootstrap import Service
from payment_service.commands.command import FINE, WRONG, Options, add_command, print_all
from payment_service.domain.errors import PaymentServiceError
from payment_service.messaging.broker import BrokerUnavailable
from payment_service.providers.provider import ProviderError, UnknownReference
from payment_service.storage import migrate
from payment_service.storage.inspection import inspect

CHECK_SECONDS = 30.0
WEBHOOK_SECONDS = 5.0
SKEW_MAX = timedelta(seconds=2)
NOBODY = "ref_00000000000000000000000000-0"  # a payout that cannot exist
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    check: str
    state: str  # fine, hint, WRONG
    detail: str
    advice: str | None = None


def add_to(commands: Any) -> None:
    """Add the command."""
    about = "check settings, database, broker, provider, webhook address and clock"
    add_command(commands, "doctor", _doctor, about=about)


async def _doctor(service: Service, options: Options) -> int:
    checks = (_settings, _database, _schema, _broker, _provider, _webhook)
    found = await asyncio.gather(*(_run(service, check) for check in checks))
    findings = [finding for part in found for finding in part]
    print_all(options, [asdict(finding) for finding in findings])
    return WRONG if any(finding.state == "WRONG" for finding in findings) else FINE


async def _run(
    service: Service, check: Callable[[Service], AsyncIterator[Finding]]
) -> list[Finding]:
    """Run one check; that it breaks off is a finding, too."""
    name = check.__name__.lstrip("_")
    findings: list[Finding] = []
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            findings += [finding async for finding in check(service)]
    except TimeoutError:
        advice = "see whether it is there and can be reached from here"
        findings.append(Finding(name, "WRONG", "does not answer in time", advice))
    except (PaymentServiceError, ProviderError, BrokerUnavailable) as error:
        findings.append(Finding(name, "WRONG", str(error), _ADVICE[name]))
    return findings


_ADVICE = {
    "database": "check PAYMENTS_DATABASE_URL and the server",
    "schema": "check PAYMENTS_DATABASE_URL and the server",
    "broker": "check PAYMENTS_BROKER_URL and the servers",
    "provider": "check the provider's address and credentials, and what it knows of our address",
}


async def _settings(service: Service) -> AsyncIterator[Finding]:
    """Settings that are wrong never come this far; some are only unwise."""
    settings = service.settings
    yield Finding("settings", "fine", f"provider {settings.provider}, {settings.public_url}")
    public, database = urlsplit(settings.public_url), urlsplit(settings.database_url)
    if public.scheme != "https" and public.hostname not in _LOCAL:
        detail = "the public address is not https"
        yield Finding("settings", "hint", detail, "set PAYMENTS_PUBLIC_URL to what it calls")
    is_remote = database.hostname is not None and database.hostname not in _LOCAL
    if is_remote and "ssl_ca=" not in database.query:
        detail = "the database is asked without TLS"
        yield Finding("settings", "hint", detail, "add ?ssl_ca=/path to PAYMENTS_DATABASE_URL")
    if settings.contract_mode != "compiled":
        detail = f"the contract mode is {settings.contract_mode}, which is slow"
        yield Finding("settings", "hint", detail, "unset PAYMENTS_CONTRACT_MODE")


async def _database(service: Service) -> AsyncIterator[Finding]:
    before = service.clock()
    seen = await service.database.transact("doctor.inspect", inspect)
    after = service.clock()
    yield Finding("database", "fine", f"{seen.product} {seen.version}")
    for fault in seen.faults:
        yield Finding("database", "WRONG", fault, "see docs/database.md")
    for hint in seen.hints:
        yield Finding("database", "hint", hint, "see docs/database.md")
    # The server's clock was read somewhere in between.
    skew = max(before - seen.now, seen.now - after, timedelta())
    if skew > SKEW_MAX:
        detail = f"the database's clock and ours are {skew.total_seconds():.1f} seconds apart"
        yield Finding("clock", "WRONG", detail, "set both by NTP: leases and expiries rely on it")
    else:
        yield Finding("clock", "fine", "agrees with the database's")


async def _schema(service: Service) -> AsyncIterator[Finding]:
    await service.database.check()
    pending = await migrate.pending_revisions(service.database)
    if pending:
        detail = f"{len(pending)} migrations to go"
        yield Finding("schema", "WRONG", detail, "run payment-service migrate")
    elif await migrate.is_ahead(service.database):
        detail = "a newer version has migrated the database"
        yield Finding("schema", "hint", detail, "fine while an upgrade or a roll-back is under way")
    else:
        yield Finding("schema", "fine", "up to date")


async def _broker(service: Service) -> AsyncIterator[Finding]:
    await service.broker.check()
    faults = await service.broker.find_faults()
    for fault in faults:
        advice = "run payment-service migrate" if "missing" in fault else "alter the topic"
        yield Finding("broker", "WRONG", fault, advice)
    if not faults:
        yield Finding("broker", "fine", "answers, and its topics are as they should be")


async def _provider(service: Service) -> AsyncIterator[Finding]:
    """Ask about an order and a payout that cannot exist: the answer proves the credentials."""
    with contextlib.suppress(UnknownReference):
        await service.provider.get_payment(1)
    yield Finding("provider", "fine", f"{service.provider.name} knows our credentials")
    if not service.provider.capabilities.refunds:
        detail = "payouts are not configured: refunds answer REFUND_NOT_SUPPORTED"
        yield Finding(
            "provider",
            "hint",
            detail,
            "set what the provider needs for them (docs/reference/settings.md)",
        )
        return
    await service.provider.find_refund(NOBODY)
    yield Finding("provider", "fine", f"{service.provider.name} knows our payout credentials")


async def _webhook(service: Service) -> AsyncIterator[Finding]:
    """Ask the webhook's address as anybody could: it must refuse a GET in our words."""
    url = f"{service.settings.public_url}/v1/webhooks/{service.provider.name}"
    fault = await asyncio.to_thread(_webhook_fault, url)
    if fault is None:
        yield Finding("webhook", "fine", f"{url} is ours")
    else:
        advice = "start an api process; check PAYMENTS_PUBLIC_URL, DNS and what stands before it"
        yield Finding("webhook", "WRONG", f"{url} {fault}", advice)


def _webhook_fault(url: str) -> str | None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=WEBHOOK_SECONDS) as answer:
            return f"answers {answer.status}: it is not our API"
    except urllib.error.HTTPError as error:
        with error:
            return None if _is_ours(error) else f"answers {error.code}: it is not our API"
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"cannot be reached: {type(reason).__name__}"


def _is_ours(error: urllib.error.HTTPError) -> bool:
    try:
        problem = json.loads(error.read(10_000))
    except ValueError:
        return False
    return isinstance(problem, dict) and problem.get("code") == "METHOD_NOT_ALLOWED"
