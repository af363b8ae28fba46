"""What the generator cannot honour is refused with its location, never silently dropped."""

import json

import pytest

from codegen import contract, schemas, source
from codegen.model import Unsupported
from tests.unit.codegen.contracts import MESSAGE, node, small, write

OPERATION = "paths./things/{thing_id}.post"
SCHEMAS = "components.schemas"
AT = "#/paths/~1things~1{thing_id}/post"
THING = "#/components/schemas/Thing"
MEMBER = f"{THING}/properties/name"

# name: (where to put what, and how the refusal begins). DELETE takes a key away.
DELETE = object()
CASES = {
    # whole document
    "OpenAPI 3.0": ("openapi", "3.0.3", "#/openapi: must be 3.1.0"),
    "unknown extension": ("x-speed", 1, "#/x-speed: is not supported"),
    "webhooks": ("webhooks", {}, "#/webhooks: is not supported"),
    "path items as components": ("components.pathItems", {}, "#/components/pathItems: is not"),
    "a server with a prefix": ("servers", [{"url": "/v2"}], "#/servers: exactly one"),
    "two servers": ("servers", [{"url": "/"}, {"url": "/b"}], "#/servers: exactly one"),
    "API key": (
        "components.securitySchemes.bearerAuth", {"type": "apiKey", "in": "header", "name": "k"},
        "#/components/securitySchemes/bearerAuth: only http bearer",
    ),
    "form that OpenAPI forbids": (f"{OPERATION}.responses.200.description", DELETE,
                                  f"{AT}/responses/200: is not OpenAPI 3.1"),
    # operations
    "no operationId": (f"{OPERATION}.operationId", DELETE, f"{AT}: operationId is required"),
    "odd operationId": (f"{OPERATION}.operationId", "Change-It", f"{AT}/operationId: is written"),
    "no summary": (f"{OPERATION}.summary", DELETE, f"{AT}: summary is required"),
    "two tags": (f"{OPERATION}.tags", ["things", "things2"], f"{AT}/tags: exactly one tag"),
    "unlisted tag": (f"{OPERATION}.tags", ["others"], f"{AT}/tags: exactly one tag"),
    "servers of an operation": (f"{OPERATION}.servers", [{"url": "/"}], f"{AT}/servers: is not"),
    "extension of an operation": (f"{OPERATION}.x-cache", 1, f"{AT}/x-cache: is not supported"),
    "a choice of credentials": (f"{OPERATION}.security", [{"bearerAuth": []}, {}],
                                f"{AT}/security: one requirement"),
    "optional credentials": (f"{OPERATION}.security", [{}], f"{AT}/security/0: exactly one"),
    "unknown credentials": (f"{OPERATION}.security", [{"other": []}],
                            f"{AT}/security/0/other: no such"),
    # parameters
    "cookie": (f"{OPERATION}.parameters.0.in", "cookie", f"{AT}/parameters/0: parameters in"),
    "style": (f"{OPERATION}.parameters.0.style", "form", f"{AT}/parameters/0/style: is not"),
    "explode": (f"{OPERATION}.parameters.0.explode", False, f"{AT}/parameters/0/explode: is not"),
    "array": (f"{OPERATION}.parameters.0.schema", {"type": "array", "items": {}},
              f"{AT}/parameters/0/schema/type: must be a string"),
    "nullable": (f"{OPERATION}.parameters.0.schema.type", ["integer", "null"],
                 f"{AT}/parameters/0/schema/type: must be a string"),
    "ignored header": (f"{OPERATION}.parameters.1.name", "Authorization",
                       f"{AT}/parameters/1: OpenAPI ignores"),
    "optional Idempotency-Key": (f"{OPERATION}.parameters.1.required", False,
                                 f"{AT}/parameters/1/required: Idempotency-Key is required"),
    "two arguments of one name": (f"{OPERATION}.parameters.0.name", "idempotency_key",
                                  f"{AT}: Python would call two things idempotency_key"),
    "argument called body": (f"{OPERATION}.parameters.0.name", "body",
                             f"{AT}: Python would call two things body"),
    "undeclared template": ("paths./things/{thing_id}.parameters", [],
                            f"{AT}: path parameters and"),
    "inline enum": (f"{OPERATION}.parameters.0.schema", {"type": "string", "enum": ["a"]},
                    f"{AT}/parameters/0/schema: an enum must be"),
    # bodies and responses
    "another media type": (f"{OPERATION}.requestBody.content.text/plain", {},
                           f"{AT}/requestBody/content: bodies are application/json"),
    "multipart encoding": (f"{OPERATION}.requestBody.content.application/json.encoding", {},
                           f"{AT}/requestBody/content/application~1json/encoding: is not"),
    "inline body": (f"{OPERATION}.requestBody.content.application/json.schema", {"type": "object"},
                    f"{AT}/requestBody/content/application~1json/schema: must be a reference"),
    "reference out of the file": (
        f"{OPERATION}.parameters.0", {"$ref": "other.yaml#/x"},
        f"{AT}/parameters/0: only references into this file"),
    "reference to nothing": (f"{SCHEMAS}.Thing.properties.name", {"$ref": "#/components/no"},
                             f"{MEMBER}: #/components/no leads nowhere"),
    "range of statuses": (f"{OPERATION}.responses.2XX", {"description": "d"},
                          f"{AT}/responses/2XX: a status is"),
    "no default": (f"{OPERATION}.responses.default", DELETE, f"{AT}/responses: default must"),
    "no success": (f"{OPERATION}.responses.200", DELETE, f"{AT}/responses: there is no success"),
    "two media types": (f"{OPERATION}.responses.200.content.text/csv", {},
                        f"{AT}/responses/200/content: one media type"),
    "error that is no problem": (f"{OPERATION}.responses.409", {"description": "d"},
                                 f"{AT}/responses/409: errors, and only errors"),
    "status without a code": ("x-error-codes.NOT_FOUND.status", 410,
                              f"{AT}/responses/404: no error code"),
    "bytes with a schema": (
        f"{OPERATION}.responses.200.content", {"image/png": {"schema": {"type": "string"}}},
        f"{AT}/responses/200/content/image~1png/schema: bytes have no schema"),
    "handler sets the length": (f"{OPERATION}.responses.200.headers.Content-Length",
                                {"schema": {"type": "integer", "minimum": 0, "maximum": 9}},
                                f"{AT}/responses/200/headers/Content-Length: Content-Length is"),
    "header called body": (f"{OPERATION}.responses.200.headers.Body",
                           {"schema": {"type": "string", "maxLength": 9}},
                           f"{AT}/responses/200: Python would call two things body"),
    "header with a date": (f"{OPERATION}.responses.200.headers.Location.schema",
                           {"type": "string", "format": "date-time"},
                           f"{AT}/responses/200/headers/Location/schema/format: a header is"),
    "header of delivery that must be there": (
        f"{OPERATION}.responses.200.headers.Location",
        {"schema": {"type": "string", "maxLength": 9}, "x-of-delivery": True, "required": True},
        f"{AT}/responses/200/headers/Location/x-of-delivery: only true"),
    "header of no delivery": (f"{OPERATION}.responses.200.headers.Location.x-of-delivery", False,
                              f"{AT}/responses/200/headers/Location/x-of-delivery: only true"),
    # the catalogue
    "code without a title": ("x-error-codes.NOT_FOUND.title", DELETE,
                             "#/x-error-codes/NOT_FOUND: needs status"),
    "code without advice": ("x-error-codes.NOT_FOUND.action", DELETE,
                            "#/x-error-codes/NOT_FOUND: needs status"),
    "member that no client can read": (
        "x-error-codes.NOT_FOUND.members", ["color"],
        "#/x-error-codes/NOT_FOUND/members: Problem has no member color"),
    "code in lower case": ("x-error-codes.not_found", {}, "#/x-error-codes/not_found: a code is"),
    "enum and catalogue differ": (f"{SCHEMAS}.ErrorCode", {"type": "string", "enum": ["OTHER"]},
                                  "#/components/schemas/ErrorCode/enum: differs"),
    # schemas
    "allOf": (f"{SCHEMAS}.Thing.properties.name", {"allOf": []}, f"{MEMBER}"),
    "anyOf": (f"{SCHEMAS}.Thing.properties.name", {"anyOf": [{"type": "string"}]}, f"{MEMBER}"),
    "number": (f"{SCHEMAS}.Thing.properties.name", {"type": "number"}, f"{MEMBER}/type: number"),
    "no type": (f"{SCHEMAS}.Thing.properties.name", {}, f"{MEMBER}/type: None is not"),
    "two types": (f"{SCHEMAS}.Thing.properties.name.type", ["string", "integer"],
                  f"{MEMBER}/type: one type"),
    "default": (f"{SCHEMAS}.Thing.properties.name.default", "x", f"{MEMBER}/default: is not"),
    "readOnly": (f"{SCHEMAS}.Thing.properties.name.readOnly", True, f"{MEMBER}/readOnly: is not"),
    "minimum of a text": (f"{SCHEMAS}.Thing.properties.name.minimum", 1, f"{MEMBER}/minimum"),
    "unbounded text": (f"{SCHEMAS}.Thing.properties.name", {"type": "string"},
                       f"{MEMBER}: a string needs maxLength"),
    "unbounded pattern": (f"{SCHEMAS}.Thing.properties.name",
                          {"type": "string", "pattern": "^a+$"}, f"{MEMBER}: a string needs"),
    "unknown format": (f"{SCHEMAS}.Thing.properties.name.format", "email",
                       f"{MEMBER}/format: only"),
    "unbounded number": (f"{SCHEMAS}.Thing.properties.amount", {"type": "integer", "minimum": 1},
                         f"{THING}/properties/amount: an integer needs"),
    "multipleOf": (f"{SCHEMAS}.Thing.properties.amount.multipleOf", 5,
                   f"{THING}/properties/amount/multipleOf: is not"),
    "unbounded array": (f"{SCHEMAS}.Thing.properties.notes.maxItems", DELETE,
                        f"{THING}/properties/notes: an array needs"),
    "uniqueItems": (f"{SCHEMAS}.Thing.properties.notes.uniqueItems", True,
                    f"{THING}/properties/notes/uniqueItems: is not"),
    "tuple": (f"{SCHEMAS}.Thing.properties.notes.prefixItems", [{"type": "string"}],
              f"{THING}/properties/notes/prefixItems: is not"),
    "inline object": (
        f"{SCHEMAS}.Thing.properties.name",
        {"type": "object", "properties": {"a": {"type": "boolean"}}}, f"{MEMBER}: an object with"),
    "unbounded free object": (f"{SCHEMAS}.Thing.properties.name", {"type": "object"},
                              f"{MEMBER}: a free object needs"),
    "patternProperties": (f"{SCHEMAS}.Thing.patternProperties", {},
                          f"{THING}/patternProperties: is not"),
    "required stranger": (f"{SCHEMAS}.Thing.required", ["other"], f"{THING}/required: names"),
    "members alike in Python": (f"{SCHEMAS}.Thing.properties.Name",
                                {"type": "string", "maxLength": 1},
                                f"{THING}/properties/Name: Python would"),
    "name that is no class": (f"{SCHEMAS}.not_a_class", {"type": "boolean"},
                              "#/components/schemas/not_a_class: a name is"),
    "name that Python has": (f"{SCHEMAS}.None", {"type": "boolean"},
                             "#/components/schemas/None: a name is"),
    "another title": (f"{SCHEMAS}.Thing.title", "Other", f"{THING}/title: must be Thing"),
    "sibling of a reference": (f"{SCHEMAS}.Thing.properties.color.maxLength", 5,
                               f"{THING}/properties/color/maxLength: is not"),
    # unions
    "no discriminator": (f"{SCHEMAS}.Pet.discriminator", DELETE,
                         "#/components/schemas/Pet: a union needs"),
    "inline union": (f"{SCHEMAS}.Thing.properties.name",
                     {"oneOf": [{"$ref": "#/components/schemas/Cat"}]}, f"{MEMBER}: a union must"),
    "variant with two tags": (f"{SCHEMAS}.Cat.properties.kind",
                              {"type": "string", "enum": ["cat", "lion"]},
                              "#/components/schemas/Cat"),
    "tag not required": (f"{SCHEMAS}.Cat.required", [], "#/components/schemas/Cat: needs"),
    "two variants of one tag": (f"{SCHEMAS}.Dog.properties.kind.const", "cat",
                                "#/components/schemas/Pet/oneOf/1: kind cat is another"),
    "mapping that lies": (f"{SCHEMAS}.Pet.discriminator.mapping",
                          {"cat": "#/components/schemas/Dog"},
                          "#/components/schemas/Pet/discriminator/mapping: must be"),
    "inline variant": (f"{SCHEMAS}.Pet.oneOf", [{"type": "boolean"}],
                       "#/components/schemas/Pet/oneOf/0: a variant"),
}  # fmt: skip


