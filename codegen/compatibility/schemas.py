"""Compares two schemas, keyword by keyword: a closed language, so no change goes unjudged.

`codegen.schemas` refuses every keyword that is not in its tables; each of those has a rule here.
"""

import json
import math
import re
from typing import Any

from codegen.compatibility.breakage import (
    KEEP_ACCEPTING,
    KEEP_NAME,
    KEEP_PROMISE,
    MAY_GROW,
    Direction,
    Findings,
)
from codegen.model import Document, Node, Unsupported

_MINIMA = ("minimum", "minLength", "minItems", "minProperties")
_MAXIMA = ("maximum", "maxLength", "maxItems", "maxProperties")
_SAYS_NOTHING = {"title", "description", "examples", "deprecated"}
KNOWN = {
    *_MINIMA, *_MAXIMA, *_SAYS_NOTHING, "$schema", "$defs", "type", "enum", "const", "format",
    "pattern", "items", "properties", "required", "additionalProperties", "propertyNames", "oneOf",
    "discriminator", "x-extensible-enum", "default",
}  # fmt: skip
_WIDER_FORMATS = {("int32", "int64")}


class SchemaComparison:
    """Compares the schemas that one use of the contract leads to.

    Args:
        used_by: Who sees the change, for the message.
        names_matter: Whether generated clients know the schemas by their component names.
    """

    def __init__(
        self,
        old: Document,
        new: Document,
        direction: Direction,
        findings: Findings,
        *,
        used_by: str = "",
        names_matter: bool = True,
    ) -> None:
        self._old = old
        self._new = new
        self._direction = direction
        self._findings = findings
        self._used_by = used_by
        self._names_matter = names_matter
        self._seen: set[tuple[str, str]] = set()

    def compare(self, old_node: Node, new_node: Node, old_at: str, new_at: str) -> None:
        """Compare two schemas and all that they lead to.

        Raises:
            Unsupported: One has a keyword that no rule here judges.
        """
        old, old_at = self._old.resolve(old_node, old_at)
        new, new_at = self._new.resolve(new_node, new_at)
        if (old_at, new_at) in self._seen:
            return
        self._seen.add((old_at, new_at))
        for schema in (old, new):
            for keyword in schema:
                if keyword not in KNOWN:
                    raise Unsupported(new_at, f"nothing compares {keyword}")
        self._compare_names(old, old_at, new_at)
        if ("oneOf" in old) is not ("oneOf" in new):
            self._different(new_at, "is a union on one side only", KEEP_PROMISE)
        elif "oneOf" in old:
            self._compare_unions(old, new, old_at, new_at)
        elif self._compare_types(old, new, new_at):
            self._compare_values(old, new, new_at)
            if _values(old) is None:
                self._compare_bounds(old, new, new_at)
                self._compare_texts(old, new, new_at)
            self._compare_members(old, new, old_at, new_at)

    # --- what a change means depends on the direction ------------------------------------------

    def _narrower(self, where: str, what: str, advice: str = KEEP_ACCEPTING) -> None:
        if self._direction is Direction.INBOUND:
            self._different(where, what, advice)

    def _wider(self, where: str, what: str, advice: str = KEEP_PROMISE) -> None:
        if self._direction is Direction.OUTBOUND:
            self._different(where, what, advice)

    def _different(self, where: str, what: str, advice: str) -> None:
        self._findings.add(f"{self._new.name}{where}", what, advice, self._used_by)

    # --- the rules -----------------------------------------------------------------------------

    def _compare_names(self, old: Node, old_at: str, new_at: str) -> None:
        """Classes of generated clients have the names of components."""
        is_class = "properties" in old or "enum" in old or "oneOf" in old
        before, after = _component(old_at), _component(new_at)
        if self._names_matter and is_class and before and after and before != after:
            self._different(new_at, f"was called {before}, and is called {after}", KEEP_NAME)

    def _compare_unions(self, old: Node, new: Node, old_at: str, new_at: str) -> None:
        member = old["discriminator"]["propertyName"]
        if new["discriminator"]["propertyName"] != member:
            self._different(f"{new_at}/discriminator", f"was told apart by {member}", KEEP_NAME)
            return
        before = _variants(self._old, old, old_at)
        after = _variants(self._new, new, new_at)
        for tag in sorted(set(before) - set(after)):
            self._narrower(f"{new_at}/oneOf", f"{member} {tag} is gone")
        for tag in sorted(set(after) - set(before)):
            self._wider(f"{new_at}/oneOf", f"{member} {tag} is new", MAY_GROW)
        for tag in sorted(set(before) & set(after)):
            self.compare(before[tag][0], after[tag][0], before[tag][1], after[tag][1])

    def _compare_types(self, old: Node, new: Node, at: str) -> bool:
        """Compare the types; returns whether what depends on the type can be compared, too."""
        before, after = _types(old), _types(new)
        if before - {"null"} != after - {"null"}:
            what = f"was {_words(before)}, and is {_words(after)}"
            self._different(f"{at}/type", what, "Keep the type; tell the new one in a new member.")
            return False
        if before - after:
            self._narrower(f"{at}/type", "may not be null any more")
        if after - before:
            self._wider(f"{at}/type", "may be null")
        return True

    def _compare_values(self, old: Node, new: Node, at: str) -> None:
        before, after = _values(old), _values(new)
        place = f"{at}/{'const' if 'const' in old or 'const' in new else 'enum'}"
        if before is None and after is not None:
            self._narrower(place, f"takes {_words(after)} only")
        elif before is not None and after is None:
            self._wider(place, "may be anything", MAY_GROW)
            for value in sorted(value for value in before if not _fits(value, new)):
                self._narrower(at, f"{value} does not fit any more")
        elif before is not None and after is not None:
            for value in sorted(before - after):
                self._narrower(place, f"{value} is gone")
            for value in sorted(after - before):
                self._wider(place, f"{value} is new", MAY_GROW)
        known = set(old.get("x-extensible-enum", []))
        for value in sorted(known - set(new.get("x-extensible-enum", known))):
            self._narrower(f"{at}/x-extensible-enum", f"{value} is gone")

    def _compare_bounds(self, old: Node, new: Node, at: str) -> None:
        for keywords, unbounded, sign in ((_MINIMA, -math.inf, 1), (_MAXIMA, math.inf, -1)):
            for keyword in keywords:
                before, after = old.get(keyword, unbounded), new.get(keyword, unbounded)
                what = f"was {_bound(before)}, and is {_bound(after)}"
                if sign * after > sign * before:
                    self._narrower(f"{at}/{keyword}", what)
                elif sign * after < sign * before:
                    self._wider(f"{at}/{keyword}", what)

    def _compare_texts(self, old: Node, new: Node, at: str) -> None:
        for keyword in ("pattern", "format"):
            before, after = old.get(keyword), new.get(keyword)
            if before == after:
                continue
            what = f"was {before}, and is {after}"
            if before is None or (after, before) in _WIDER_FORMATS:
                self._narrower(f"{at}/{keyword}", what)
            elif after is None or (before, after) in _WIDER_FORMATS:
                self._wider(f"{at}/{keyword}", what)
            else:  # which of two patterns takes more is not for a tool to say
                self._different(f"{at}/{keyword}", what, "Keep it, or loosen it for requests only.")

    def _compare_members(self, old: Node, new: Node, old_at: str, new_at: str) -> None:
        if "items" in old and "items" in new:
            self.compare(old["items"], new["items"], f"{old_at}/items", f"{new_at}/items")
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in sorted(set(before) - set(after)):
            self._different(f"{new_at}/properties/{name}", "is gone", "Clients use it: keep it.")
        for name in sorted(set(before) & set(after)):
            at = f"/properties/{name}"
            self.compare(before[name], after[name], f"{old_at}{at}", f"{new_at}{at}")
        for name in sorted(set(after) - set(before)):
            self._compare_new_member(name, old, new, old_at, new_at)
        self._compare_required(old, new, new_at)
        self._compare_others(old, new, old_at, new_at)

    def _compare_new_member(
        self, name: str, old: Node, new: Node, old_at: str, new_at: str
    ) -> None:
        at, others = f"{new_at}/properties/{name}", old.get("additionalProperties", True)
        if isinstance(others, dict):
            old_at = f"{old_at}/additionalProperties"
            self.compare(others, new["properties"][name], old_at, at)
        elif others:
            self._narrower(at, "could have any value, and has a schema")
        else:
            self._wider(at, "is new, and clients refuse members that they do not know")

    def _compare_required(self, old: Node, new: Node, at: str) -> None:
        before, after = set(old.get("required", [])), set(new.get("required", []))
        for name in sorted(after - before):
            advice = "Clients do not send it today: let it be left out."
            self._narrower(f"{at}/required", f"{name} must be there", advice)
        for name in sorted((before - after) & set(new.get("properties", {}))):
            advice = "Clients rely on it: keep it required."
            self._wider(f"{at}/required", f"{name} may be missing", advice)

    def _compare_others(self, old: Node, new: Node, old_at: str, new_at: str) -> None:
        for keyword, absent in (("additionalProperties", True), ("propertyNames", {})):
            before, after = old.get(keyword, absent), new.get(keyword, absent)
            at = f"{new_at}/{keyword}"
            if keyword not in old and keyword not in new:
                continue
            if isinstance(before, dict) and isinstance(after, dict):
                self.compare(before, after, f"{old_at}/{keyword}", at)
            elif before != after:
                # Ordered by how much they let through: False, a schema, True.
                if _openness(after) < _openness(before):
                    self._narrower(at, "refuses members that were accepted")
                else:
                    self._wider(at, "lets more members through")


