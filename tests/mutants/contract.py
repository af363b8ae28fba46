"""Breakages of what watches over the contract: the gate, the versions, the kit and the example."""

from tests.mutants.mutant import Mutant

GATE = "codegen/compatibility"
EXAMPLE = "docs/examples/order_service"
WEBHOOKS = "src/payment_service/providers/payos/webhooks.py"

VERDICTS = ("tests/unit/codegen/compatibility/test_verdicts.py",)
GATED = ("tests/unit/codegen/compatibility/test_gate.py",)
PAYOS = ("tests/contract/versions/test_payos_versions.py",)
EVENTS = ("tests/contract/versions/test_stored_events.py",)
KIT = ("tests/contract/consumer_kit/test_kit.py",)
ORDERS = ("tests/contract/consumer_kit/test_order_service.py", "-k", "not kafka")

CONTRACT = (
    Mutant(
        name="the gate lets requests become narrower",
        path=f"{GATE}/schemas.py",
        old="        if self._direction is Direction.INBOUND:",
        new="        if False:",
        tests=VERDICTS,
    ),
    Mutant(
        name="the gate lets responses become wider",
        path=f"{GATE}/schemas.py",
        old="        if self._direction is Direction.OUTBOUND:",
        new="        if False:",
        tests=VERDICTS,
    ),
    Mutant(
        name="the gate does not tell directions apart",
        path=f"{GATE}/schemas.py",
        old="        if self._direction is Direction.INBOUND:",
        new="        if True:",
        tests=VERDICTS,
    ),
    Mutant(
        name="the gate passes what it does not know",
        path=f"{GATE}/schemas.py",
        old="                if keyword not in KNOWN:",
        new="                if False:",
        tests=VERDICTS,
    ),
    Mutant(
        name="the gate does not look at scopes",
        path=f"{GATE}/operations.py",
        old="for scope in sorted(set(scopes) - set(granted.get(scheme, scopes))):",
        new="for scope in ():",
        tests=VERDICTS,
    ),
    Mutant(
        name="a released file may change",
        path=f"{GATE}/released.py",
        old="        elif _digest(path) != digest:",
        new="        elif False:",
        tests=GATED,
    ),
    Mutant(
        name="the corpus may shrink",
        path=f"{GATE}/released.py",
        old="        if not path.is_file():\n            found",
        new="        if not path.is_file():\n            continue\n            found",
        tests=GATED,
    ),
    Mutant(
        name="a release needs no number",
        path=f"{GATE}/__main__.py",
        old="    if after > before:",
        new="    if True:",
        tests=GATED,
    ),
    Mutant(
        name="an event does not say what was before",
        path="src/payment_service/ledger/changes.py",
        old="                previous_status=change.from_status,",
        new="                previous_status=None,",
        tests=EVENTS,
    ),
    Mutant(
        name="a transfer in two forms is two events",
        path=WEBHOOKS,
        old='        told = data | {"transactionDateTime": _time_of(data)}',
        new="        told = data",
        tests=PAYOS,
    ),
    Mutant(
        name="what came before its reader stays unreadable",
        path=WEBHOOKS,
        old="        if seen == schema_version:\n",
        new="        if True:\n",
        tests=PAYOS,
    ),
    Mutant(
        name="the kit does not count effects",
        path="src/consumer_kit/verdicts.py",
        old='    if "times" in told:\n',
        new="    if False:\n",
        tests=KIT,
    ),
    Mutant(
        name="the kit forgets to restart",
        path="src/consumer_kit/in_process.py",
        old="            lives.append([])",
        new="            continue",
        tests=KIT,
    ),
    Mutant(
        name="the example does not wait at gaps",
        path=f"{EXAMPLE}/inbox.py",
        old="            if event.sequence > sequence + 1:",
        new="            if False:",
        tests=ORDERS,
    ),
    Mutant(
        name="the example counts twice",
        path=f"{EXAMPLE}/inbox.py",
        old="            if event.sequence <= sequence and is_known:\n",
        new="            if False:\n",
        tests=ORDERS,
    ),
    Mutant(
        name="the example writes effect and note apart",
        path=f"{EXAMPLE}/store.py",
        old='            self._connection.execute("ROLLBACK")',
        new='            self._connection.execute("COMMIT")',
        tests=ORDERS,
    ),
    Mutant(
        name="the example thanks for a refund that comes back",
        path=f"{EXAMPLE}/inbox.py",
        old='        if event.type == "payment.paid" and was == "pending":',
        new='        if event.type == "payment.paid":',
        tests=ORDERS,
    ),
    Mutant(
        name="the example stops at poison",
        path=f"{EXAMPLE}/event.py",
        old="    except (ValueError, RecursionError) as error:",
        new="    except RecursionError as error:",
        tests=ORDERS,
    ),
)
