"""Schemas -> msgspec structs, through datamodel-code-generator.

The flags are what its flaws with msgspec need: without `--capitalise-enum-members` snake-casing
lowers enum members, without `base_class_kwargs` nothing is frozen, and the formatters are named
because the default is about to change.
"""

import subprocess
import sys
from pathlib import Path

from codegen.contract import Unsupported

FLAGS = (
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
TIMEOUT_SECONDS = 120


def generate(source: Path, *, kind: str, header: str) -> str:
    """Turn one file (`openapi` or `jsonschema`) into the text of a module.

    Raises:
        Unsupported: The generator refused it, or warned about something it would drop.
    """
    output = subprocess.run(  # noqa: S603  # our own tool, our own arguments
        [
            sys.executable, "-W", "error::UserWarning", "-m", "datamodel_code_generator",
            "--input", str(source), "--input-file-type", kind,
            *(("--schema-version", "3.1", "--schema-version-mode", "strict")
              if kind == "openapi" else ()),
            *FLAGS,
        ],
        capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS,
        env={"PYTHONHASHSEED": "0", "PATH": str(Path(sys.executable).parent)},
    )  # fmt: skip
    if output.returncode != 0:
        raise Unsupported(source.name, output.stderr.strip().splitlines()[-1])
    body = output.stdout.split("\n", 2)[2] if output.stdout.startswith("# gen") else output.stdout
    return f"{header}\n{body.lstrip()}"
