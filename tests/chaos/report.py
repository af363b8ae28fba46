"""The table at the end of a run."""

from collections.abc import Iterable, Mapping

from tests.chaos.world import World

DIFFERENCES_SHOWN_MAX = 40


def write(world: World, seed: int) -> str:
    """Write the table."""
    answers, deaths, outcome = world.client.answers, world.fleet.deaths, world.outcome
    assert world.faults is not None
    lines = [
        "",
        f"chaos, seed {seed}",
        *_facts(world),
        _row("kills by role", deaths.by_role),
        _row("stopped in good order", deaths.stopped),
        _row("answers", answers.statuses),
        _row("faults", world.faults.counts + world.merchants.faults),
        f"  {'kills by failpoint':24} {deaths.at_points.total()}, on average "
        f"{deaths.at_points.total() / max(1, len(deaths.at_points)):.1f}, at least "
        f"{min(deaths.at_points.values(), default=0)}",
        *_columns(f"{point} {kills}" for point, kills in sorted(deaths.at_points.items())),
    ]
    problems = outcome.problems
    lines += [f"  WRONG: {problem}" for problem in problems[:DIFFERENCES_SHOWN_MAX]]
    if len(problems) > DIFFERENCES_SHOWN_MAX:
        lines.append(f"  ... and {len(problems) - DIFFERENCES_SHOWN_MAX} more")
    lines.append(f"chaos: {'exact on all ledgers' if not problems else 'DIFFERENCES'}")
    return "\n".join(lines)


def _facts(world: World) -> Iterable[str]:
    answers, outcome = world.client.answers, world.outcome
    seconds = sorted(answers.create_seconds)
    yield f"  {'seconds':24} " + ", ".join(f"{k} {v:.0f}" for k, v in outcome.seconds.items())
    yield f"  {'create, p50 / p99':24} {_share(seconds, 0.5):.2f} s / {_share(seconds, 0.99):.2f} s"
    books = outcome.books
    if books is None:
        return
    stored, links = books.stored, books.provider["links"].values()
    sent = sum(link["paid"] for link in links)
    booked = sum(receipt.amount for receipt in stored.receipts)
    refunded = sum(payment.amount_refunded for payment in stored.payments.values())
    yield _row("payments", _count(payment.status for payment in stored.payments.values()))
    yield f"  {'links / attempts':24} {len(links)} / {len(stored.attempts)}"
    yield f"  {'dong sent / booked':24} {sent:,} / {booked:,}, of it refunded {refunded:,}"
    yield _row("refunds", _count(refund.status for refund in stored.refunds.values()))
    yield _row("webhooks", _count(webhook.status for webhook in stored.webhooks))
    yield (f"  {'messages / in the log':24} {len(stored.outbox)} / {len(books.log)},"
           f" repeated {outcome.repeats} (budget {outcome.repeats_budget})")  # fmt: skip
    yield f"  {'answers replayed':24} {answers.replayed} of {len(answers.by_key)} keys"


def _count(words: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts


def _row(name: str, counts: Mapping[str, int]) -> str:
    told = ", ".join(f"{word} {count}" for word, count in sorted(counts.items()))
    return f"  {name:24} {sum(counts.values())}: {told}"


def _columns(entries: Iterable[str]) -> Iterable[str]:
    row: list[str] = []
    for entry in entries:
        row.append(f"{entry:44}")
        if len(row) == 2:
            yield "    " + "".join(row).rstrip()
            row = []
    if row:
        yield "    " + "".join(row).rstrip()


def _share(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0
