"""Compares the versions of messages: webhook-schemas/NAME/vN.json.

A version is a file, and a stored message names the one that it was written by: so a released file
never changes, and a change is the next file. What *we* send declares an `event_version`, and goes
to one topic in all its versions: so whatever satisfies version N + 1 satisfies version N, and who
knows only N reads on. What a provider sends changes as the provider likes.
"""

import re
from collections.abc import Mapping

from codegen.compatibility.breakage import Breakage, Direction, Findings
from codegen.compatibility.schemas import SchemaComparison
from codegen.model import Document

EVENT_VERSION = "event_version"
_NEXT = "Give it the next number: a stored message names its version, and none may be skipped."
_VERSION = re.compile(r"v([1-9][0-9]*)\.json")


def compare_versions(documents: Mapping[str, Document]) -> list[Breakage]:
    """Compare each version of each message with the one before; by paths like events/v1.json.

    Raises:
        Unsupported: One says something that is not known here.
    """
    findings = Findings()
    for folder in sorted({path.split("/")[0] for path in documents}):
        versions = _numbered(folder, documents, findings)
        for number in sorted(versions):
            if number > 1 and number - 1 not in versions:
                findings.add(versions[number].name, "the version before it is missing", _NEXT)
            elif number > 1 and is_ours(versions[number - 1]):
                _compare(versions[number - 1], versions[number], findings)
    return findings.all()


def is_ours(document: Document) -> bool:
    """Whether we send it: then it says by which version it was written."""
    schemas = [document.content, *document.content.get("$defs", {}).values()]
    return any(EVENT_VERSION in schema.get("properties", {}) for schema in schemas)


def _numbered(
    folder: str, documents: Mapping[str, Document], findings: Findings
) -> dict[int, Document]:
    found = {}
    for path, document in documents.items():
        if path.split("/")[0] != folder:
            continue
        match = _VERSION.fullmatch(path.split("/", 1)[1])
        if match is None:
            findings.add(document.name, "is not called vN.json", _NEXT)
        else:
            found[int(match[1])] = document
    return found


def _compare(old: Document, new: Document, findings: Findings) -> None:
    comparison = SchemaComparison(
        old,
        new,
        Direction.OUTBOUND,
        findings,
        used_by=f"what readers of {old.name.rsplit('/', 1)[-1]} are sent",
        names_matter=False,  # each version has classes of its own
    )
    comparison.compare(old.content, new.content, "#", "#")
