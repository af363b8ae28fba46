"""make mutants: break the service on purpose, one thing at a time, and see a test catch it.

Each mutant of `catalogue.py` names the tests that must catch it; one that survives fails the run.
MUTANTS="text" runs only those whose name contains the text.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant, Workshop


def main() -> int:
    """Try every mutant; return 1 if one survives, or a test fails on healthy code."""
    chosen = [m for m in MUTANTS if os.environ.get("MUTANTS", "") in m.name]
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(Path(folder))
        if not _is_healthy(workshop, chosen):
            return 1
        survivors = [mutant.name for mutant in chosen if not _is_caught(workshop, mutant)]
    print(f"mutants: {len(chosen) - len(survivors)} of {len(chosen)} caught")
    for name in survivors:
        print(f"mutants: survived: {name}")
    return 1 if survivors or not chosen else 0


def _is_healthy(workshop: Workshop, chosen: list[Mutant]) -> bool:
    """Run the tests on unbroken code: one that always fails proves nothing."""
    for tests in dict.fromkeys(mutant.tests for mutant in chosen):
        code, failed = workshop.run(tests)
        if code != 0:
            print(f"mutants: {' '.join(tests)} fails on healthy code ({code}): {failed}")
            return False
    print("mutants: all tests pass on healthy code", flush=True)
    return True


def _is_caught(workshop: Workshop, mutant: Mutant) -> bool:
    started = time.monotonic()
    caught, by = workshop.catch(mutant)
    verdict = "caught" if caught else "SURVIVED"
    seconds = time.monotonic() - started
    print(f"  {verdict:8} {mutant.name:58} {seconds:5.1f} s  {by}", flush=True)
    return caught


if __name__ == "__main__":
    sys.exit(main())
