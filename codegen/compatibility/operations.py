"""Compares two versions of the HTTP contract, operation by operation.

Descriptions, examples, links and callbacks are documentation: nothing is compared of them.
"""

from typing import Any

from codegen.compatibility.breakage import (
    KEEP_ACCEPTING,
    KEEP_NAME,
    KEEP_PROMISE,
    Breakage,
    Direction,
    Findings,
)
from codegen.compatibility.schemas import SchemaComparison
from codegen.contract import parse
from codegen.model import Contract, Document, Operation, Parameter, Response

_ERROR_MIN = 400
_OPTIONAL = "Clients do not send it today: let it be left out."
_STATUS = "Clients wait for it: keep it."


def compare_contracts(old: Document, new: Document) -> list[Breakage]:
    """Tell what of the new contract would break clients of the old one.

    Raises:
        Unsupported: One says something that is not known here.
    """
    before, after = parse(old), parse(new)
    findings = Findings()
    there = {
        (operation.method, _shape(operation.path)): operation for operation in after.operations
    }
    for operation in before.operations:
        successor = there.get((operation.method, _shape(operation.path)))
        if successor is None:
            where = f"{new.name}{operation.where}"
            findings.add(where, f"{operation.id} is gone", "Clients call it: keep it.")
        else:
            _OperationComparison(before, after, findings, operation, successor).compare()
    _compare_error_codes(before, after, findings)
    return findings.all()


def _shape(path: str) -> str:
    """What of a path is on the wire: its parameters have no names there."""
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def _compare_error_codes(old: Contract, new: Contract, findings: Findings) -> None:
    for code, entry in old.error_codes.items():
        where = f"{new.document.name}#/x-error-codes/{code}"
        successor = new.error_codes.get(code)
        if successor is None:
            findings.add(where, "is gone", "Clients switch on it: keep it.")
            continue
        for name in ("status", "retryable"):
            if successor[name] != entry[name]:
                what = f"was {_word(entry[name])}, and is {_word(successor[name])}"
                findings.add(f"{where}/{name}", what, "Keep it, and tell the other by a new code.")


