"""Memory: many webhooks go the whole way, and no process grows."""

from http import HTTPStatus

from tests.benchmarks import machine, messages, seeds
from tests.benchmarks.load import closed_loop
from tests.benchmarks.rounds import tell
from tests.benchmarks.samples import Finding, Section
from tests.benchmarks.size import Size
from tests.benchmarks.stage import Stage
from tests.support.process import wait_until

ROLES = ("api", "relay", "consumer")
SLICES = 10
WARM_SLICES = 3  # until then caches fill
GROWTH_MAX = 1.05
SECONDS_MAX = 600
MEGABYTE = 1024 * 1024


async def measure(stage: Stage, size: Size) -> list[Section]:
    """Compare the memory of each process after the first slices with that at the end."""
    service = await stage.service("bench_workers", *ROLES)
    taken: dict[str, list[float]] = {role: [] for role in ROLES}
    count = size.memory_webhooks // SLICES
    for number in range(1, SLICES + 1):
        first = stage.take(count)
        seeds.open_payments(stage.mysql, service.database, first, count)
        await closed_loop(
            [service.port], messages.webhooks(first, count),
            connections=size.connections, expected=HTTPStatus.OK,
        )  # fmt: skip
        wait_until(
            lambda: stage.count(service.database, "webhook_events", "status = 'received'") == 0,
            seconds=SECONDS_MAX, what="all webhooks are applied",
        )  # fmt: skip
        for role in ROLES:
            resident = machine.resident_bytes(service.pid_of(role)) / MEGABYTE
            taken[role].append(resident)
        used = ", ".join(f"{role} {taken[role][-1]:.0f} MB" for role in ROLES)
        tell(f"{number * count:,} webhooks: {used}")
    section = Section("memory", f"{size.memory_webhooks:,} webhooks the whole way, resident memory")
    for role in ROLES:
        begin, end = taken[role][WARM_SLICES - 1], taken[role][-1]
        section.findings.append(
            Finding(what=f"{role}: end / warm", values=[end / begin], at_most=GROWTH_MAX)
        )
        section.notes.append(f"{role}: " + ", ".join(f"{each:.1f}" for each in taken[role]) + " MB")
    return [section]