def _check(root):
    return contract.load(root, root / "openapi.yaml")


def test_the_small_contract_itself_is_accepted(tmp_path):
    api = _check(write(tmp_path, small()))

    [operation] = api.operations
    assert operation.function == "change_thing"
    assert operation.idempotent
    assert operation.security == [{"bearerAuth": ["read"]}]


@pytest.mark.parametrize("case", CASES)
def test_a_feature_that_would_be_dropped_is_refused_with_its_location(tmp_path, case):
    place, value, refusal = CASES[case]
    document = small()
    parent, _, key = place.rpartition(".")
    target = node(document, parent) if parent else document
    key = int(key) if isinstance(target, list) else key
    if value is DELETE:
        del target[key]
    else:
        target[key] = value

    with pytest.raises(Unsupported) as refused:
        _check(write(tmp_path, document))

    assert refusal in str(refused.value)
    assert str(refused.value).startswith("#/")


@pytest.mark.parametrize("method", ["head", "options", "trace"])
def test_methods_without_support_are_refused(tmp_path, method):
    document = small()
    item = document["paths"]["/things/{thing_id}"]
    item[method] = item["post"]

    with pytest.raises(Unsupported, match=rf"thing_id}}/{method}: is not supported"):
        _check(write(tmp_path, document))


def test_a_get_with_a_body_is_refused(tmp_path):
    document = small()
    item = document["paths"]["/things/{thing_id}"]
    item["get"] = item.pop("post")

    with pytest.raises(Unsupported, match="requestBody: a GET has no body"):
        _check(write(tmp_path, document))


