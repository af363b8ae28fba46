"""Clients of the contract: they compile strictly, read well, and go a whole journey."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from codegen.names import pascal, snake
from tests.clients.languages import (
    CONTRACT,
    GO,
    JAVA,
    LANGUAGES,
    PYTHON,
    ROOT,
    TYPESCRIPT,
    Language,
    Missing,
)
from tests.clients.names import Names, of_go, of_java, of_python, of_typescript
from tests.support.process import Development, development

DEMANDED = {PYTHON, TYPESCRIPT}  # .ci/run installs what they need
READERS: dict[Language, Callable[[Path], Names]] = {
    PYTHON: of_python, TYPESCRIPT: of_typescript, GO: of_go, JAVA: of_java,
}  # fmt: skip
DOCUMENT = yaml.safe_load(CONTRACT.read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = [
    operation["operationId"]
    for item in DOCUMENT["paths"].values()
    for method, operation in item.items()
    if method in {"get", "post"}
]
# What generators call a thing that the contract gave no name, or gave twice.
MADE_UP = re.compile(r"Inline|Anonymous|AnyOf|AllOf|OneOf|Body\d|_\d|Value\d|[a-z]\d+$|\dType")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(each, id=each.name, marks=pytest.mark.xdist_group(f"client-{each.name}"))
        for each in LANGUAGES
    ],
)
def language(request: pytest.FixtureRequest) -> Language:
    """A language whose client is made, which includes that it compiles."""
    chosen: Language = request.param
    try:
        chosen.make()
    except Missing as error:
        demanded = os.environ.get("REQUIRE_STACK") and chosen in DEMANDED
        (pytest.fail if demanded else pytest.skip)(str(error))
    return chosen


@pytest.fixture(scope="module")
def running(language: Language, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    with development(tmp_path_factory.mktemp(language.name)) as service:
        yield service


def test_a_client_pays_waits_refunds_lists_and_reads_a_problem(
    language: Language, running: Development
) -> None:
    printed = language.travel({"PAYMENTS_URL": running.url, "PAYMENTS_TOKEN": running.token})

    seen = json.loads(printed)
    payment = running.call("GET", f"/v1/payments/{seen['payment_id']}").json()
    refunds = running.call("GET", f"/v1/payments/{seen['payment_id']}/refunds").json()["data"]
    assert (seen["repeated_payment_id"], seen["replayed"]) == (seen["payment_id"], True)
    assert (seen["status"], seen["received"]) == ("paid", 45_000)
    assert payment["status"] == "partially_refunded"
    assert [(r["refund_id"], r["amount"], r["status"]) for r in refunds] == [
        (seen["refund_id"], 20_000, seen["refund_status"])
    ]
    assert seen["refund_status"] == "succeeded"
    assert (seen["listed"], seen["pages"]) == (everything(running), 2)
    assert len(seen["listed"]) == 3
    assert (seen["problem"], seen["problem_status"]) == ("REFUND_EXCEEDS_AVAILABLE", 409)
    assert (seen["retryable"], seen["available"]) == (False, 25_000)
    assert seen["problem_type"] == f"{running.url}/docs/errors#REFUND_EXCEEDS_AVAILABLE"


def everything(running: Development) -> list[str]:
    page: dict[str, Any] = running.call("GET", "/v1/payments?limit=100").json()
    return [payment["payment_id"] for payment in page["data"]]


def test_the_lines_that_are_shown_work_as_they_are(
    language: Language, running: Development
) -> None:
    [lines] = shown(language, "docs/clients.md")
    tenant = {"PAYMENTS_URL": running.url, "PAYMENTS_TOKEN": running.strange_token()}

    printed = language.try_lines(lines, tenant)

    assert printed.startswith("pending pay_")


@pytest.mark.parametrize("chosen", LANGUAGES, ids=lambda each: each.name)
def test_the_readme_shows_the_same_lines(chosen: Language) -> None:
    lines = shown(chosen, "docs/clients.md") if chosen in DEMANDED else []

    assert shown(chosen, "README.md") == lines


def shown(language: Language, page: str) -> list[str]:
    """Find the lines of a language on a page."""
    text = (ROOT / page).read_text()
    return re.findall(rf"```{language.name}\n(.*?)```", text, re.DOTALL)


def test_types_and_operations_are_called_as_in_the_contract(language: Language) -> None:
    names = READERS[language](language.folder)

    assert operations_of(language, names) == set(OPERATIONS)
    assert told_by(language) <= names.types
    assert names.types - told_by(language) - allowed_besides(language) == set()
    assert [name for name in names.types if MADE_UP.search(name)] == []


def operations_of(language: Language, names: Names) -> set[str]:
    """Translate what can be called back into operation ids."""
    wanted = {PYTHON: snake, TYPESCRIPT: str, GO: pascal, JAVA: str}[language]
    known = {wanted(operation): operation for operation in OPERATIONS}
    if language is GO:
        spare = {f"{wanted(each)}WithBody" for each in OPERATIONS}  # a body as it comes
        return {known.get(name, name) for name in names.operations - spare}
    return {known.get(name, name) for name in names.operations}


def told_by(language: Language) -> set[str]:
    """List the schemas that have a type of their own in a language."""
    simple = {name for name, schema in SCHEMAS.items() if "enum" not in schema
              and schema.get("type") in {"string", "integer"}}  # fmt: skip
    if language is TYPESCRIPT:
        return set(SCHEMAS)
    if language is GO:
        return {go_name(name) for name in SCHEMAS}
    unions = {name for name, schema in SCHEMAS.items() if "oneOf" in schema}
    maps = {name for name, schema in SCHEMAS.items()
            if schema.get("type") == "object" and "properties" not in schema}  # fmt: skip
    # Python writes a union where it is used; Java a map.
    return set(SCHEMAS) - simple - (unions if language is PYTHON else maps)


def allowed_besides(language: Language) -> set[str]:
    """List what Go makes of parameters, bodies, answers and constants, and its client."""
    if language is not GO:
        return set()
    components = DOCUMENT["components"]
    named = {go_name(name) for kind in ("parameters", "responses") for name in components[kind]}
    constants = {
        f"{name}{pascal(member)}"
        for name, schema in SCHEMAS.items()
        for member, node in schema.get("properties", {}).items()
        if "const" in node and isinstance(node["const"], str)
    }
    calls = {pascal(operation) for operation in [*OPERATIONS, "payerReturns"]}
    suffixes = r"Params|Response|JSONRequestBody|Response(\d{3}|Default)Headers"
    types = READERS[GO](GO.folder).types
    of_calls = {name for name in types
                for call in calls if re.fullmatch(f"{call}({suffixes})", name)}  # fmt: skip
    return named | constants | of_calls | {
        "Client", "ClientInterface", "ClientOption", "ClientWithResponses",
        "ClientWithResponsesInterface", "HttpRequestDoer", "RequestEditorFn",
        "CallbackInitiator", "CallbackInitiatorInterface", "CallbackInitiatorOption",
    }  # fmt: skip


def go_name(name: str) -> str:
    """Write initials as Go does."""
    return re.sub(r"(Id|Url)$", lambda found: found[0].upper(), name)


def test_nothing_of_a_client_is_in_the_repository() -> None:
    ignored = (CONTRACT.parent / ".gitignore").read_text().splitlines()

    assert "dist/" in ignored
    assert {each.folder.parent.parent.name for each in LANGUAGES} == {"dist"}
