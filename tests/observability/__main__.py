"""What is seen of one payment over four processes: make seen.

Its spans as a tree, its log lines by trace, its metrics. The servers are those that the environment
names; `deploy.stack` gives them.
"""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.observability.journey import Seen, see
from tests.support.otlp import Span
from tests.support.simulator import running_simulator

QUIET = frozenset({"connect"})  # spans that say nothing here
WIDTH = 60
FIELDS = ("payment_id", "refund_id", "webhook_id", "outcome", "change", "status", "operation",
          "duration_ms")  # fmt: skip


def say(text: str = "") -> None:
    """Print a line."""
    print(text, flush=True)


def tell_spans(seen: Seen) -> None:
    """Print the traces that the payment is part of, each as a tree."""
    roles = _roles(seen)
    senders = {
        (trace, parent): span for span in seen.spans if span.name.startswith("send ")
        for trace, parent in span.links
    }  # fmt: skip
    for number, trace in enumerate(_changes(seen), start=1):
        spans = [span for span in seen.spans if span.trace_id == trace]
        known = {span.span_id for span in spans}
        say(f"\n  Trace {number}: {trace}")
        for root in (span for span in spans if span.parent_id not in known):
            _tell_tree(root, spans, senders, roles, depth=0)


def _tell_tree(
    span: Span,
    spans: list[Span],
    senders: dict[tuple[str, str], Span],
    roles: dict[str, str],
    *,
    depth: int,
) -> None:
    name = _short(span)
    if span.name not in QUIET:
        say(f"    {'  ' * depth}{name:{WIDTH - 2 * depth}} {roles.get(span.process, ''):9}"
            f" {span.milliseconds:8.1f} ms")  # fmt: skip
    sender = senders.get((span.trace_id, span.span_id))
    if sender is not None:
        say(f"    {'  ' * (depth + 1)}<- sent by the relay in trace {sender.trace_id}, linked")
    for child in spans:
        if child.parent_id == span.span_id:
            _tell_tree(child, spans, senders, roles, depth=depth + 1)


def _short(span: Span) -> str:
    """Say what a span did: of a statement, its verb and its table."""
    statement = span.attributes.get("db.query.text")
    if statement is None:
        return span.name
    table = re.search(r"(?:FROM|INTO|UPDATE)\s+([a-z_]+)", str(statement))
    return f"{str(statement).split()[0]} {table[1] if table else ''}"


def _changes(seen: Seen) -> list[str]:
    """Name the traces that changed something, not those that only looked."""
    told = {span.trace_id for span in seen.spans if span.name.startswith("create ")}
    return [trace for trace in seen.traces() if trace in told]


def _roles(seen: Seen) -> dict[str, str]:
    """Name the role of each process, by the log lines that share its spans."""
    by_span = {span.span_id: span.process for span in seen.spans}
    return {
        by_span[line["span_id"]]: role
        for role, line in seen.lines()
        if line.get("span_id") in by_span
    }


def tell_logs(seen: Seen) -> None:
    """Print the log lines of those traces."""
    for number, trace in enumerate(_changes(seen), start=1):
        say(f"\n  Trace {number}: {trace}")
        for role, line in seen.lines():
            if line.get("trace_id") == trace:
                said = "  ".join(f"{name}={line[name]}" for name in FIELDS if name in line)
                say(f"    {_clock(line)}  {role:9} {line['event']:18} {said}")


def _clock(line: dict[str, Any]) -> str:
    return str(line["time"])[11:23]


def tell_metrics(seen: Seen) -> None:
    """Print the counters that moved."""
    for name in sorted(seen.moved):
        if not name.startswith(("payments_http", "payments_contract")):
            say(f"    {seen.moved[name]:+10g}  {name}")


def main() -> int:
    """Let a payment travel, and tell what was seen."""
    say("Starting api, relay, consumer and scheduler, a simulated payOS and a collector ...")
    with tempfile.TemporaryDirectory() as folder, running_simulator() as simulator:
        seen = see(
            Path(folder),
            database_url=os.environ["PAYMENTS_DATABASE_URL"],
            broker_url=os.environ["PAYMENTS_BROKER_URL"],
            simulator=simulator,
        )
    say(f"\n{seen.payment_id} was created, paid and refunded in part ({seen.refund_id}).")
    say("\n1. Its spans. A webhook is one trace from the request to the event, across processes.")
    tell_spans(seen)
    say("\n2. Its log lines, found by the ids of those traces.")
    tell_logs(seen)
    say("\n3. The counters that moved, all processes together.\n")
    tell_metrics(seen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
