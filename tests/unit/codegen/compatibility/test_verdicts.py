"""The gate's verdict on more than a hundred changes of our own contract, each with its own."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from codegen import schemas, source
from codegen.compatibility.breakage import MAY_GROW
from codegen.compatibility.operations import compare_contracts
from codegen.compatibility.schemas import KNOWN
from codegen.compatibility.versions import compare_versions
from codegen.model import Document, Unsupported
from tests.unit.codegen.compatibility.message_mutations import MESSAGES
from tests.unit.codegen.compatibility.mutations import Mutation, add, put
from tests.unit.codegen.compatibility.operation_mutations import OPERATIONS
from tests.unit.codegen.compatibility.request_mutations import REQUESTS
from tests.unit.codegen.compatibility.response_mutations import RESPONSES

ROOT = Path(__file__).parents[4]
CONTRACT = source.read(ROOT, ROOT / "openapi.yaml")
EVENTS = source.read(ROOT, ROOT / "webhook-schemas/events/v1.json")
API = [*OPERATIONS, *REQUESTS, *RESPONSES]


def mutated(document: Document, mutation: Mutation, name: str) -> Document:
    content = copy.deepcopy(document.content)
    mutation.edit(content)
    assert json.dumps(content) != json.dumps(document.content), "the mutation changes nothing"
    return Document(name, "", content)


def verdict(mutation: Mutation, found: list[Any]) -> None:
    places = [breakage.where for breakage in found]
    if mutation.breaks is None:
        assert places == []
    else:
        assert any(mutation.breaks in place for place in places), places
        assert all(breakage.what and breakage.advice for breakage in found)


@pytest.mark.parametrize("mutation", API, ids=lambda mutation: mutation.name)
def test_change_of_the_api_gets_its_verdict(mutation: Mutation) -> None:
    verdict(mutation, compare_contracts(CONTRACT, mutated(CONTRACT, mutation, "openapi.yaml")))


@pytest.mark.parametrize("mutation", MESSAGES, ids=lambda mutation: mutation.name)
def test_next_version_of_an_event_gets_its_verdict(mutation: Mutation) -> None:
    successor = mutated(EVENTS, mutation, "webhook-schemas/events/v2.json")

    verdict(mutation, compare_versions({"events/v1.json": EVENTS, "events/v2.json": successor}))


def test_there_are_enough_changes_of_both_kinds() -> None:
    names = [mutation.name for mutation in [*API, *MESSAGES]]
    harmless = [mutation for mutation in [*API, *MESSAGES] if mutation.breaks is None]

    assert len(names) == len(set(names)) >= 100
    assert 30 <= len(harmless) <= len(names) - 60


def test_nothing_is_found_where_nothing_changed() -> None:
    assert compare_contracts(CONTRACT, CONTRACT) == []


def test_one_change_is_told_once_with_those_who_meet_it() -> None:
    mutation = Mutation("", add("components/schemas/PaymentStatus/enum", "on_hold"), "")

    (breakage,) = compare_contracts(CONTRACT, mutated(CONTRACT, mutation, "openapi.yaml"))

    users = breakage.used_by
    assert len(users) == len(set(users)) >= 5
    assert "responses of getPayment" in users
    assert not any(user.startswith("requests") for user in users)
    assert str(breakage) == (
        "openapi.yaml#/components/schemas/PaymentStatus/enum: on_hold is new"
        f" (in {users[0]}, {users[1]}, {users[2]} and {len(users) - 3} more)"
        f"\n    {MAY_GROW}"
    )


def test_each_keyword_of_the_contract_has_a_rule() -> None:
    """A keyword that the generator learns must be learnt here, too: else its change would pass."""
    spoken = set().union(*schemas._BY_KIND.values()) | schemas._ANNOTATIONS | {"oneOf", "type"}
    assert spoken <= KNOWN
    mutation = Mutation("", put("components/schemas/Payment/uniqueItems", value=True), "")

    with pytest.raises(Unsupported, match="nothing compares uniqueItems"):
        compare_contracts(CONTRACT, mutated(CONTRACT, mutation, "openapi.yaml"))


def test_what_a_provider_sends_changes_as_the_provider_likes() -> None:
    first = source.read(ROOT, ROOT / "webhook-schemas/payos/v1.json")
    mutation = Mutation("", put("$defs/PayosTransferV1/properties/amount/type", "string"), "")
    second = mutated(first, mutation, "webhook-schemas/payos/v2.json")

    assert compare_versions({"payos/v1.json": first, "payos/v2.json": second}) == []


@pytest.mark.parametrize("name", ["v3.json", "v01.json", "next.json"])
def test_versions_are_counted_without_gaps(name: str) -> None:
    odd = Document(f"webhook-schemas/events/{name}", "", EVENTS.content)

    (breakage,) = compare_versions({"events/v1.json": EVENTS, f"events/{name}": odd})

    assert breakage.where == odd.name
