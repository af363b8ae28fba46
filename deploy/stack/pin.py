"""Write `artifacts.sha256` anew after a change of a `pom.xml`: `python -m deploy.stack.pin`.

What it downloads now is trusted from then on, so compare the checksums with the publisher's.
"""

import sys
import tempfile
from pathlib import Path

from deploy.stack.cache import PINS_PATH, sha256
from deploy.stack.download import fetch_jars

GROUPS = ("kafka", "mysql")


def main() -> int:
    """Download every group afresh and pin what came."""
    lines = [line for group in GROUPS for line in _pins_of(group)]
    PINS_PATH.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"Pinned {len(lines)} files in {PINS_PATH.name}")
    return 0


def _pins_of(group: str) -> list[str]:
    with tempfile.TemporaryDirectory() as fresh:
        fetch_jars(group, into=Path(fresh), progress=print)
        return [f"{sha256(jar)}  {group}/{jar.name}" for jar in sorted(Path(fresh).iterdir())]


if __name__ == "__main__":
    sys.exit(main())