@pytest.mark.parametrize("path", ["/things/{other}", "/{kind}/all"])
def test_paths_that_cannot_be_told_apart_are_refused(tmp_path, path):
    document = small()
    item = json.loads(json.dumps(document["paths"]["/things/{thing_id}"]))
    item["parameters"][0]["name"] = path.split("{")[1].split("}")[0]
    item["post"]["operationId"] = "otherThing"
    document["paths"][path] = item

    with pytest.raises(Unsupported, match="cannot be told from"):
        _check(write(tmp_path, document))


@pytest.mark.parametrize("path", ["/things/{thing_id}/", "/things/a{thing_id}", "/th ings"])
def test_odd_paths_are_refused(tmp_path, path):
    document = small()
    document["paths"][path] = document["paths"].pop("/things/{thing_id}")

    with pytest.raises(Unsupported, match="a path is"):
        _check(write(tmp_path, document))


@pytest.mark.parametrize("again", ["changeThing", "change_thing", "ChangeThing"])
def test_an_operation_id_is_used_once(tmp_path, again):
    document = small()
    item = json.loads(json.dumps(document["paths"]["/things/{thing_id}"]))
    item["post"]["operationId"] = again
    document["paths"]["/others/{thing_id}"] = item

    with pytest.raises(Unsupported, match="operationId"):
        _check(write(tmp_path, document))


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("openapi: 3.1.0\nopenapi: 3.1.0\n", "openapi.yaml: line 2: the key openapi is there"),
        ("a:\n  200: x\n", "openapi.yaml: line 2: quote the key 200"),
        ("a: [\n", "openapi.yaml: while parsing"),
        ("- 1\n", "openapi.yaml: must be an object"),
        ("a: !!python/object:os.system {}\n", "openapi.yaml: could not determine"),
    ],
)
def test_text_that_would_be_read_in_part_is_refused(tmp_path, text, refusal):
    (tmp_path / "openapi.yaml").write_text(text)

    with pytest.raises(Unsupported) as refused:
        source.read(tmp_path, tmp_path / "openapi.yaml")

    assert str(refused.value).startswith(refusal)


