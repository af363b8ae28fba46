"""The committed output is what the contract gives, and every struct of it can be used."""

import importlib
import pkgutil
from pathlib import Path

import msgspec
import pytest

import generated
from codegen.__main__ import generate
from generated.api import models
from generated.api.problems import PROBLEM_TYPES, ErrorCode
from generated.api.routes import OPERATIONS
from tests.contract.stub_service import DOCUMENT

ROOT = Path(__file__).parents[2]


def test_generated_code_is_current():
    wanted = generate(ROOT)

    for name, text in wanted.items():
        assert (ROOT / "generated" / name).read_text(encoding="utf-8") == text, name
    found = {
        path for path in (ROOT / "generated").rglob("*") if path.suffix in {".py", ".json", ".html"}
    }
    assert {path.relative_to(ROOT / "generated").as_posix() for path in found} == set(wanted)


def _modules():
    for module in pkgutil.walk_packages(generated.__path__, "generated."):
        yield importlib.import_module(module.name)


def _structs():
    return {
        f"{module.__name__}.{name}": kind
        for module in _modules()
        for name, kind in vars(module).items()
        if isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
        and kind.__module__ == module.__name__
        and hasattr(kind, "__struct_fields__")
    }


@pytest.mark.parametrize("name", sorted(_structs()))
def test_a_decoder_can_be_built_for_every_struct(name):
    kind = _structs()[name]

    assert msgspec.json.Decoder(kind)
    assert kind.__struct_config__.frozen


def _examples():
    """List every example of the contract with its schema."""
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            media = [operation.get("requestBody", {})]
            media += [_resolved(response) for response in operation["responses"].values()]
            for owner in media:
                for content in owner.get("content", {}).values():
                    for name, example in content.get("examples", {}).items():
                        schema = content["schema"]["$ref"].rsplit("/", 1)[1]
                        yield f"{method} {path} {name}", schema, _resolved(example)["value"]


def _resolved(node):
    while "$ref" in node:
        found = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        node = found
    return node


EXAMPLES = sorted(_examples(), key=lambda found: found[0])


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_of_the_contract_is_valid_and_survives_the_struct(number):
    _, schema, value = EXAMPLES[number]
    text = msgspec.json.encode(value)

    kind = getattr(models, schema)

    struct = msgspec.json.decode(text, type=kind)

    again = msgspec.json.encode(struct)
    assert msgspec.json.decode(again, type=kind) == struct
    assert msgspec.json.decode(again).keys() == value.keys()


def test_there_are_examples():
    assert len(EXAMPLES) > 10


def test_the_table_of_operations_is_the_contract():
    documented = {
        (operation["operationId"], method.upper(), path)
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }

    assert {(op.id, op.method, op.path) for op in OPERATIONS} == documented
    assert {op.id for op in OPERATIONS if op.idempotent} == {
        "createPayment", "cancelPayment", "createRefund", "resolveException",
    }  # fmt: skip
    assert {op.id for op in OPERATIONS if not op.security} == {
        "getHealth", "getQrCode", "receivePayosWebhook", "receiveStripeWebhook",
    }  # fmt: skip


def test_the_catalogue_is_the_contract():
    assert (
        set(PROBLEM_TYPES) == set(DOCUMENT["x-error-codes"]) == {code.value for code in ErrorCode}
    )
    for code, entry in DOCUMENT["x-error-codes"].items():
        kind = PROBLEM_TYPES[ErrorCode(code)]
        assert (kind.code, kind.status, kind.title, kind.retryable) == (
            code, entry["status"], entry["title"], entry["retryable"],
        )  # fmt: skip


def test_the_catalogue_cannot_be_changed():
    with pytest.raises(TypeError):
        PROBLEM_TYPES["NOT_FOUND"] = PROBLEM_TYPES["FORBIDDEN"]
