"""`exceptions`: look at money that somebody must decide about, of all tenants, and decide."""

import argparse
import re
from typing import Any

from payment_service.bootstrap import Service
from payment_service.commands.command import FINE, Options, add_command, print_all
from payment_service.domain.audit import Actor, ActorKind
from payment_service.domain.receipt import ExceptionCode
from payment_service.domain.refund import BankAccount
from payment_service.records.exceptions import describe
from payment_service.storage import exceptions
from payment_service.storage.exceptions import Filters
from payment_service.use_cases.resolve_exception import (
    Apply,
    Keep,
    Refund,
    ResolveException,
    resolve_exception_by_hand,
)

LIST_MAX = 50
TEXT_MAX = {"reason": 255, "actor": 128}
SOURCE = "source"
_ACCOUNT = re.compile(r"([0-9]{6}):([0-9A-Za-z]{4,24})")
_IS_OPEN = {"open": True, "resolved": False, "all": None}


def add_to(commands: Any) -> None:
    """Add the commands."""
    about = "money that somebody must decide about"
    actions = commands.add_parser("exceptions", help=about, description=about).add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    parser = add_command(actions, "list", _list, about=f"the {LIST_MAX} that wait longest")
    parser.add_argument("--status", choices=_IS_OPEN, default="open", help="open, if not said")
    parser.add_argument(
        "--code", choices=[code.value for code in ExceptionCode], help="what is odd about it"
    )
    parser.add_argument("--tenant", metavar="TENANT_ID", help="whose")
    parser.add_argument("--payment", metavar="PAYMENT_ID", help="those of one payment")
    parser = add_command(actions, "show", _show, about="one of them")
    parser.add_argument("id", metavar="EXCEPTION_ID", help="as `list` prints it")
    _add_resolve(actions)


def _add_resolve(actions: Any) -> None:
    parser = add_command(actions, "resolve", _resolve, about="decide about one of them")
    parser.add_argument("id", metavar="EXCEPTION_ID", help="as `list` prints it")
    decision = parser.add_mutually_exclusive_group(required=True)
    decision.add_argument(
        "--refund",
        metavar="DESTINATION",
        type=_destination,
        help="give it back: to the account that paid (source), or to one such as 970422:0123456789",
    )
    decision.add_argument(
        "--apply",
        metavar="PAYMENT_ID",
        help="move it to another pending payment of the order; unmatched money to any payment",
    )
    decision.add_argument("--keep", action="store_true", help="leave it where it is")
    parser.add_argument(
        "--amount", type=_amount, help="of a refund, in minor units; all of it when left out"
    )
    parser.add_argument("--reason", required=True, type=_text("reason"), help="for the timeline")
    parser.add_argument("--actor", default="operator", type=_text("actor"), help="who decides")
    parser.set_defaults(refuse=parser.error)


def _destination(text: str) -> BankAccount | str:
    account = _ACCOUNT.fullmatch(text)
    if text != SOURCE and account is None:
        raise argparse.ArgumentTypeError(f"{SOURCE}, or six digits, a colon and an account")
    return BankAccount(account[1], account[2], None) if account else SOURCE


def _amount(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError("a whole number of minor units, without separators")
    return int(text)


def _text(name: str) -> Any:
    def read(text: str) -> str:
        if not text.strip() or len(text) > TEXT_MAX[name]:
            raise argparse.ArgumentTypeError(f"1 to {TEXT_MAX[name]} characters")
        return text

    return read


async def _list(service: Service, options: Options) -> int:
    filters = Filters(
        tenant_id=options.tenant,
        is_open=_IS_OPEN[options.status],
        code=options.code,
        payment_id=options.payment,
    )
    cases = await service.database.read(
        lambda session: exceptions.list_cases(session, filters, limit=LIST_MAX)
    )
    print_all(options, [describe(case) for case in cases])
    return FINE


async def _show(service: Service, options: Options) -> int:
    case = await service.database.read(lambda session: exceptions.get_case(session, options.id))
    print_all(options, [describe(case)])
    return FINE


async def _resolve(service: Service, options: Options) -> int:
    if options.amount is not None and options.refund is None:
        options.refuse("--amount goes with --refund")
    command = ResolveException(
        exception_id=options.id,
        tenant_id=None,
        decision=_decision(options),
        actor=Actor(ActorKind.OPERATOR, options.actor),
        reason=options.reason,
    )
    case = await resolve_exception_by_hand(
        service.database, service.provider, service.clock, command
    )
    print_all(options, [describe(case)])
    return FINE


def _decision(options: Options) -> Refund | Apply | Keep:
    if options.refund is not None:
        destination = None if options.refund == SOURCE else options.refund
        return Refund(options.amount, destination)
    return Keep() if options.keep else Apply(options.apply)
