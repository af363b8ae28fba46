"""The released contract: a copy of openapi.yaml, and digests of what never changes again.

That is the schemas of messages, and the stored messages that tests replay. `sha256sums` can be
read by the program of that name. It is written by `release` and by nobody else.
"""

import hashlib
from pathlib import Path

from codegen.compatibility.breakage import FROZEN, Breakage
from codegen.model import Unsupported

FOLDER = "codegen/released"
CONTRACT = "openapi.yaml"
SUMS = f"{FOLDER}/sha256sums"
_SCHEMAS = ("webhook-schemas/*/*.json",)
_CORPORA = ("tests/fixtures/webhooks/*/v*/*.json", "tests/fixtures/events/v*/*.jsonl")
_GROWS = "It is released: put it back byte for byte. The corpus only grows."


def contract_of(root: Path) -> Path | None:
    """Find the released openapi.yaml; None before the first release."""
    path = root / FOLDER / CONTRACT
    return path if path.is_file() else None


def find_changed(root: Path) -> list[Breakage]:
    """Tell which released file is gone or is not what it was."""
    found = []
    for name, digest in _sums(root).items():
        path = root / name
        advice = _GROWS if name.startswith("tests/") else FROZEN
        if not path.is_file():
            found.append(Breakage(name, "is gone", advice))
        elif _digest(path) != digest:
            found.append(Breakage(name, "is not what was released", advice))
    return found


def release(root: Path) -> list[str]:
    """Make the present contract the released one; returns the names of what is frozen anew."""
    folder, before = root / FOLDER, _sums(root)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONTRACT).write_bytes((root / CONTRACT).read_bytes())
    names = [
        path.relative_to(root).as_posix()
        for pattern in (*_SCHEMAS, *_CORPORA)
        for path in sorted(root.glob(pattern))
    ]
    lines = [f"{_digest(root / name)}  {name}\n" for name in [f"{FOLDER}/{CONTRACT}", *names]]
    (root / SUMS).write_text("".join(lines), encoding="utf-8")
    return [name for name in names if name not in before]


def _sums(root: Path) -> dict[str, str]:
    path = root / SUMS
    if not path.is_file():
        return {}
    sums = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != hashlib.sha256().digest_size * 2:
            raise Unsupported(SUMS, f"is not a list of digests: {line[:80]}")
        sums[name] = digest
    return sums


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
