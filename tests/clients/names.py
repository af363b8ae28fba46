"""The names that a generated client has, read out of its source."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_GO_METHOD = re.compile(r"^func \(c \*ClientWithResponses\) (\w+)WithResponse\(", re.MULTILINE)
_JAVA_METHOD = re.compile(r"^  public [\w<>]+ (\w+)\(.*throws ApiException", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Names:
    """What a user of the client meets: types that tell of the contract, and what can be called."""

    types: frozenset[str]
    operations: frozenset[str]


def of_python(folder: Path) -> Names:
    """Read the models that are exported, and the modules of the operations."""
    package = folder / "payment_service_client"
    exported = re.search(
        r"__all__ = \((.*?)\)", (package / "models" / "__init__.py").read_text(), re.DOTALL
    )
    assert exported is not None
    modules = {path.stem for path in (package / "api").glob("*/*.py")} - {"__init__"}
    return Names(frozenset(ast.literal_eval(f"({exported[1]})")), frozenset(modules))


def of_typescript(folder: Path) -> Names:
    """Read the exported types that stand for schemas, and the operations."""
    text = (folder / "payments.ts").read_text()
    types = re.findall(r"^export type (\w+) = components\['schemas'\]\['\1'\]", text, re.MULTILINE)
    _, _, operations = text.partition("export interface operations {\n")
    return Names(
        frozenset(types), frozenset(re.findall(r"^    (\w+): \{$", operations, re.MULTILINE))
    )


def of_go(folder: Path) -> Names:
    """Read the types, and the methods of the client that decode answers."""
    text = (folder / "payments" / "payments.gen.go").read_text()
    types = re.findall(r"^type (\w+) ", text, re.MULTILINE)
    operations = re.findall(
        r"^func \(c \*ClientWithResponses\) (\w+)WithResponse\(", text, re.MULTILINE
    )
    return Names(frozenset(types), frozenset(operations))


def of_java(folder: Path) -> Names:
    """Read the classes of the model, and the public methods of the API classes."""
    source = folder / "client" / "src" / "main" / "java" / "example" / "payments"
    types = {path.stem for path in (source / "model").glob("*.java")} - {"AbstractOpenApiSchema"}
    return Names(frozenset(types), frozenset(_java_methods(source / "api")))


def _java_methods(folder: Path) -> Iterator[str]:
    for path in folder.glob("*.java"):
        for name in re.findall(
            r"^  public [\w<>]+ (\w+)\(.*throws ApiE", path.read_text(), re.MULTILINE
        ):
            if not name.endswith("WithHttpInfo") and name != "downloadFileFromResponse":
                yield name
