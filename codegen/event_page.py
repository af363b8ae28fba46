"""The AsyncAPI document -> a page to read."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from codegen.markup import inline, page, prose, table
from codegen.model import Node

_DAY_MS = 86_400_000


def generate(document: Node, *, header: str) -> str:
    """Write the page of topics and messages."""
    return page(title="Events", path="/docs/events", body=list(_lines(document)), header=header)


def _lines(document: Node) -> Iterator[str]:
    yield "<h1>Events</h1>"
    yield from prose(document["info"]["description"])
    yield (
        '<p class="files"><a href="/docs/asyncapi.json">asyncapi.json</a> is this page for '
        "programs: AsyncAPI 3.</p>"
    )
    yield '<nav class="index" aria-label="Topics">'
    for channel in document["channels"].values():
        address = channel["address"]
        yield (
            f'<div><a href="#{address}"><code>{address}</code></a>'
            f"<span>{inline(channel['title'])}</span></div>"
        )
    yield "</nav>"
    for name, channel in document["channels"].items():
        yield from _channel(document, name, channel)
    yield "<h2>Types</h2>"
    roots = {message["payload"]["$ref"].rsplit("/", 1)[1] for message in _messages(document)}
    for name, schema in document["components"]["schemas"].items():
        if name not in roots:
            yield from _schema(name, schema)


def _messages(document: Node) -> list[Node]:
    return list(document["components"]["messages"].values())


def _channel(document: Node, name: str, channel: Node) -> Iterator[str]:
    kafka = channel["bindings"]["kafka"]["topicConfiguration"]
    yield f'<section class="topic" id="{channel["address"]}">'
    yield f'<h2><a href="#{channel["address"]}"><code>{channel["address"]}</code></a></h2>'
    yield f'<p class="title">{inline(channel["title"])}</p>'
    yield from prose(channel["description"])
    yield "<dl>"
    yield f"<dt>Key</dt><dd>{inline(_key(document, channel))}</dd>"
    yield f"<dt>Kept for</dt><dd>{kafka['retention.ms'] // _DAY_MS} days</dd>"
    for operation in document["operations"].values():
        if operation["channel"]["$ref"] == f"#/channels/{name}":
            verb = "Written by" if operation["action"] == "send" else "Read by"
            yield f"<dt>{verb}</dt><dd>{inline(operation['summary'])}</dd>"
    yield "</dl>"
    for reference in channel["messages"].values():
        yield from _message(document, reference["$ref"].rsplit("/", 1)[1])
    yield "</section>"


def _key(document: Node, channel: Node) -> str:
    first = next(iter(channel["messages"].values()))["$ref"].rsplit("/", 1)[1]
    key = document["components"]["messages"][first]["bindings"]["kafka"]["key"]
    return str(key["description"])


def _message(document: Node, name: str) -> Iterator[str]:
    message = document["components"]["messages"][name]
    yield from _schema(name, document["components"]["schemas"][name])
    for example in message.get("examples", []):
        yield f"<details><summary>Example: {inline(example['summary'])}</summary>"
        text = json.dumps(example["payload"], ensure_ascii=False, indent=2)
        yield f'<pre tabindex="0"><code>{escape(text)}</code></pre>'
        yield "</details>"


def _schema(name: str, schema: Node) -> Iterator[str]:
    yield f'<section class="type" id="{name}">'
    yield f'<h3><a href="#{name}">{name}</a></h3>'
    yield from prose(schema.get("description", ""))
    known = schema.get("enum", schema.get("x-extensible-enum"))
    if known is not None:
        values = " ".join(f"<code>{value}</code>" for value in known)
        yield f'<p class="values">{values}</p>'
    if "properties" in schema:
        required = set(schema.get("required", []))
        rows = [
            (
                f"<code>{member}</code>"
                + ("" if member in required else ' <span class="optional">optional</span>'),
                _kind(node),
                inline(node.get("description", "")),
            )
            for member, node in schema["properties"].items()
        ]
        yield from table(("Member", "Type", "What it tells"), rows)
    yield "</section>"


def _kind(node: Any) -> str:
    """Name a type and its rules in few words."""
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        return f'<a href="#{name}">{name}</a>'
    if "const" in node:
        return f"<code>{escape(json.dumps(node['const']))}</code>"
    kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
    words = " or ".join(kinds)
    if node.get("format") == "date-time":
        words = words.replace("string", "time (RFC 3339)")
    if "items" in node:
        return f"{words} of {_kind(node['items'])}"
    rules = [
        f"{word} {node[rule]:,}"
        for rule, word in (("minimum", "from"), ("maxLength", "up to"), ("maxProperties", "up to"))
        if rule in node
    ]
    if "pattern" in node:
        rules.append(f"<code>{escape(node['pattern'])}</code>")
    return " ".join([words, *(f"<small>{rule}</small>" for rule in rules)])
