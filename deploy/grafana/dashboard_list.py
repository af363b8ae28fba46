"""The dashboards: what each is asked, from the symptom on the left to the cause on the right."""

from deploy.grafana.panels import Dashboard, Panel, Row

RATE = "[$__rate_interval]"
DAY = "[1d]"


def _rate(metric: str, by: str, **selector: str) -> str:
    chosen = ",".join(f"{name}{condition}" for name, condition in selector.items())
    braces = f"{{{chosen}}}" if chosen else ""
    return f"sum by ({by}) (rate({metric}{braces}{RATE}))"


def _quantile(share: float, metric: str, by: str) -> str:
    return f"histogram_quantile({share}, sum by ({by}, le) (rate({metric}_bucket{RATE})))"


def _in_a_day(metric: str, selector: str = "") -> str:
    return f"sum(increase({metric}{selector}{DAY}))"


def _edge(target: str) -> str:
    return _in_a_day("payments_transitions_total", f'{{to_status="{target}"}}')


ERRORS = "payments_http_requests_total"
SECONDS = "payments_http_request_duration_seconds"
TROUBLE = '{service="payment-service"} | json | level=~"warning|error|critical"'

SERVICE = Dashboard(
    uid="payments-service", title="Service",
    description="Is the API well, and do we keep the objective: 99.9 % without 5xx, in time?",
    rows=(
        Row("Objective", (
            Panel(title="Error budget left in 30 days", kind="stat", unit="percentunit",
                  description="1 is untouched, 0 is gone.", series={"left":
                  f'1 - (sum(increase({ERRORS}{{status="5xx"}}[30d])) '
                  f"/ sum(increase({ERRORS}[30d]))) / 0.001"}),
            Panel(title="Burn rate", description="1 uses the budget up in 30 days.", limit=14.4,
                  series={"5 m": "payments:http_errors:ratio_rate5m / 0.001",
                          "1 h": "payments:http_errors:ratio_rate1h / 0.001",
                          "6 h": "payments:http_errors:ratio_rate6h / 0.001"}),
            Panel(title="Alerts", kind="stat", limit=1,
                  series={"firing": 'count(ALERTS{alertstate="firing"}) or vector(0)'}),
        )),
        Row("Requests", (
            Panel(title="By operation", unit="reqps",
                  series={"{{operation}}": _rate(ERRORS, "operation")}),
            Panel(title="Errors by operation", unit="reqps",
                  series={"{{operation}} {{status}}":
                          _rate(ERRORS, "operation, status", status='=~"4xx|5xx"')}),
            Panel(title="p95 by operation", unit="s", limit=0.5, exemplars=True,
                  description="A point of an exemplar opens its trace.",
                  series={"{{operation}}": _quantile(0.95, SECONDS, "operation")}),
        )),
        Row("Contract and keys", (
            Panel(title="Idempotency keys", unit="reqps",
                  series={"{{outcome}}": _rate("payments_idempotency_total", "outcome")}),
            Panel(title="Broken by us", description="Each is a bug.", limit=1, series={
                "contract {{operation}}":
                    "sum by (operation) (increase(payments_contract_violations_total[1h]))",
                "error {{component}}":
                    "sum by (component) (increase(payments_unhandled_errors_total[1h]))"}),
            Panel(title="Contract checks", unit="reqps",
                  series={"{{verdict}}": _rate("payments_contract_checks_total", "verdict")}),
        )),
        Row("Processes", (
            Panel(title="Up", kind="stat",
                  series={"{{role}}": 'sum by (role) (up{job="payments"})'}),
            Panel(title="Database connections in use", unit="percentunit", limit=0.9, series={
                "{{instance}} {{door}}": 'payments_database_connections{state="used"} '
                "/ on (instance) group_left () payments_database_connections_max"}),
            Panel(title="Versions", kind="stat", series={
                "{{version}} on Python {{python}}":
                    "count by (version, python) (payments_build_info)"}),
        )),
        Row("Logs", (Panel(title="Warnings and errors", kind="logs", series={"": TROUBLE}),)),
    ),
)  # fmt: skip

MONEY = Dashboard(
    uid="payments-money", title="Payments and money",
    description="What was asked, paid, refunded; what is open; and does it add up?",
    rows=(
        Row("In a day", (
            Panel(title="Created", kind="stat", series={"": _in_a_day(
                "payments_transitions_total", '{from_status="none",to_status="pending"}')}),
            Panel(title="Paid", kind="stat", series={"": _edge("paid")}),
            Panel(title="Expired", kind="stat", series={"": _edge("expired")}),
            Panel(title="Failed", kind="stat", series={"": _edge("failed")}),
        )),
        Row("Flow", (
            Panel(title="Changes of status", unit="cps", series={
                "{{from_status}} to {{to_status}}":
                    _rate("payments_transitions_total", "from_status, to_status")}),
            Panel(title="Money, per hour", description="In minor units.", series={
                "received {{currency}}":
                    "sum by (currency) (increase(payments_money_received_minor_units_total[1h]))",
                "refunded {{currency}}":
                    "sum by (currency) (increase(payments_money_refunded_minor_units_total[1h]))"}),
            Panel(title="Refunds by state", unit="cps",
                  series={"{{state}}": _rate("payments_refunds_total", "state")}),
        )),
        Row("For a person to decide", (
            Panel(title="Open exceptions", limit=1,
                  series={"open": "max(payments_exceptions_open)"}),
            Panel(title="Oldest exception", unit="s", limit=86_400,
                  series={"age": "max(payments_exceptions_oldest_age_seconds)"}),
            Panel(title="Webhooks set aside", limit=1,
                  series={"dead": "max(payments_webhooks_dead)"}),
        )),
        Row("On its way", (
            Panel(title="Refunds not paid out", series={"": "max(payments_refunds_waiting)"}),
            Panel(title="Oldest refund not paid out", unit="s", limit=14_400,
                  series={"age": "max(payments_refunds_oldest_age_seconds)"}),
            Panel(title="Oldest creation without an answer", unit="s", limit=600,
                  series={"age": "max(payments_creations_oldest_age_seconds)"}),
        )),
        Row("Audit", (
            Panel(title="Broken rules", limit=1, description="Anything but nothing is an alarm.",
                  series={"{{invariant}}":
                          "max by (invariant) (payments_audit_violations) > 0"}),
            Panel(title="Since the last full audit", unit="s", kind="stat", limit=129_600, series={
                "": "time() - max(payments_audit_completed_timestamp_seconds)"}),
        )),
    ),
)  # fmt: skip

