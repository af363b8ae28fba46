"""make chaos: processes, connections and servers die under load; then all ledgers must be equal.

Settings: CHAOS_PAYMENTS (500), CHAOS_SEED (random, printed), CHAOS_KILLS_PER_POINT (3),
CHAOS_KILLS_PER_PAYMENT (0.25), CHAOS_MYSQL_KILLS, CHAOS_KAFKA_KILLS, CHAOS_CLIENTS,
CHAOS_CLOCK_SPEED, CHAOS_SECONDS_MAX: see `plan.Size`.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import uvloop

from deploy.stack.errors import Unavailable
from tests.chaos import points, report
from tests.chaos.plan import Size
from tests.chaos.world import live, make_roles
from tests.chaos.zygote import Zygote

SKIPPED = 0


def main() -> int:
    """Run, and say what was found."""
    size = Size.read()
    print(f"chaos: CHAOS_SEED={size.seed}, {size.payments} payments", flush=True)
    roles = make_roles(size, points.scan())
    # Forked before there is a loop or a thread, so that its children are born clean.
    zygote = Zygote(roles.run, roles.warm_up, [roles.api_socket, roles.provider_socket])
    folder = Path(tempfile.mkdtemp(prefix="payments-chaos-"))
    try:
        world = uvloop.run(live(size, roles, zygote, folder))
    except Unavailable as reason:
        print(f"chaos: skipped, {reason}")
        return 1 if os.environ.get("REQUIRE_STACK") == "1" else SKIPPED
    except BaseException:
        print(f"chaos: the logs are in {folder}")
        raise
    finally:
        zygote.close()
    print(report.write(world, size.seed), flush=True)
    if world.outcome.problems:
        print(f"chaos: the logs are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
