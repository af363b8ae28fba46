"""python -m codegen.compatibility [--release]: does the contract still serve those who use it?

Compares openapi.yaml with codegen/released/openapi.yaml, each version of a message with the one
before, and what never changes again with its digest. --release makes the present the released.
"""

import argparse
import sys
from pathlib import Path

from codegen import source
from codegen.compatibility import released
from codegen.compatibility.breakage import Breakage
from codegen.compatibility.operations import compare_contracts
from codegen.compatibility.versions import compare_versions
from codegen.model import Document, Unsupported

ROOT = Path(__file__).parents[2]
HOW_TO = "docs/how-to/change-the-contract.md"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 compatible, 1 not."""
    parser = argparse.ArgumentParser(prog="python -m codegen.compatibility", description=__doc__)
    parser.add_argument("--release", action="store_true", help="make the present the released")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        breakages = check(options.root)
        if options.release and not breakages:
            breakages = _find_old_number(options.root)
    except Unsupported as error:
        print(f"compatibility: {error}", file=sys.stderr)
        return 1
    for breakage in breakages:
        print(f"compatibility: {breakage}", file=sys.stderr)
    if breakages:
        print(f"What must change nevertheless: {HOW_TO}", file=sys.stderr)
        return 1
    if options.release:
        for name in released.release(options.root):
            print(f"compatibility: froze {name}")
    return 0


def check(root: Path) -> list[Breakage]:
    """Tell what would break those who use the released contract.

    Raises:
        Unsupported: A file cannot be compared; the message says where.
    """
    found = released.find_changed(root)
    contract = released.contract_of(root)
    if contract is not None:
        old = source.read(root, contract)
        found += compare_contracts(old, source.read(root, root / released.CONTRACT))
    return found + compare_versions(_messages(root))


def _messages(root: Path) -> dict[str, Document]:
    folder = root / "webhook-schemas"
    return {
        path.relative_to(folder).as_posix(): source.read(root, path)
        for path in sorted(folder.glob("*/*.json"))
    }


def _find_old_number(root: Path) -> list[Breakage]:
    """A release has a number of its own, greater than the last."""
    contract = released.contract_of(root)
    if contract is None:
        return []
    new = root / released.CONTRACT
    if contract.read_bytes() == new.read_bytes():
        return []
    before, after = (_number(source.read(root, path)) for path in (contract, new))
    if after > before:
        return []
    what = f"is {_dotted(after)}, and {_dotted(before)} is released already"
    advice = "Count it up: the last number for repairs of the text, the middle one for additions."
    return [Breakage(f"{released.CONTRACT}#/info/version", what, advice)]


def _number(contract: Document) -> tuple[int, ...]:
    version = str(contract.content["info"]["version"])
    try:
        return tuple(int(part) for part in version.split("."))
    except ValueError as error:
        raise Unsupported(f"{contract.name}#/info/version", "is like 1.2.0") from error


def _dotted(number: tuple[int, ...]) -> str:
    return ".".join(map(str, number))


if __name__ == "__main__":
    sys.exit(main())
