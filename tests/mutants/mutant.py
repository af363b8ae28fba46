"""One deliberate breakage of the service, and how it is applied to a copy of the code."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = (
    "src", "generated", "migrations", "tests", "codegen", "deploy", "docs", "webhook-schemas",
)  # fmt: skip
FILES = (
    "pyproject.toml", "openapi.yaml", "Makefile", "LICENSE",
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md",
)  # fmt: skip
RUN_SECONDS_MAX = 600
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A breakage.

    Attributes:
        name: What was broken, in a few words.
        path: The file, from the root of the repository.
        old: What stands there once.
        new: What stands there instead.
        tests: What catches it: arguments for pytest, or `-m MODULE ...` for another program.
    """

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]

    def occurrences(self) -> int:
        """Count how often `old` stands in the file: once, or the table is out of date."""
        return (ROOT / self.path).read_text(encoding="utf-8").count(self.old)


class Workshop:
    """A copy of the repository in which one thing at a time is broken, and repaired."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in COPIED:
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("node_modules", "*.pyc")
            )
        for name in FILES:
            shutil.copy(ROOT / name, folder / name)

    def run(self, tests: tuple[str, ...]) -> tuple[int, list[str]]:
        """Run some tests on the copy; return the exit code and the names of what failed."""
        command = list(tests) if tests[0] == "-m" else ["-m", "pytest", *_OPTIONS, *tests]
        environ = {
            **os.environ,
            "PYTHONPATH": f"{self._folder / 'src'}:{self._folder}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            [sys.executable, *command], cwd=self._folder, env=environ, check=False,
            capture_output=True, text=True, timeout=RUN_SECONDS_MAX,
        )  # fmt: skip
        return done.returncode, _FAILED.findall(done.stdout)

    def catch(self, mutant: Mutant) -> tuple[bool, str]:
        """Break, test, repair; tell whether it was caught, and by what."""
        path = self._folder / mutant.path
        healthy = path.read_text(encoding="utf-8")
        assert healthy.count(mutant.old) == 1, f"{mutant.name}: the table is out of date"
        path.write_text(healthy.replace(mutant.old, mutant.new), encoding="utf-8")
        try:
            code, failed = self.run(mutant.tests)
        except subprocess.TimeoutExpired:
            return True, "it hangs"
        finally:
            path.write_text(healthy, encoding="utf-8")
        return code == 1, failed[0] if failed else f"exit code {code}"


_OPTIONS = ("-q", "-x", "-n0", "-p", "no:cacheprovider", "--no-header", "-rfE")
