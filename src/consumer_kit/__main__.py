"""payment-consumer-kit: does your consumer of payments.events.v1 count every payment right?

It needs a Kafka to write to, not a payment service: a topic of its own is made and dropped.

    payment-consumer-kit check --bootstrap localhost:9092
        --run "my-consumer --topic {topic} --group {group} --brokers {bootstrap} --db {state}/my.db"
        --report "my-consumer --db {state}/my.db --dump"

--report prints JSON: by payment id, any of status, sequence, amount_received, amount_refunded and
times, how often each type of event took effect. Exit codes: 0 fine, 1 found wrong, 2 wrong usage.
"""

import argparse
import asyncio
import base64
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from consumer_kit.over_kafka import Commands, Unusable, check, chosen
from consumer_kit.scenarios import Restart, Scenario, Step, scenarios
from consumer_kit.verdicts import Verdict

FINE, WRONG, USAGE = 0, 1, 2
FAULTS_SHOWN_MAX = 5


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    try:
        wanted = chosen(scenarios(), options.only)
        return int(options.act(options, wanted))
    except Unusable as error:
        print(f"payment-consumer-kit: {error}", file=sys.stderr)
        return USAGE


def _check(options: argparse.Namespace, wanted: list[Scenario]) -> int:
    commands = Commands(options.run, options.report, options.settle_seconds)
    verdicts = asyncio.run(check(commands, options.bootstrap, wanted))
    for verdict in verdicts:
        _print(verdict)
    unseen = len(wanted) - len(verdicts)
    if unseen:
        print(f"{unseen} more were not come to; --only NAME checks one by itself")
    return FINE if all(verdict.is_fine for verdict in verdicts) else WRONG


def _print(verdict: Verdict) -> None:
    print(f"{'fine ' if verdict.is_fine else 'WRONG'} {verdict.scenario}: {_first(verdict.about)}")
    for fault in verdict.faults[:FAULTS_SHOWN_MAX]:
        print(f"      {fault}")
    if len(verdict.faults) > FAULTS_SHOWN_MAX:
        print(f"      and {len(verdict.faults) - FAULTS_SHOWN_MAX} more")


def _list(_options: argparse.Namespace, wanted: list[Scenario]) -> int:
    for scenario in wanted:
        print(f"{scenario.name:24} {_first(scenario.about)}")
    return FINE


def _export(options: argparse.Namespace, wanted: list[Scenario]) -> int:
    """Write the scenarios as JSON, for tests without a broker in any language."""
    options.folder.mkdir(parents=True, exist_ok=True)
    for scenario in wanted:
        document = {
            "name": scenario.name,
            "about": _first(scenario.about),
            "steps": [_exported(step) for step in scenario.steps],
            "accepted": {
                payment_id: [asdict(belief) for belief in beliefs]
                for payment_id, beliefs in scenario.accepted.items()
            },
        }
        path = options.folder / f"{scenario.name}.json"
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(path)
    return FINE


def _exported(step: Step) -> dict[str, Any]:
    if isinstance(step, Restart):
        return {"restart": True}
    try:
        return {"key": step.key, "value": step.value.decode()}
    except UnicodeDecodeError:
        return {"key": step.key, "value_base64": base64.b64encode(step.value).decode()}


def _first(about: str) -> str:
    return about.splitlines()[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="payment-consumer-kit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check_ = commands.add_parser("check", help="let a consumer go through the scenarios")
    check_.add_argument("--bootstrap", required=True, metavar="HOST:PORT")
    check_.add_argument("--run", required=True, metavar="COMMAND", help="starts the consumer")
    check_.add_argument("--report", required=True, metavar="COMMAND", help="prints the report")
    check_.add_argument("--settle-seconds", type=float, default=120.0)
    check_.set_defaults(act=_check)
    list_ = commands.add_parser("list", help="say which scenarios there are")
    list_.set_defaults(act=_list)
    export = commands.add_parser("export", help="write the scenarios as JSON files")
    export.add_argument("folder", type=Path)
    export.set_defaults(act=_export)
    for command in (check_, list_, export):
        command.add_argument("--only", nargs="+", default=[], metavar="NAME")
    return parser


if __name__ == "__main__":
    sys.exit(main())
