"""`reconcile`: ask the provider about payments now, instead of when the scheduler does."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from payment_service.bootstrap import Service
from payment_service.commands.command import (
    FINE,
    LIMIT_MAX,
    WRONG,
    Options,
    actor_of,
    add_actor,
    add_command,
    add_limit,
    print_all,
)
from payment_service.providers.provider import ProviderError
from payment_service.storage import payments
from payment_service.storage.database import Session
from payment_service.use_cases.check_payment import check_payment

PER_MINUTE = 120  # payments; the scheduler and new payments ask the provider, too
PROGRESS_EVERY = 20
BATCH_MAX = 100


def add_to(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "reconcile",
        _reconcile,
        about="compare with the provider now: a payment, or all that are due",
    )
    parser.add_argument(
        "payment_id", nargs="?", metavar="PAYMENT_ID", help="all that are due, if not said"
    )
    add_limit(parser, default=LIMIT_MAX)
    parser.add_argument(
        "--per-minute", type=int, default=PER_MINUTE, help=f"so fast; {PER_MINUTE}, if not said"
    )
    add_actor(parser)


async def _reconcile(service: Service, options: Options) -> int:
    if options.payment_id is None:
        return await _reconcile_due(service, options)
    await service.database.transact(
        "reconcile.make_due",
        lambda session: payments.make_due(session, options.payment_id, now=service.clock()),
    )
    await _check(service, options, options.payment_id)
    print_all(options, [{"payment_id": options.payment_id, "outcome": "compared"}])
    return FINE


async def _reconcile_due(service: Service, options: Options) -> int:
    """Compare all that is due, the most at risk first; progress goes to standard error."""
    outcomes: dict[str, str] = {}
    pause_seconds = 60 / max(1, options.per_minute)
    while len(outcomes) < options.limit:
        due = await service.database.read(lambda session: _list_due(session, service))
        fresh = [each for each in due if each not in outcomes][: options.limit - len(outcomes)]
        if not fresh:
            break
        for payment_id in fresh:
            try:
                await _check(service, options, payment_id)
                outcomes[payment_id] = "compared"
            except ProviderError as error:
                outcomes[payment_id] = f"not compared: {error}"
            if len(outcomes) % PROGRESS_EVERY == 0:
                print(f"{len(outcomes)} payments ...", file=sys.stderr)
            await asyncio.sleep(pause_seconds)
    failed = {name: said for name, said in outcomes.items() if said != "compared"}
    if options.json:
        print_all(options, [{"payment_id": n, "outcome": said} for n, said in outcomes.items()])
    else:
        print(f"{len(outcomes) - len(failed)} payments were compared with the provider")
        print_all(options, [{"payment_id": n, "outcome": said} for n, said in failed.items()])
    return WRONG if failed else FINE


async def _check(service: Service, options: Options, payment_id: str) -> None:
    await check_payment(
        service.database, service.provider, service.clock, payment_id, actor=actor_of(options)
    )


async def _list_due(session: Session, service: Service) -> Sequence[str]:
    now = service.clock()
    due: list[str] = []
    for find in (payments.list_overdue, payments.list_due, payments.list_closed_due):
        due += await find(session, now=now, limit=BATCH_MAX)
    return due
