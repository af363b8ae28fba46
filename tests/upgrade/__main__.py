"""make upgrade: an upgrade, a roll-back, an upgrade again, under load; prints what went wrong.

UPGRADE_FROM names the old version, a commit or a tag; else it is the release before, or as long as
there is none the oldest commit that has today's schema. UPGRADE_BRIEF=1 is what CI does.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from deploy.stack.errors import Unavailable
from deploy.stack.kafka import KafkaServer
from deploy.stack.mysql import MySQLServer
from tests.support.simulator import running_simulator
from tests.upgrade.rehearsal import BRIEF, FULL
from tests.upgrade.story import Report, rehearse
from tests.upgrade.versions import lay_out


def main() -> int:
    """Rehearse, and say what was found."""
    size = BRIEF if os.environ.get("UPGRADE_BRIEF") == "1" else FULL
    with tempfile.TemporaryDirectory(prefix="payments-upgrade-") as folder:
        versions = lay_out(Path(folder), wanted=os.environ.get("UPGRADE_FROM"))
        print(f"upgrade: from {versions.old.name} to the working tree", flush=True)
        try:
            with MySQLServer() as mysql, KafkaServer() as kafka, running_simulator() as simulator:
                story = rehearse(
                    Path(folder), versions, size, mysql=mysql, kafka=kafka, simulator=simulator
                )
                report = asyncio.run(story)
        except Unavailable as reason:
            print(f"upgrade: skipped, {reason}")
            return 1 if os.environ.get("REQUIRE_STACK") == "1" else 0
    print(write(report))
    return 0 if report.is_fine else 1


def write(report: Report) -> str:
    """Write the report as a table."""
    tally, outcome = report.tally, report.outcome
    lines = [f"\n  {'step':40} {'requests':>8} {'paid':>6} {'errors':>6}"]
    for step, requests in tally.requests.items():
        errors = sum(error.startswith(f"{step}:") for error in tally.errors)
        lines.append(f"  {step:40} {requests:8} {tally.paid[step]:6} {errors:6}")
    total = tally.requests.total(), tally.paid.total(), len(tally.errors)
    lines += [
        "  {:40} {:8} {:6} {:6}".format("all", *total),
        f"\n  events       {outcome.events}, lost {len(outcome.lost)}, twice {outcome.repeated}",
        f"  processes    {outcome.exits.total()} were told to end, {outcome.exits[0]} ended well",
        f"  not ready    {', '.join(outcome.unready) or 'none'}",
        f"  audit        {outcome.audit or 'clean'}",
        *(f"  {fault}" for fault in [*tally.errors[:10], *outcome.lost[:10]]),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
