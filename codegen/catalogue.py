"""The catalogue of problems -> a table."""

from codegen.contract import Contract


def generate(contract: Contract, *, header: str) -> str:
    """Write the module `problems`."""
    lines = [
        header,
        '"""The catalogue of problems: one entry per code."""',
        "",
        "from openapi_runtime.problems import ProblemType",
        "",
        "PROBLEM_TYPES: dict[str, ProblemType] = {",
    ]
    for code, entry in contract.error_codes.items():
        fields = (code, entry["status"], entry["title"], entry["retryable"])
        lines.append(f"    {code!r}: ProblemType({', '.join(map(repr, fields))}),")
    return "\n".join([*lines, "}"]) + "\n"
