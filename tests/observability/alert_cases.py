"""For each alert: what is just short of it, and what is just over. Values are a minute apart.

A case has three phases: short of the limit, over it, short again. A counter is written by its
growth a minute. Whatever is constant (traffic, for example) stands in `always`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

HTTP = "payments_http_requests_total"
BUCKET = "payments_http_request_duration_seconds_bucket"
COUNT = "payments_http_request_duration_seconds_count"
WEBHOOKS = "payments_webhooks_total"
Phases = tuple[float, float, float]
NEVER = 99  # `holds` of a case that only shows what does not fire


@dataclass(frozen=True, kw_only=True)
class Case:
    """One alert, shown to fire, not to fire, and to recover."""

    alert: str
    labels: str = ""  # of the alert, beside its name and severity
    severity: str
    gauges: Mapping[str, Phases] = field(default_factory=dict)
    counters: Mapping[str, Phases] = field(default_factory=dict)
    minutes: tuple[int, int, int] = (30, 40, 60)  # of the phases
    holds: int  # minutes that it must last
    step: int = 1  # minutes between samples
    after: int = 0  # minutes that the expression takes to notice
    name: str = ""

    @property
    def id(self) -> str:
        """Name the case."""
        return f"{self.alert}{'-' + self.name if self.name else ''}"


def _burn(
    alert: str,
    name: str,
    errors: Phases,
    minutes: tuple[int, int, int],
    *,
    holds: int = NEVER,
    after: int = 0,
    step: int = 1,
    traffic: Phases = (10_000, 10_000, 10_000),
) -> Case:
    """Make a case from the share of failing requests in per cent."""
    failing = tuple(flow * share / 100 for flow, share in zip(traffic, errors, strict=True))
    served = tuple(flow - bad for flow, bad in zip(traffic, failing, strict=True))
    return Case(
        alert=alert, name=name, minutes=minutes, holds=holds, after=after, step=step,
        severity="page" if alert.endswith("FastBurn") else "ticket",
        counters={
            f'{HTTP}{{operation="a",status="5xx"}}': (failing[0], failing[1], failing[2]),
            f'{HTTP}{{operation="a",status="2xx"}}': (served[0], served[1], served[2]),
        },
    )  # fmt: skip


def _slow(operation: str, slow: Phases, limit: str, flow: float = 9) -> Mapping[str, Phases]:
    """Write requests, of which some per cent take longer than the limit (a bucket's edge)."""
    quick = tuple(flow * (1 - share / 100) for share in slow)
    full: Phases = (flow, flow, flow)
    return {
        f'{BUCKET}{{operation="{operation}",le="0.005"}}': (0, 0, 0),
        f'{BUCKET}{{operation="{operation}",le="{limit}"}}': (quick[0], quick[1], quick[2]),
        f'{BUCKET}{{operation="{operation}",le="10.0"}}': full,
        f'{BUCKET}{{operation="{operation}",le="+Inf"}}': full,
        f'{COUNT}{{operation="{operation}"}}': full,
    }


def _dead(dead: Phases, applied: Phases) -> Mapping[str, Phases]:
    return {
        f'{WEBHOOKS}{{provider="payos",outcome="dead"}}': dead,
        f'{WEBHOOKS}{{provider="payos",outcome="applied"}}': applied,
        f'{WEBHOOKS}{{provider="payos",outcome="duplicate"}}': (500, 500, 500),
    }


BUSY_BEFORE: Phases = (100_000, 10_000, 10_000)
ROLES = ("api", "relay", "consumer", "scheduler")
DAY = 24 * 60

CASES = (
    # Each pair of windows alone, each limit from both sides: errors that last long enough for one
    # window and not for another, and errors that become fewer, which only the short window sees.
    _burn("ErrorBudgetFastBurn", "hour", (0, 1.6, 1.0), (400, 70, 12), holds=2, after=56, step=2),
    _burn("ErrorBudgetFastBurn", "minutes", (0, 5, 0), (400, 10, 60), step=2),
    _burn("ErrorBudgetFastBurn", "less-in-an-hour", (0, 1.4, 0), (400, 100, 60), step=2),
    _burn("ErrorBudgetFastBurn", "six-hours", (0, 0.7, 0.5), (400, 400, 60), holds=2, after=310,
          step=2),
    _burn("ErrorBudgetFastBurn", "less-in-six-hours", (0.59, 0.59, 0.59), (10, 400, 10), step=2),
    _burn("ErrorBudgetSlowBurn", "day", (0, 0.4, 0.2), (2 * DAY, 1560, 240), holds=60, after=1395,
          step=15, traffic=BUSY_BEFORE),
    _burn("ErrorBudgetSlowBurn", "hours", (0, 2.4, 0), (2 * DAY, 120, 420), step=15,
          traffic=BUSY_BEFORE),
    _burn("ErrorBudgetSlowBurn", "less-in-a-day", (0, 0.29, 0), (3 * DAY, 990, 420), step=15),
    _burn("ErrorBudgetSlowBurn", "three-days", (0, 0.15, 0.07), (3 * DAY, 3 * DAY, 600), holds=60,
          after=2895, step=15),
    _burn("ErrorBudgetSlowBurn", "less-in-three-days", (0.09, 0.09, 0.09), (15, 3 * DAY, 15),
          step=15),
    Case(alert="LatencyHigh", labels='operation="getPayment"', severity="ticket", holds=10, after=3,
         counters=_slow("getPayment", (4.9, 5.1, 4.9), "0.5")),
    Case(alert="LatencyHigh", name="rare", severity="ticket", holds=NEVER,
         counters=_slow("getPayment", (90, 90, 90), "0.5", flow=5)),
    Case(alert="LatencyHigh", name="not-of-provider", severity="ticket", holds=NEVER,
         counters=_slow("createPayment", (90, 90, 90), "0.5")),
    Case(alert="LatencyWithProviderHigh", labels='operation="createPayment"', severity="ticket",
         holds=10, after=3, counters=_slow("createPayment", (4.9, 5.1, 4.9), "2.5")),
    Case(alert="LatencyWithProviderHigh", name="rare", severity="ticket", holds=NEVER,
         counters=_slow("createPayment", (90, 90, 90), "2.5", flow=5)),
    Case(alert="ContractViolated", labels='operation="getPayment"', severity="ticket", holds=0,
         after=1, counters={
             'payments_contract_violations_total{operation="getPayment"}': (0, 0.1, 0)}),
    Case(alert="UnhandledErrors", labels='component="relay"', severity="ticket", holds=0, after=1,
         counters={'payments_unhandled_errors_total{component="relay"}': (0, .1, 0)}),
    Case(alert="WebhooksNotApplied", severity="page", holds=2, gauges={
        'payments_webhooks_oldest_age_seconds{role="api"}': (120, 121, 120),
        'payments_webhooks_oldest_age_seconds{role="consumer"}': (0, 0, 0)}),
    Case(alert="WebhookDeadLetterRateHigh", severity="page", holds=5, after=8,
         counters=_dead((1.9, 2.1, 1.9), (98.1, 97.9, 98.1))),
    Case(alert="WebhookDeadLetterRateHigh", name="few", severity="page", holds=NEVER,
         counters=_dead((0.26, 0.26, 0.26), (1, 1, 1))),
    Case(alert="WebhookDeadLetterRateHigh", name="enough", severity="page", holds=5, after=14,
         counters=_dead((0, 0.3, 0), (1, 1, 1))),
    Case(alert="WebhooksDead", severity="ticket", holds=5,
         gauges={"payments_webhooks_dead": (0, 1, 0)}),
    Case(alert="ConsumerLagHigh", labels='topic="t"', severity="ticket", holds=5, gauges={
        'payments_consumer_lag_messages{topic="t",partition="0"}': (500, 501, 500),
        'payments_consumer_lag_messages{topic="t",partition="1"}': (500, 500, 500)}),
    Case(alert="OutboxStuck", severity="page", holds=2, gauges={
        'payments_outbox_oldest_age_seconds{role="api"}': (60, 61, 60),
        'payments_outbox_oldest_age_seconds{role="relay"}': (0, 0, 0)}),
    Case(alert="OutboxMessageRefused", severity="page", holds=2,
         gauges={"payments_outbox_refused": (0, 1, 0)}),
    Case(alert="CreationsNotFinished", severity="ticket", holds=5, gauges={
        'payments_creations_oldest_age_seconds{role="api"}': (600, 601, 600),
        'payments_creations_oldest_age_seconds{role="relay"}': (0, 0, 0)}),
    Case(alert="RefundsNotPaidOut", severity="ticket", holds=10,
         gauges={"payments_refunds_oldest_age_seconds": (14_400, 14_401, 14_400)}),
    Case(alert="PaymentsNotLookedAt", severity="ticket", holds=10,
         gauges={"payments_checks_oldest_age_seconds": (1800, 1801, 1800)}),
    Case(alert="MoneyExceptionsAgeing", severity="ticket", holds=10,
         gauges={"payments_exceptions_oldest_age_seconds": (86_400, 86_401, 86_400)}),
    Case(alert="AuditViolation", labels='invariant="x"', severity="page", holds=0, gauges={
        'payments_audit_violations{invariant="x"}': (0, 1, 0),
        'payments_audit_violations{invariant="y"}': (0, 0, 0)}),
    # The time of a test begins at 0; an audit 36 hours and a minute ago lies before it.
    Case(alert="AuditOverdue", severity="ticket", holds=60, minutes=(30, 100, 60), gauges={
        "payments_audit_completed_timestamp_seconds": (-127_800, -130_000, 0)}),
    # It grows by a minute a minute while the job is done, and catches up when it is done again.
    Case(alert="JobNotDone", labels='task="refunds"', severity="page", holds=5, after=11, counters={
        'payments_job_completed_timestamp_seconds{task="refunds",role="scheduler"}': (60, 0, 120),
        'payments_job_completed_timestamp_seconds{task="refunds",role="api"}': (0, 0, 0),
        'payments_job_completed_timestamp_seconds{task="audit",role="scheduler"}': (60, 60, 60)}),
    Case(alert="CircuitOpen", labels='provider="payos", operation="create"', severity="page",
         holds=2, gauges={
             'payments_provider_circuit_state{provider="payos",operation="create"}': (0, 1, 0),
             'payments_provider_circuit_state{provider="payos",operation="get"}': (0, 0, 0)}),
    Case(alert="ProviderRefusesUs", labels='provider="payos"', severity="page", holds=0, after=1,
         counters={'payments_provider_calls_total{provider="payos",operation="get",'
                   'outcome="misconfigured"}': (0, .3, 0)}),
    Case(alert="DatabasePoolExhausted", labels='door="write", instance="i", state="used"',
         severity="ticket", holds=5, gauges={
             'payments_database_connections{instance="i",door="write",state="used"}':
                 (18, 18.1, 18),
             'payments_database_connections{instance="i",door="write",state="idle"}': (20, 20, 20),
             'payments_database_connections_max{instance="i"}': (20, 20, 20)}),
    Case(alert="TargetDown", labels='job="payments", role="relay"', severity="page", holds=2,
         gauges={'up{job="payments",role="relay"}': (1, 0, 1),
                 'up{job="payments",role="api"}': (1, 1, 1), 'up{job="other"}': (0, 0, 0)}),
)  # fmt: skip