def test_dates_stay_text(tmp_path):
    (tmp_path / "openapi.yaml").write_text("a: 2026-11-24\n")

    assert source.read(tmp_path, tmp_path / "openapi.yaml").content == {"a": "2026-11-24"}


MESSAGES = {
    "no dialect": ({"$schema": "http://json-schema.org/draft-07/schema#"}, "#/$schema: must be"),
    "no title": ({"title": DELETE}, "#: must be an object with a title"),
    "unknown keyword": ({"if": {}}, "#/if: is not supported"),
    "unbounded": ({"properties": {"a": {"type": "string"}}, "required": []},
                  "#/properties/a: a string needs"),
    "definition of another name": (
        {"$defs": {"A": {"title": "B", "type": "boolean"}}}, "#/$defs/A/title: must be A"),
    "unsafe pattern": (
        {"properties": {"event_version": {"type": "string", "pattern": "^(a+)+$"}}},
        "#/properties/event_version/pattern: a repetition"),
    "version that bars the next": (
        {"properties": {"event_version": {"type": "integer", "const": 1}}},
        "#/properties/event_version: is an integer from 1 to 1000"),
    "known value of another form": (
        {"properties": {"event_version": {"type": "integer", "minimum": 1, "maximum": 1000},
                        "a": {"type": "string", "pattern": "^[a-z]{1,9}$",
                              "x-extensible-enum": ["ok", "NO"]}}},
        "#/properties/a/x-extensible-enum: needs a pattern that fits NO"),
}  # fmt: skip


@pytest.mark.parametrize("case", MESSAGES)
def test_messages_obey_the_same_rules(tmp_path, case):
    changes, refusal = MESSAGES[case]
    message = {k: v for k, v in (MESSAGE | changes).items() if v is not DELETE}
    (tmp_path / "v1.json").write_text(json.dumps(message))

    with pytest.raises(Unsupported) as refused:
        schemas.check_message(source.read(tmp_path, tmp_path / "v1.json"))

    assert str(refused.value).startswith(f"v1.json{refusal}")


def test_a_message_with_a_key_twice_is_refused(tmp_path):
    (tmp_path / "v1.json").write_text('{"title": "A", "title": "B"}')

    with pytest.raises(Unsupported, match=r"v1\.json: an object: the key title is there already"):
        source.read(tmp_path, tmp_path / "v1.json")
