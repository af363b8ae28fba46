"""python -m tests.hostile: the table of hostile inputs, what is expected, and what comes back."""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.hostile.run import all_cases, attack, rows, running


def main() -> int:
    """Print the table; fail on any answer that is not in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(folder) as (service, world):
            before = rows(folder)
            started = time.monotonic()
            outcomes = attack(service.port, all_cases(world))
            seconds = time.monotonic() - started
            stored = {table: count - before[table] for table, count in rows(folder).items()
                      if count != before[table]}  # fmt: skip
    for outcome in outcomes:
        case = outcome.case
        mark = "  " if outcome.is_as_expected else "! "
        print(f"{mark}{case.door:20} {case.name:60} {case.expected:32} {outcome.got}")
    wrong = [outcome for outcome in outcomes if not outcome.is_as_expected]
    doors = Counter(outcome.case.door for outcome in outcomes)
    print(f"\n{len(outcomes)} inputs at {len(doors)} doors in {seconds:.0f} s: "
          f"{len(wrong)} unexpected answers, rows stored: {stored or 'none'}")  # fmt: skip
    return int(bool(wrong or stored))


if __name__ == "__main__":
    sys.exit(main())
