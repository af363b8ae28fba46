"""The pages are made of the contract, whole and harmless; what they cannot tell is refused."""

import json
import re

import pytest
import yaml

from codegen import markup
from codegen.__main__ import generate
from codegen.model import Unsupported
from tests.unit.codegen.contracts import MESSAGE, small, write

EVENTS = {
    "asyncapi": "3.0.0",
    "info": {"title": "t", "version": "1", "description": "Read `this`.\n\n- one\n- two"},
    "channels": {
        "notices": {
            "address": "notices.v1",
            "title": "Notices",
            "description": "All of them.",
            "messages": {"NoticeV1": {"$ref": "#/components/messages/NoticeV1"}},
            "bindings": {"kafka": {"topicConfiguration": {"retention.ms": 86_400_000}}},
        },
    },
    "operations": {
        "send": {"action": "send", "channel": {"$ref": "#/channels/notices"}, "summary": "us"},
    },
    "components": {
        "messages": {
            "NoticeV1": {
                "payload": {"$ref": "./notice/v1.json"},
                "bindings": {"kafka": {"key": {"description": "the notice"}}},
                "examples": [{"summary": "<one>", "payload": {"event_version": 1, "link": "<b>"}}],
            },
        },
    },
}


def written(tmp_path, events, message=MESSAGE):
    root = write(tmp_path, small(), message)
    (root / "webhook-schemas" / "asyncapi.yaml").write_text(yaml.safe_dump(events))
    return generate(root)


def changed(**message):
    events = json.loads(json.dumps(EVENTS))
    events["components"]["messages"]["NoticeV1"] |= message
    return events


def test_every_code_has_its_section_with_what_to_do(tmp_path):
    page = generate(write(tmp_path, small()))["docs/errors.html"]

    assert '<section class="code" id="NOT_FOUND">' in page
    assert "<dt>What to do</dt><dd>Look elsewhere.</dd>" in page
    assert "404 Not Found" in page


def test_texts_of_the_contract_are_text_on_the_pages(tmp_path):
    document = small()
    text = '<script>alert(1)</script> & "more" `<i>`'
    document["x-error-codes"]["NOT_FOUND"] |= {"title": text, "description": text, "action": text}
    document["info"]["title"] = text

    pages = generate(write(tmp_path, document))

    for name in ("docs/errors.html", "docs/index.html"):
        assert "alert" in pages[name]
        assert "<script>" not in pages[name]
        assert "<i>" not in pages[name]


def test_prose_is_paragraphs_lists_code_and_nothing_else():
    assert markup.prose("a `b<c`\nd\n\n- **e**\n- f\n  g") == [
        "<p>a <code>b&lt;c</code> d</p>", "<ul>", "<li><strong>e</strong></li>", "<li>f g</li>",
        "</ul>",
    ]  # fmt: skip


def test_the_events_document_has_no_reference_out_of_itself(tmp_path):
    definition = {"type": "object", "title": "LinkV1", "properties": {"at": {"type": "boolean"}}}
    message = {
        **MESSAGE,
        "properties": {**MESSAGE["properties"], "link": {"$ref": "#/$defs/LinkV1"}},
        "$defs": {"LinkV1": definition},
    }

    files = written(tmp_path, EVENTS, message)

    document = json.loads(files["docs/asyncapi.json"])
    references = re.findall(r'"\$ref": "([^"]*)"', files["docs/asyncapi.json"])
    assert document["components"]["schemas"]["LinkV1"] == definition
    assert set(references) == {
        "#/components/messages/NoticeV1", "#/components/schemas/NoticeV1",
        "#/components/schemas/LinkV1", "#/channels/notices",
    }  # fmt: skip
    assert '<section class="type" id="LinkV1">' in files["docs/events.html"]
    assert "&lt;b&gt;" in files["docs/events.html"]
    assert "1 days" in files["docs/events.html"]


@pytest.mark.parametrize(
    ("events", "refusal"),
    [
        (EVENTS | {"asyncapi": "2.6.0"}, "asyncapi.yaml#/asyncapi: must be 3.0.0"),
        (changed(payload={"$ref": "../openapi.yaml"}), "NoticeV1/payload: must name a schema"),
        (changed(payload={"$ref": "./notice/v2.json"}), "NoticeV1/payload: must name a schema"),
        (EVENTS | {"components": {"messages": {}}}, "v1.json: no message of webhook-schemas/async"),
    ],
)
def test_a_document_that_does_not_tell_of_the_schemas_is_refused(tmp_path, events, refusal):
    with pytest.raises(Unsupported, match=re.escape(refusal)):
        written(tmp_path, events)


def test_a_message_is_called_as_its_schema(tmp_path):
    events = json.loads(json.dumps(EVENTS).replace("NoticeV1", "NewsV1"))

    with pytest.raises(Unsupported, match="is called as its schema, NoticeV1"):
        written(tmp_path, events)
