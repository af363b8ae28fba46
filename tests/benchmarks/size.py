"""How much is measured: minutes for figures that mean something, seconds for a smoke run.

BENCH_QUICK=1 is the smoke run. BENCH_ROUNDS, BENCH_ROWS_LARGE and BENCH_MEMORY_WEBHOOKS change one
thing each: a million rows and a hundred thousand webhooks are for the long run.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a run does; counts are of a round, and a round to warm up comes on top."""

    is_quick: bool = False
    rounds: int = 5
    connections: int = 32
    in_process: int = 2_000
    contract: int = 6_000
    webhooks: int = 3_000
    creates: int = 1_000
    reads: int = 2_000
    relayed: int = 20_000
    applied: int = 1_500
    steady_rate: int = 200  # webhooks a second, in the open loop
    steady_seconds: float = 20.0
    idle_webhooks: int = 60
    overload_seconds: float = 10.0
    rows_small: int = 10_000
    rows_large: int = 100_000
    memory_webhooks: int = 20_000

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Size":
        """Read the environment."""
        size = QUICK if environ.get("BENCH_QUICK") else cls()
        given = {
            name: int(environ[f"BENCH_{name.upper()}"])
            for name in ("rounds", "rows_large", "memory_webhooks")
            if environ.get(f"BENCH_{name.upper()}")
        }
        return replace(size, **given)


QUICK = Size(
    is_quick=True,
    rounds=1,
    in_process=400,
    contract=300,
    webhooks=100,
    creates=40,
    reads=100,
    relayed=1_200,
    applied=60,
    steady_rate=40,
    steady_seconds=1.5,
    idle_webhooks=4,
    overload_seconds=0.5,
    rows_small=1_000,
    rows_large=2_000,
    memory_webhooks=200,
)
