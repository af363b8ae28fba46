"""python -m deploy.image: build the image on this machine, and say what came out of it."""

import subprocess
import sys

from deploy.image.buildah import NAME, ROOT, Buildah
from deploy.stack.errors import StackError

MIB = 1024 * 1024


def main() -> int:
    """Build, and report."""
    try:
        built = Buildah(progress=lambda line: print(f"image: {line}", flush=True))
        image = built.build(revision=revision())
    except StackError as error:
        print(f"image: error: {error}", file=sys.stderr)
        return 1
    print(f"image: {NAME}, {image.bytes // MIB} MiB, user {image.config['User']}")
    if image.is_on_stand_in:
        print("image: on a stand-in for its base: good for trying it, not for shipping it")
    return 0


def revision() -> str:
    """Name what is built; with a mark if it is in no commit."""
    told = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--dirty"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    return told.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
