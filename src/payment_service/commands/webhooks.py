"""`webhooks` and `dlq`: look at what providers sent, and have it applied again."""

import argparse
import json
from typing import Any

from payment_service.bootstrap import Service
from payment_service.commands.command import (
    FINE,
    USAGE,
    WRONG,
    Options,
    actor_of,
    add_actor,
    add_command,
    add_limit,
    instant,
    print_all,
    resolve_instant,
)
from payment_service.domain.errors import InvalidStateTransition, NotFound
from payment_service.records.webhooks import describe, get_webhook
from payment_service.storage import webhooks
from payment_service.storage.webhooks import Wanted
from payment_service.use_cases.replay_webhook import replay_webhook

LIST_DEFAULT = 50
REPLAY_DEFAULT = 100
NOTE_MAX = 255


def add_to(commands: Any) -> None:
    """Add the commands."""
    for name, about in (
        ("webhooks", "what providers sent"),
        ("dlq", "webhooks that could not be applied and wait for an operator"),
    ):
        actions = commands.add_parser(name, help=about, description=about).add_subparsers(
            dest="action", required=True, metavar="ACTION"
        )
        parser = add_command(actions, "list", _list, about="the newest of them")
        _add_filters(parser, name)
        add_limit(parser, default=LIST_DEFAULT)
        parser = add_command(
            actions, "show", _show, about="one of them, with what it said but not of whom"
        )
        parser.add_argument("id", metavar="WEBHOOK_ID", help="as `list` prints it")
        _add_replay(actions, name)


def _add_replay(actions: Any, name: str) -> None:
    parser = add_command(
        actions, "replay", _replay, about="have them applied again; what was applied stays so"
    )
    parser.add_argument("ids", nargs="*", metavar="WEBHOOK_ID", help="as `list` prints it")
    parser.add_argument(
        "--all", action="store_true", help="all that the filters name; --reason is needed"
    )
    _add_filters(parser, name)
    add_limit(parser, default=REPLAY_DEFAULT)
    parser.add_argument("--dry-run", action="store_true", help="only say which")
    parser.add_argument("--note", type=_note, help="why, for the audit log")
    add_actor(parser)


def _add_filters(parser: argparse.ArgumentParser, name: str) -> None:
    if name == "dlq":
        parser.set_defaults(status=webhooks.DEAD)
    else:
        parser.add_argument("--status", choices=webhooks.STATUSES, help="all, if not said")
    parser.add_argument("--provider", help="whose; such as payos")
    parser.add_argument(
        "--since",
        type=instant,
        metavar="INSTANT",
        help="such as 2026-12-01T00:00:00Z, or so long ago: 12h, 7d",
    )
    parser.add_argument("--reason", metavar="TEXT", help="what the reason begins with")


def _note(text: str) -> str:
    if len(text) > NOTE_MAX:
        raise argparse.ArgumentTypeError(f"at most {NOTE_MAX} characters")
    return text


def _wanted(service: Service, options: Options) -> Wanted:
    return Wanted(
        status=options.status,
        provider=options.provider,
        since=resolve_instant(service, options.since),
        reason=options.reason,
    )


async def _list(service: Service, options: Options) -> int:
    wanted = _wanted(service, options)
    rows = await service.database.read(
        lambda session: webhooks.list_webhooks(session, wanted, limit=options.limit)
    )
    print_all(options, [describe(row) for row in rows])
    return FINE


async def _show(service: Service, options: Options) -> int:
    entry = await service.database.read(lambda session: get_webhook(session, options.id))
    if options.json:
        print_all(options, [entry])
        return FINE
    for name, value in entry.items():
        if value not in (None, []):
            shown = json.dumps(value, ensure_ascii=False) if name == "payload" else value
            print(f"{name:15} {shown}")
    return FINE


async def _replay(service: Service, options: Options) -> int:
    if options.all is bool(options.ids) or (options.all and not options.reason):
        print("name webhooks, or --all with a --reason")
        return USAGE
    ids = options.ids
    if options.all:
        wanted = _wanted(service, options)
        rows = await service.database.read(
            lambda session: webhooks.list_webhooks(session, wanted, limit=options.limit)
        )
        ids = [row.id for row in rows]
    outcomes = [
        {"id": webhook_id, "outcome": await _replay_one(service, options, webhook_id)}
        for webhook_id in ids
    ]
    print_all(options, outcomes)
    return FINE if all(entry["outcome"] in _GOOD for entry in outcomes) else WRONG


_WILL, _WOULD = "will be applied again", "would be applied again"
_GOOD = frozenset({_WILL, _WOULD})


async def _replay_one(service: Service, options: Options, webhook_id: str) -> str:
    try:
        if options.dry_run:
            await service.database.read(lambda session: webhooks.get_webhook(session, webhook_id))
            return _WOULD
        await replay_webhook(
            service.database,
            service.clock,
            webhook_id,
            actor=actor_of(options),
            reason=options.note,
        )
    except (NotFound, InvalidStateTransition) as error:
        return str(error)
    return _WILL
