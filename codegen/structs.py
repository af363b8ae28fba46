"""Schemas -> msgspec structs, through datamodel-code-generator.

The flags are what its flaws with msgspec need: without `--capitalise-enum-members` snake-casing
lowers enum members, without `base_class_kwargs` nothing is frozen, and the formatters are named
because the default is about to change.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from codegen.model import Document, Unsupported

_FLAGS = (
    "--ignore-pyproject",
    "--output-model-type", "msgspec.Struct",
    "--target-python-version", "3.11",
    "--strict-refs",
    "--keyword-only",
    "--snake-case-field",
    "--capitalise-enum-members",
    "--output-datetime-class", "datetime",
    "--use-standard-primitive-types",
    "--use-annotated",
    "--use-msgspec-tagged-unions",
    "--use-msgspec-nullable-enum-alias",
    "--deserialize-default-values", "enum",
    "--naming-strategy", "full-path",
    "--use-title-as-name",
    "--use-schema-description",
    "--use-field-description",
    "--use-single-line-docstring",
    "--extra-template-data", '{"#all#": {"base_class_kwargs": {"frozen": true}}}',
    "--disable-timestamp",
    "--formatters", "ruff-check", "ruff-format",
)  # fmt: skip
_KINDS = {
    "openapi": ("--schema-version", "3.1", "--schema-version-mode", "strict"),
    "jsonschema": (),
}
# Beside the input, so that no other configuration shapes the output.
_RUFF = """\
line-length = 100
target-version = "py311"
[lint]
select = ["D200", "D212", "F401", "I"]
"""
_TIMEOUT_SECONDS = 120


def generate(document: Document, *, kind: Literal["openapi", "jsonschema"], header: str) -> str:
    """Turn one document into the text of a module.

    Raises:
        Unsupported: The generator refused it, or warned about something it would drop.
    """
    with TemporaryDirectory() as directory:
        source = Path(directory, "contract.json")
        source.write_text(json.dumps(_for_python(document.content)), encoding="utf-8")
        Path(directory, "ruff.toml").write_text(_RUFF, encoding="utf-8")
        output = subprocess.run(  # noqa: S603  # our own tool, our own arguments
            [
                sys.executable, "-W", "error::UserWarning", "-m", "datamodel_code_generator",
                "--input", str(source), "--input-file-type", kind, *_KINDS[kind], *_FLAGS,
            ],
            capture_output=True, encoding="utf-8", check=False, timeout=_TIMEOUT_SECONDS,
            cwd=directory, env=_environment(),
        )  # fmt: skip
    if output.returncode != 0:
        last = (output.stderr.strip().splitlines() or ["no reason was given"])[-1]
        raise Unsupported(document.name, f"datamodel-code-generator: {last}")
    lines = output.stdout.splitlines()
    while lines and (not lines[0] or lines[0].startswith("#")):
        lines.pop(0)  # its own stamp names the temporary file
    about = f'"""Structs of {document.name}."""'
    return "\n".join([header, about, "", *lines]) + "\n"


def _environment() -> dict[str, str]:
    """Keep the caller's environment out of the output, but let its tools be found."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    return {"PATH": path, "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}


def _for_python(node: Any) -> Any:
    """Anchor patterns at the very end: Python's `$` lets a line feed follow."""
    if isinstance(node, list):
        return [_for_python(member) for member in node]
    if not isinstance(node, dict):
        return node
    copy = {key: _for_python(member) for key, member in node.items()}
    pattern = node.get("pattern")
    if isinstance(pattern, str) and pattern.endswith("$"):
        copy["pattern"] = pattern[:-1] + r"\Z"
    return copy