PIPELINE = Dashboard(
    uid="payments-pipeline", title="Pipeline",
    description="Webhook, outbox, Kafka, applied: where does it wait?",
    rows=(
        Row("End to end", (
            Panel(title="Oldest webhook not applied", unit="s", limit=120,
                  series={"age": "max(payments_webhooks_oldest_age_seconds)"}),
            Panel(title="From reception to applied", unit="s", exemplars=True, series={
                "p50": _quantile(0.5, "payments_webhook_delay_seconds", "job"),
                "p99": _quantile(0.99, "payments_webhook_delay_seconds", "job")}),
            Panel(title="Webhooks by outcome", unit="cps",
                  series={"{{outcome}}": _rate("payments_webhooks_total", "outcome")}),
        )),
        Row("Outbox", (
            Panel(title="Oldest message", unit="s", limit=60,
                  series={"age": "max(payments_outbox_oldest_age_seconds)"}),
            Panel(title="Messages waiting", series={
                "pending": "max(payments_outbox_pending)",
                "refused": "max(payments_outbox_refused)"}),
            Panel(title="Published", unit="cps",
                  series={"{{topic}}": _rate("payments_messages_published_total", "topic")}),
            Panel(title="Not taken by Kafka", unit="cps", series={
                "{{topic}} {{reason}}":
                    _rate("payments_publish_failures_total", "topic, reason")}),
        )),
        Row("Kafka", (
            Panel(title="Lag by partition", limit=1000, series={
                "{{topic}}/{{partition}}":
                    "sum by (topic, partition) (payments_consumer_lag_messages)"}),
            Panel(title="Stored webhooks waiting",
                  series={"waiting": "max(payments_webhooks_waiting)"}),
            Panel(title="Given up, per hour", limit=1,
                  series={"dead": "sum(increase(payments_dead_letters_total[1h]))"}),
        )),
        Row("Scheduler", (
            Panel(title="Items by outcome", unit="cps",
                  series={
                "{{task}} {{outcome}}": _rate("payments_job_items_total", "task, outcome")}),
            Panel(title="Time of a run, p95", unit="s", series={
                "{{task}}": _quantile(0.95, "payments_job_duration_seconds", "task")}),
            Panel(title="Since a job was got through", unit="s", limit=600, series={
                "{{task}}":
                    "time() - max by (task) (payments_job_completed_timestamp_seconds)"}),
            Panel(title="Payment that is due for longest", unit="s", limit=1800,
                  series={"age": "max(payments_checks_oldest_age_seconds)"}),
        )),
    ),
)  # fmt: skip

CALLS = "payments_provider_calls_total"
PROVIDER = Dashboard(
    uid="payments-provider", title="Provider",
    description="Does the provider answer, how fast, and do we let calls out?",
    rows=(
        Row("Calls", (
            Panel(title="By operation", unit="reqps",
                  series={"{{operation}}": _rate(CALLS, "operation")}),
            Panel(title="Not fine, by outcome", unit="reqps", series={
                "{{operation}} {{outcome}}":
                    _rate(CALLS, "operation, outcome", outcome='!="ok"')}),
            Panel(title="p95 by operation", unit="s", limit=2.5, series={
                "{{operation}}":
                    _quantile(0.95, "payments_provider_call_duration_seconds", "operation")}),
        )),
        Row("Protection", (
            Panel(title="Circuits", description="0 closed, 1 half open, 2 open.", limit=1, series={
                "{{operation}}":
                    "max by (provider, operation) (payments_provider_circuit_state)"}),
            Panel(title="Retries", unit="reqps", series={
                "{{outcome}}": _rate("payments_provider_retries_total", "outcome")}),
            Panel(title="Credentials refused, per hour", limit=1, series={
                "refused": f'sum(increase({CALLS}{{outcome="misconfigured"}}[1h]))'}),
        )),
        Row("What it tells us", (
            Panel(title="Webhooks at the door", unit="cps", series={
                "{{outcome}}": _rate("payments_webhooks_total", "outcome",
                                     outcome='=~"received|duplicate|signature_invalid"')}),
            Panel(title="Late, per hour", description="Payments that we had to ask about.", series={
                "{{task}}": "sum by (task) (increase(payments_job_items_total[1h]))"}),
        )),
    ),
)  # fmt: skip

DASHBOARDS = (SERVICE, MONEY, PIPELINE, PROVIDER)