def _component(at: str) -> str:
    return at.rsplit("/", 1)[-1] if at.count("/") == 3 and "/schemas/" in at else ""  # noqa: PLR2004


def _variants(document: Document, union: Node, at: str) -> dict[str, tuple[Node, str]]:
    member, found = union["discriminator"]["propertyName"], {}
    for number, variant in enumerate(union["oneOf"]):
        target, _ = document.resolve(variant, at)
        found[str(target["properties"][member]["const"])] = (variant, f"{at}/oneOf/{number}")
    return found


def _types(schema: Node) -> set[str]:
    kinds = schema.get("type", [])
    return {kinds} if isinstance(kinds, str) else set(kinds)


def _values(schema: Node) -> set[str] | None:
    if "const" in schema:
        return {_word(schema["const"])}
    return {_word(value) for value in schema["enum"]} if "enum" in schema else None


def _fits(value: str, text: Node) -> bool:
    """Whether a value of an enum may still be said where there is only a form."""
    long_enough = text.get("minLength", 0) <= len(value) <= text.get("maxLength", math.inf)
    return long_enough and re.fullmatch(text.get("pattern", "(?s).*"), value) is not None


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _words(values: set[str]) -> str:
    return " or ".join(sorted(values)) or "anything"


def _bound(value: float) -> str:
    return "unbounded" if math.isinf(value) else str(value)


def _openness(others: Any) -> int:
    return 1 if isinstance(others, dict) else 2 * int(others)
