"""Runs the image as an orchestrator does: without rights, nothing writable, no shell, as PID 1.

The network is the machine's, so that the servers of the other tests can be reached.
Source: Open Container Initiative, runtime specification 1.0.2.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.image.buildah import Image

SECONDS_MAX = 60
NAMESPACES = ("pid", "mount", "ipc", "uts")
SHELLS = (
    "bash",
    "dash",
    "sh",
    "perl",
    "env",
    "awk",
    "mawk",
    "apt",
    "apt-get",
    "dpkg",
    "pip",
    "pip3",
)
SETTINGS = ("PAYMENTS_", "PAYOS_", "OTEL_")


class Container:
    """A container that is about to run; its `command` runs it until it ends."""

    def __init__(self, runtime: Sequence[str], name: str, bundle: Path) -> None:
        self.name = name
        self._runtime = runtime
        self.command = [*runtime, "run", f"--bundle={bundle}", name]

    def execute(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program inside, as an orchestrator runs a health check."""
        return subprocess.run(
            [*self._runtime, "exec", self.name, *arguments],
            capture_output=True, text=True, check=False, timeout=SECONDS_MAX,
        )  # fmt: skip

    def remove(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        subprocess.run(
            [*self._runtime, "delete", "--force", self.name],
            capture_output=True, check=False, timeout=SECONDS_MAX,
        )  # fmt: skip


class Containers:
    """Containers of one image."""

    def __init__(self, runtime: str, image: Image, root: Path, folder: Path) -> None:
        self._runtime = [runtime, f"--root={folder / 'runtime'}"]
        self._image = image
        self._root = root
        self._folder = folder
        self.made: list[Container] = []

    def make(
        self, arguments: Sequence[str], environ: Mapping[str, str], *, program: Sequence[str] = ()
    ) -> Container:
        """Prepare a container; `program` takes the place of the image's own."""
        name = f"payments-{self._folder.name}-{len(self.made)}"
        bundle = self._folder / name
        bundle.mkdir()
        command = [*(program or self._image.config["Entrypoint"]), *arguments]
        specification = self._specification(command, environ)
        (bundle / "config.json").write_text(json.dumps(specification))
        container = Container(self._runtime, name, bundle)
        self.made.append(container)
        return container

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the image to its end."""
        container = self.make(arguments, {}, program=[program])
        return subprocess.run(
            container.command, capture_output=True, text=True, check=False, timeout=SECONDS_MAX
        )

    def close(self) -> None:
        """Remove all."""
        for container in self.made:
            container.remove()

    def _specification(self, command: Sequence[str], environ: Mapping[str, str]) -> dict[str, Any]:
        config = self._image.config
        uid, gid = map(int, config["User"].split(":"))
        told = [f"{key}={value}" for key, value in environ.items() if key.startswith(SETTINGS)]
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": uid, "gid": gid},
                "args": list(command),
                "env": [*config["Env"], *told],
                "cwd": "/",
                "noNewPrivileges": True,
                "capabilities": {},
            },
            "root": {"path": str(self._root), "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                 "options": ["nosuid", "mode=755"]},
            ],
            "linux": {
                "namespaces": [{"type": each} for each in NAMESPACES],
                "maskedPaths": [f"{folder}/{tool}" for tool in SHELLS
                                for folder in ("/usr/bin", "/usr/local/bin")],
            },
        }  # fmt: skip
