"""Breakages of the decisions about odd money, and what must catch each."""

from tests.mutants.mutant import Mutant

_SQLITE = ("-k", "sqlite")
RESOLUTIONS = ("tests/integration/test_exceptions.py", *_SQLITE)
ACCESS = ("tests/integration/test_exception_access.py", *_SQLITE)
RACES = ("tests/integration/test_exception_races.py", *_SQLITE)
# Locks that SQLite does not need.
RACES_ON_MYSQL = ("tests/integration/test_exception_races.py", "-k", "mysql")

EXCEPTIONS = (
    Mutant(
        name="operators decide about nobody's money at once",
        path="src/payment_service/use_cases/resolve_exception.py",
        old="exception = await exceptions.lock_exception(session, command.exception_id)",
        new="exception = await exceptions.get_exception(session, command.exception_id)",
        tests=RACES_ON_MYSQL,
    ),
    Mutant(
        name="an exception is decided twice",
        path="src/payment_service/use_cases/resolve_exception.py",
        old="if exception.resolution is not None:",
        new="if False:",
        tests=RACES,
    ),
    Mutant(
        name="money that moves away stays applied",
        path="src/payment_service/ledger/reallocations.py",
        old="released = amount if exception.code == ExceptionCode.UNDERPAID else 0",
        new="released = 0",
        tests=RESOLUTIONS,
    ),
    Mutant(
        name="money that was applied elsewhere stays",
        path="src/payment_service/ledger/reallocations.py",
        old="if not await payments.move_out(session, source.id, amount=amount, released=released):",
        new="if False:",
        tests=RESOLUTIONS,
    ),
    Mutant(
        name="an exception stays closed although its refund failed",
        path="src/payment_service/ledger/refunds.py",
        old="    exception = await reopen(session, refund)\n    await",
        new="    exception = None\n    await",
        tests=RESOLUTIONS,
    ),
    Mutant(
        name="an exception stays closed although its refund came back",
        path="src/payment_service/ledger/refunds.py",
        old="exception = await reopen(session, refund) or await raise_exception(",
        new="exception = await raise_exception(",
        tests=RESOLUTIONS,
    ),
    Mutant(
        name="resolving an excess gives the price away",
        path="src/payment_service/domain/money_exception.py",
        old="if status in SETTLED and code != ExceptionCode.REFUND_RETURNED:",
        new="if False:",
        tests=RESOLUTIONS,
    ),
    Mutant(
        name="giving back what came twice makes a payment refunded",
        path="src/payment_service/domain/refund.py",
        old="frozenset({RefundReason.OVERPAID, RefundReason.DUPLICATE})",
        new="frozenset({RefundReason.OVERPAID})",
        tests=RESOLUTIONS,
    ),
    Mutant(
        name="the first payer gets the second transfer back",
        path="src/payment_service/use_cases/resolve_exception.py",
        old="transfer=case.receipt,",
        new="transfer=None,",
        tests=RESOLUTIONS,
    ),
    Mutant(
        name="who paid is forgotten when money moves",
        path="src/payment_service/storage/payments.py",
        old=".where((Receipt.payment_id == payment_id) | Receipt.id.in_(moved_in))",
        new=".where(Receipt.payment_id == payment_id)",
        tests=RESOLUTIONS,
    ),
    Mutant(
        name="a tenant decides about another's money",
        path="src/payment_service/storage/exceptions.py",
        old="if exception is None or (tenant_id is not None and exception.tenant_id != tenant_id):",
        new="if exception is None:",
        tests=ACCESS,
    ),
    Mutant(
        name="money moves to another tenant",
        path="src/payment_service/use_cases/resolve_exception.py",
        old="return await payments.lock_payments(session, *ids, tenant_id=command.tenant_id)",
        new="return await payments.lock_payments(session, *ids, tenant_id=None)",
        tests=ACCESS,
    ),
    Mutant(
        name="money moves to another order",
        path="src/payment_service/use_cases/resolve_exception.py",
        old="(target.tenant_id, target.order_reference) != "
        "(source.tenant_id, source.order_reference)",
        new="False",
        tests=RESOLUTIONS,
    ),
    Mutant(
        name="money moves to a payment that is paid",
        path="src/payment_service/use_cases/resolve_exception.py",
        old="if target.status != PaymentStatus.PENDING:",
        new="if False:",
        tests=RESOLUTIONS,
    ),
    Mutant(
        name="the link of a payment that was paid otherwise stays open",
        path="src/payment_service/use_cases/check_payment.py",
        old="if due.has_ended and seen.state is CheckoutState.OPEN:",
        new="if False:",
        tests=RESOLUTIONS,
    ),
    Mutant(
        name="what an expired payment had counts as its price",
        path="src/payment_service/domain/payment.py",
        old="return received if status in CLOSED_UNPAID else received - applied",
        new="return received - applied",
        tests=RESOLUTIONS,
    ),
    Mutant(
        name="money is decided about while the payer may complete it",
        path="src/payment_service/domain/money_exception.py",
        old="if code == ExceptionCode.UNDERPAID and status == PaymentStatus.PENDING:",
        new="if False:",
        tests=RESOLUTIONS,
    ),
    Mutant(
        name="nobody is asked about nobody's money",
        path="src/payment_service/ledger/receipts.py",
        old="    await raise_exception(\n        session,\n        None,",
        new="    False and await raise_exception(\n        session,\n        None,",
        tests=ACCESS,
    ),
    Mutant(
        name="the guard of a reallocation is gone",
        path="src/payment_service/storage/payments.py",
        old="            Payment.amount_received - Payment.amount_refunded "
        "- Payment.amount_reserved >= amount,\n",
        new="",
        tests=RACES,
    ),
    Mutant(
        name="a decision does not hold its payments",
        path="src/payment_service/storage/payments.py",
        old="return {each: await lock_payment(session, each, tenant_id=tenant_id) for each in ids}",
        new="return {each: await session.get(Payment, each) for each in ids}",
        tests=RACES_ON_MYSQL,
    ),
    Mutant(
        name="a decision about nobody's money is not written down",
        path="src/payment_service/ledger/exceptions.py",
        old="await audit.add(session, _audit_entry(exception, actor, reason, now))",
        new="pass",
        tests=ACCESS,
    ),
)
