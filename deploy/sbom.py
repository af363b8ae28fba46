"""python -m deploy.sbom: what is in the image, from the lock, as CycloneDX JSON.

The same lock gives the same bytes: there is no time in it, and the serial number comes from the
content. Source: CycloneDX 1.6; package URLs as in the purl specification for pypi.
"""

import hashlib
import json
import re
import sys
import tomllib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
_PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[a-z0-9,_-]+\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the lock."""

    name: str
    version: str
    sha256: tuple[str, ...]  # of each of its files


def read_lock(text: str) -> list[Package]:
    """List the packages of a lock, in its order."""
    found: list[tuple[str, str, list[str]]] = []
    for line in text.splitlines():
        pin = _PIN.match(line)
        if pin:
            found.append((pin.group(1), pin.group(2), []))
        elif found:
            found[-1][2].extend(_HASH.findall(line))
    return [Package(name, version, tuple(hashes)) for name, version, hashes in found]


def bill_of_materials(lock: str, *, name: str, version: str) -> dict[str, Any]:
    """Write the document for a lock."""
    serial = uuid.uuid5(uuid.NAMESPACE_URL, hashlib.sha256(lock.encode()).hexdigest())
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": name, "version": version}},
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{package.name}@{package.version}",
                "name": package.name,
                "version": package.version,
                "purl": f"pkg:pypi/{package.name}@{package.version}",
                "hashes": [{"alg": "SHA-256", "content": each} for each in package.sha256],
            }
            for package in read_lock(lock)
        ],
    }


def main() -> int:
    """Print it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bill = bill_of_materials(LOCK.read_text(), name=project["name"], version=project["version"])
    json.dump(bill, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
