"""What the simulator is configured with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The merchant's account, its webhook endpoint, and where the simulator is reached."""

    secret_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    public_url: str
    webhook_url: str | None = None
    state_path: Path | None = None  # None keeps everything in memory
    amount_min: int = 13_000  # VND; half a dollar
    amount_max: int = 99_999_999  # VND; eight digits
    balance: int = 1_000_000_000  # VND, for refunds
    webhook_delays_seconds: tuple[float, ...] = (0, 1, 2, 5, 15, 60)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Config":
        """Read the environment; every value has a default for development."""
        port = environ.get("STRIPE_SIMULATOR_PORT", "8100")
        state = environ.get("STRIPE_SIMULATOR_STATE")
        return cls(
            secret_key=environ.get("STRIPE_SECRET_KEY", "sk_test_dev"),
            webhook_secret=environ.get("STRIPE_WEBHOOK_SECRET", "whsec_dev"),
            public_url=environ.get("STRIPE_SIMULATOR_PUBLIC_URL", f"http://127.0.0.1:{port}"),
            webhook_url=environ.get("STRIPE_SIMULATOR_WEBHOOK_URL"),
            state_path=Path(state) if state else None,
        )
