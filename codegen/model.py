"""The contract as the generator sees it: documents, operations, and what is refused."""

from dataclasses import dataclass, field
from typing import Any

from codegen.names import snake

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
IDEMPOTENCY_KEY = "Idempotency-Key"
OF_DELIVERY = "x-of-delivery"  # a header that is not the answer's but its delivery's

Node = dict[str, Any]


class Unsupported(Exception):
    """The contract says something that would not be honoured; the message starts with where."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")


@dataclass(frozen=True, slots=True)
class Document:
    """A file of the contract."""

    name: str  # as messages and stamps call it, relative to the root
    digest: str  # SHA-256 of its bytes
    content: Node

    def resolve(self, node: Node, where: str) -> tuple[Node, str]:
        """Follow `$ref`s inside the document; returns what they lead to, and its location.

        Raises:
            Unsupported: One leads out of the file, nowhere, or in a circle.
        """
        seen: set[str] = set()
        while "$ref" in node:
            reference = str(node["$ref"])
            if not reference.startswith("#/"):
                raise Unsupported(where, f"only references into this file, not {reference}")
            if reference in seen:
                raise Unsupported(where, f"{reference} leads in a circle")
            seen.add(reference)
            node, where = self._find(reference, where), reference
        return node, where

    def _find(self, reference: str, where: str) -> Node:
        target: Any = self.content
        for part in reference.removeprefix("#/").split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or key not in target:
                raise Unsupported(where, f"{reference} leads nowhere")
            target = target[key]
        if not isinstance(target, dict):
            raise Unsupported(where, f"{reference} leads to no object")
        return target


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an operation."""

    name: str
    location: str  # path, query or header
    required: bool
    schema: Node
    where: str


@dataclass(frozen=True, slots=True)
class Response:
    """A documented response."""

    status: str  # "201", or "default"
    description: str
    media_type: str | None
    schema: Node | None
    headers: dict[str, Node]
    where: str

    @property
    def own_headers(self) -> dict[str, Node]:
        """Those that a handler sets; the others belong to one delivery of the answer."""
        return {name: node for name, node in self.headers.items() if not node.get(OF_DELIVERY)}

    @property
    def is_problem(self) -> bool:
        """Whether it tells of an error."""
        return self.media_type == PROBLEM_JSON


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    id: str
    method: str
    path: str
    tag: str
    summary: str
    security: list[dict[str, list[str]]]
    parameters: list[Parameter]
    body: Node | None  # the schema, a $ref
    body_required: bool
    responses: list[Response]
    where: str

    @property
    def function(self) -> str:
        """The name of the handler's method."""
        return snake(self.id)

    @property
    def idempotent(self) -> bool:
        """Whether it requires an Idempotency-Key."""
        return any(p.name == IDEMPOTENCY_KEY and p.location == "header" for p in self.parameters)


@dataclass(slots=True)
class Contract:
    """openapi.yaml, resolved as far as code needs it."""

    document: Document
    operations: list[Operation] = field(default_factory=list)

    @property
    def tags(self) -> dict[str, str]:
        """The description of each tag."""
        tags = self.document.content.get("tags", [])
        return {tag["name"]: tag.get("description", tag["name"]) for tag in tags}

    @property
    def error_codes(self) -> dict[str, Node]:
        """The catalogue of problems."""
        codes: dict[str, Node] = self.document.content.get("x-error-codes", {})
        return codes

    @property
    def security_schemes(self) -> dict[str, Node]:
        """The ways to authenticate."""
        components: Node = self.document.content.get("components", {})
        schemes: dict[str, Node] = components.get("securitySchemes", {})
        return schemes
