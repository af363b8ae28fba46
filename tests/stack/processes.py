"""The service's processes on the servers that the environment names: what `make stack` runs."""

import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

from tests.support.deployment import deployment
from tests.support.simulator import running_simulator

ROLES = ("api", "relay", "consumer", "scheduler")


def main() -> int:
    """Start everything, say where it is, and wait for Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with (
        tempfile.TemporaryDirectory() as folder,
        running_simulator() as simulator,
        deployment(
            Path(folder),
            database_url=os.environ["PAYMENTS_DATABASE_URL"],
            broker_url=os.environ["PAYMENTS_BROKER_URL"],
            simulator=simulator,
        ) as running,
    ):
        running.start(*ROLES)
        simulator.webhook_url(f"{running.url}/v1/webhooks/payos")
        print(f"\n  API        {running.url}")
        print(f"  simulator  {simulator.base_url}")
        for role in running.roles:
            print(f"  {role.name:10} http://127.0.0.1:{role.ops_port}/readyz")
        print(f"\n  export TOKEN={running.token}\n\n  Ctrl-C stops everything.", flush=True)
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
