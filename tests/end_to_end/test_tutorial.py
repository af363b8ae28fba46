"""The tutorial is true: its commands, typed as they stand, answer as it says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.process import Development, development

PAGE = Path(__file__).parents[2] / "docs/start/one-payment.md"
TUTORIAL_SECONDS = 180  # on a busy machine
_STEP = re.compile(r"^```bash\n(.*?)^```\n(?:\n^```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_MARK = "--- step ---"


def typed_by(running: Development, steps: list[str], folder: Path) -> list[str]:
    """Type all steps into one shell; return what each printed."""
    addresses = {
        "http://127.0.0.1:8000": running.url,
        "http://127.0.0.1:9000": running.ops_url,
    }
    script = f"\necho '{_MARK}'\n".join(["set -eu", *steps])
    for printed, real in addresses.items():
        script = script.replace(printed, real)
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TOKEN": running.token},
        capture_output=True, text=True, timeout=TUTORIAL_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split(f"{_MARK}\n")[1:]


@pytest.mark.slow
def test_tutorial_answers_as_it_says(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    steps = _STEP.findall(PAGE.read_text())
    (tmp_path / "shell").mkdir()

    with development(tmp_path) as running:
        printed = typed_by(running, [commands for commands, _ in steps], tmp_path / "shell")

    assert len(steps) == 9
    assert printed == [told for _, told in steps]
