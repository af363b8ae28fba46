"""What the simulator is configured with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Channel:
    """The credentials of a channel, as the merchant has them."""

    client_id: str
    api_key: str = field(repr=False)
    checksum_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The merchant's two channels, its account, and where the simulator is reached."""

    payment: Channel
    payout: Channel
    public_url: str
    webhook_url: str | None = None
    state_path: Path | None = None  # None keeps everything in memory
    bank_bin: str = "970422"
    account_number: str = "0000123456789"
    account_name: str = "CONG TY MO PHONG"
    amount_min: int = 1  # VND
    amount_max: int = 1_000_000_000_000
    wallet: int = 10_000_000_000_000  # VND, for payouts
    webhook_delays_seconds: tuple[float, ...] = (0, 1, 2, 5, 15, 60)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Config":
        """Read the environment; every value has a default for development."""

        def channel(prefix: str, default: str) -> Channel:
            return Channel(
                environ.get(f"{prefix}CLIENT_ID", f"{default}-client"),
                environ.get(f"{prefix}API_KEY", f"{default}-api-key"),
                environ.get(f"{prefix}CHECKSUM_KEY", f"{default}-checksum-key"),
            )

        port = environ.get("PAYOS_SIMULATOR_PORT", "8100")
        state = environ.get("PAYOS_SIMULATOR_STATE")
        return cls(
            payment=channel("PAYOS_", "dev"),
            payout=channel("PAYOS_PAYOUT_", "dev-payout"),
            public_url=environ.get("PAYOS_SIMULATOR_PUBLIC_URL", f"http://127.0.0.1:{port}"),
            webhook_url=environ.get("PAYOS_SIMULATOR_WEBHOOK_URL"),
            state_path=Path(state) if state else None,
        )