class _OperationComparison:
    def __init__(
        self, old: Contract, new: Contract, findings: Findings, before: Operation, after: Operation
    ) -> None:
        self._old = old
        self._new = new
        self._findings = findings
        self._before = before
        self._after = after

    def compare(self) -> None:
        """Compare what is called, who may, what is sent, and what is answered."""
        before, after = self._before, self._after
        for name, was, is_now in (
            ("operationId", before.id, after.id),
            ("tags", before.tag, after.tag),
        ):
            if was != is_now:
                self._add(f"{after.where}/{name}", f"was {was}, and is {is_now}", KEEP_NAME)
        self._compare_security()
        self._compare_parameters()
        self._compare_body()
        self._compare_responses()

    def _add(self, where: str, what: str, advice: str) -> None:
        self._findings.add(f"{self._new.document.name}{where}", what, advice, self._before.id)

    def _schemas(self, direction: Direction) -> SchemaComparison:
        return SchemaComparison(
            self._old.document,
            self._new.document,
            direction,
            self._findings,
            used_by=f"{direction.value} of {self._before.id}",
        )

    def _compare_security(self) -> None:
        """Whoever may call it today may call it tomorrow."""
        granted = self._before.security[0] if self._before.security else {}
        for scheme, scopes in (self._after.security[0] if self._after.security else {}).items():
            where = f"{self._after.where}/security"
            if scheme not in granted:
                self._add(where, f"needs {scheme}", "Clients call it without: let them.")
            for scope in sorted(set(scopes) - set(granted.get(scheme, scopes))):
                advice = "Tokens that clients have lack it: ask for what was asked before."
                self._add(where, f"needs the scope {scope}", advice)

    def _compare_parameters(self) -> None:
        before, after = _by_name(self._before), _by_name(self._after)
        for key in sorted(set(before) - set(after)):
            where = f"{self._after.where}/parameters"
            self._add(where, f"{key[1]} ({key[0]}) is gone", "Clients send it: keep it.")
        for key in sorted(set(after) - set(before)):
            if after[key].required:
                self._add(after[key].where, f"{key[1]} ({key[0]}) must be sent", _OPTIONAL)
        for key in sorted(set(before) & set(after)):
            self._compare_parameter(before[key], after[key])

    def _compare_parameter(self, before: Parameter, after: Parameter) -> None:
        if before.name.lower() != after.name.lower():
            what = f"was called {before.name}, and is called {after.name}"
            self._add(f"{after.where}/name", what, KEEP_NAME)
        if after.required and not before.required:
            self._add(f"{after.where}/required", f"{after.name} must be sent", _OPTIONAL)
        default = before.schema.get("default"), after.schema.get("default")
        if default[0] != default[1]:
            what = f"was {_word(default[0])}, and is {_word(default[1])}"
            advice = "Leaving it out means something else then: keep the default."
            self._add(f"{after.where}/schema/default", what, advice)
        places = f"{before.where}/schema", f"{after.where}/schema"
        self._schemas(Direction.INBOUND).compare(before.schema, after.schema, *places)

    def _compare_body(self) -> None:
        before, after = self._before, self._after
        where = f"{after.where}/requestBody"
        if before.body is not None and after.body is None:
            self._add(where, "is gone", KEEP_ACCEPTING)
        if after.body_required and not before.body_required:
            self._add(where, "must be sent", _OPTIONAL)
        if before.body is not None and after.body is not None:
            self._schemas(Direction.INBOUND).compare(before.body, after.body, where, where)

    def _compare_responses(self) -> None:
        before = {response.status: response for response in self._before.responses}
        after = {response.status: response for response in self._after.responses}
        where = f"{self._after.where}/responses"
        for status in sorted(set(before) - set(after)):
            self._add(f"{where}/{status}", "is gone", _STATUS)
        for status in sorted(set(after) - set(before)):
            if status != "default" and int(status) < _ERROR_MIN:
                self._add(f"{where}/{status}", "is a success that clients do not know", _STATUS)
        for status in sorted(set(before) & set(after)):
            self._compare_response(before[status], after[status])

    def _compare_response(self, before: Response, after: Response) -> None:
        if before.media_type != after.media_type:
            what = f"was {before.media_type or 'empty'}, and is {after.media_type or 'empty'}"
            self._add(f"{after.where}/content", what, KEEP_PROMISE)
        elif before.schema is not None and after.schema is not None:
            places = f"{before.where}/content", f"{after.where}/content"
            self._schemas(Direction.OUTBOUND).compare(before.schema, after.schema, *places)
        for name, header in before.headers.items():
            where = f"{after.where}/headers/{name}"
            successor = after.headers.get(name)
            if successor is None:
                self._add(where, "is gone", "Clients read it: keep it.")
                continue
            if header.get("required") and not successor.get("required"):
                self._add(f"{where}/required", "may be missing", "Keep it required.")
            places = f"{before.where}/headers/{name}/schema", f"{where}/schema"
            schemas = header["schema"], successor["schema"]
            self._schemas(Direction.OUTBOUND).compare(*schemas, *places)


def _by_name(operation: Operation) -> dict[tuple[str, str], Parameter]:
    """Key parameters by what is on the wire: a place in the path, a name, a header in any case."""
    places = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    found = {}
    for parameter in operation.parameters:
        if parameter.location == "path":
            key = ("path", f"parameter {places.index(parameter.name) + 1}")
        elif parameter.location == "header":
            key = ("header", parameter.name.lower())
        else:
            key = (parameter.location, parameter.name)
        found[key] = parameter
    return found


def _word(value: Any) -> str:
    return "nothing" if value is None else str(value).lower()
