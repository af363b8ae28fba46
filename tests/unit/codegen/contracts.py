"""A small contract that is accepted, to be broken in one place by each test."""

import copy
import json
from pathlib import Path
from typing import Any

import yaml

PROBLEM = {
    "description": "p",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
SMALL: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "t", "version": "1"},
    "servers": [{"url": "/"}],
    "tags": [{"name": "things", "description": "Things."}],
    "security": [{"bearerAuth": ["read"]}],
    "paths": {
        "/things/{thing_id}": {
            "parameters": [
                {
                    "name": "thing_id", "in": "path", "required": True,
                    "schema": {"$ref": "#/components/schemas/ThingId"},
                }
            ],
            "post": {
                "operationId": "changeThing",
                "tags": ["things"],
                "summary": "Change a thing",
                "parameters": [
                    {
                        "name": "limit", "in": "query",
                        "schema": {"type": "integer", "minimum": 1, "maximum": 9, "default": 5},
                    },
                    {
                        "name": "Idempotency-Key", "in": "header", "required": True,
                        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
                    },
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}
                    },
                },
                "responses": {
                    "200": {
                        "description": "done",
                        "headers": {"Location": {"schema": {"type": "string", "maxLength": 99}}},
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}
                        },
                    },
                    "404": PROBLEM,
                    "default": PROBLEM,
                },
            },
        },
    },
    "components": {
        "securitySchemes": {"bearerAuth": {"type": "http", "scheme": "bearer"}},
        "schemas": {
            "ThingId": {"type": "string", "pattern": "^[a-z]{1,8}$"},
            "Color": {"type": "string", "enum": ["red", "blue"]},
            "Cat": {
                "type": "object", "required": ["kind"],
                "properties": {"kind": {"type": "string", "const": "cat"}},
            },
            "Dog": {
                "type": "object", "required": ["kind"],
                "properties": {"kind": {"type": "string", "const": "dog"}},
            },
            "Pet": {
                "oneOf": [{"$ref": "#/components/schemas/Cat"},
                          {"$ref": "#/components/schemas/Dog"}],
                "discriminator": {"propertyName": "kind"},
            },
            "Thing": {
                "type": "object",
                "required": ["name", "amount"],
                "properties": {
                    "name": {"type": "string", "maxLength": 20},
                    "amount": {"type": "integer", "minimum": 1, "maximum": 10},
                    "color": {"$ref": "#/components/schemas/Color"},
                    "pet": {"$ref": "#/components/schemas/Pet"},
                    "notes": {
                        "type": "array", "maxItems": 3,
                        "items": {"type": "string", "maxLength": 9},
                    },
                },
            },
            "Problem": {
                "type": "object", "required": ["code"],
                "properties": {"code": {"type": "string", "maxLength": 64}},
            },
        },
    },
    "x-error-codes": {
        "NOT_FOUND": {
            "status": 404, "title": "Not found", "retryable": False, "description": "No.",
            "action": "Look elsewhere.",
        },
    },
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "NoticeV1",
    "type": "object",
    "required": ["event_version"],
    "properties": {
        "event_version": {"type": "integer", "minimum": 1, "maximum": 1000},
        "link": {"type": "string", "pattern": "^[a-z]{3}$"},
    },
}


def small() -> dict[str, Any]:
    """Copy the contract."""
    return copy.deepcopy(SMALL)


def node(document: dict[str, Any], pointer: str) -> Any:
    """Find the place that a dotted path names; a dot inside of a key is written ~."""
    found: Any = document
    for key in pointer.split("."):
        found = found[int(key)] if isinstance(found, list) else found[key.replace("~", ".")]
    return found


def write(root: Path, document: dict[str, Any], message: dict[str, Any] | None = None) -> Path:
    """Write a contract, and a message if there is one, into a folder."""
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    (root / "openapi.yaml").write_text(text)
    if message is not None:
        (root / "webhook-schemas" / "notice").mkdir(parents=True)
        target = root / "webhook-schemas" / "notice" / "v1.json"
        target.write_text(json.dumps(message))
    return root
