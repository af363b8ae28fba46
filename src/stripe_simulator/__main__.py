"""python -m stripe_simulator: serve the simulator by itself."""

import os
import sys

import uvicorn


def main() -> int:
    """Serve until stopped; STRIPE_SIMULATOR_HOST and STRIPE_SIMULATOR_PORT say where."""
    host = os.environ.get("STRIPE_SIMULATOR_HOST", "127.0.0.1")
    port = int(os.environ.get("STRIPE_SIMULATOR_PORT", "8100"))
    print(f"Stripe simulator on http://{host}:{port}", flush=True)
    app = "stripe_simulator.app:create_app_from_environment"
    uvicorn.run(app, factory=True, host=host, port=port, log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit(main())
