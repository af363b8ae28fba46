"""How a client is generated, checked and tried in each language.

The folder of a language holds its settings, its pinned packages and a journey. All of it is copied
beside the client: what lies in dist/clients/<language> afterwards is a small project of its own.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "openapi.yaml"
CLIENTS = ROOT / "dist" / "clients"
STEP_SECONDS = 500  # on a busy machine, with everything to be fetched
STAMP = ".made-of"
KEPT = {".venv", "node_modules"}


class Missing(Exception):
    """A toolchain or its packages cannot be had here."""


class Broken(Exception):
    """A step failed that depends on nothing but the contract and us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One language.

    Attributes:
        name: Also of its folder.
        tools: What must be on the PATH.
        install: Fetches pinned packages; where it fails they cannot be had.
        generate: Makes the client.
        compile: Checks it as strictly as the language can.
        journey: Runs the journey; it prints one JSON document.
        frame: The file that a few lines of a page become a program in, and what stands around them.
        lines: Checks and runs that program.
    """

    name: str
    tools: tuple[str, ...]
    install: str
    generate: str
    compile: str
    journey: str
    frame: tuple[str, str]
    lines: str

    @property
    def settings(self) -> Path:
        """Where its settings lie."""
        return Path(__file__).parent / self.name

    @property
    def folder(self) -> Path:
        """Where its client comes to lie."""
        return CLIENTS / self.name

    def make(self) -> None:
        """Make the client and compile it, unless that is done.

        Raises:
            Missing: The toolchain cannot be had.
            Broken: The client cannot be generated, or does not compile.
        """
        with self._alone():
            self._make()

    def _make(self) -> None:
        stamp, digest = self.folder / STAMP, self._digest()
        if stamp.is_file() and stamp.read_text() == digest:
            return
        missing = [tool for tool in self.tools if shutil.which(tool) is None]
        if missing:
            raise Missing(f"{' and '.join(missing)} cannot be found")
        self._clear()
        shutil.copytree(self.settings, self.folder, dirs_exist_ok=True)
        try:
            self._run(self.install)
        except Broken as error:
            raise Missing(f"packages of {self.name} cannot be had: {error}") from error
        self._run(self.generate)
        self._run(self.compile)
        stamp.write_text(digest)

    def travel(self, environ: Mapping[str, str]) -> str:
        """Run the journey and return what it printed.

        Raises:
            Broken: It did not get to the end.
        """
        with self._alone():
            return self._run(self.journey, environ)

    def try_lines(self, lines: str, environ: Mapping[str, str]) -> str:
        """Make a program of some lines, check it, run it, and return what it printed.

        Raises:
            Broken: It is refused, or fails.
        """
        name, around = self.frame
        path = self.folder / name
        with self._alone():
            path.parent.mkdir(exist_ok=True)
            path.write_text(around.replace("LINES", lines))
            return self._run(self.lines, environ)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes, of tests too, out of the folder."""
        CLIENTS.mkdir(parents=True, exist_ok=True)
        with (CLIENTS / f".{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _run(self, command: str, more: Mapping[str, str] | None = None) -> str:
        environ = {
            **os.environ,
            "CONTRACT": str(CONTRACT),
            "UV": str(ROOT / ".venv" / "bin" / "uv"),
            **(more or {}),
        }
        try:
            done = subprocess.run(
                ["sh", "-euc", command], cwd=self.folder, env=environ, capture_output=True,
                text=True, check=False, timeout=STEP_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Broken(f"{self.name}: not within {STEP_SECONDS} seconds: {command}") from error
        if done.returncode != 0:
            raise Broken(f"{self.name}: {command}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        return done.stdout

    def _clear(self) -> None:
        """Throw away all but the packages that are installed."""
        for path in self.folder.glob("*"):
            if path.name in KEPT:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        (self.folder / STAMP).unlink(missing_ok=True)

    def _digest(self) -> str:
        """Digest all that the client is made of."""
        digest = hashlib.sha256(repr(self).encode())
        for path in (CONTRACT, *sorted(self.settings.iterdir())):
            if path.is_file():
                digest.update(path.read_bytes())
        return digest.hexdigest()


PYTHON = Language(
    name="python",
    tools=(),
    install="""
        test -x .venv/bin/python || "$UV" venv --quiet .venv
        "$UV" pip sync --quiet --require-hashes --python .venv/bin/python requirements.lock
    """,
    # The settings have the formatter run over it; it is looked for on the PATH.
    generate="""
        PATH="$PWD/.venv/bin:$PATH" openapi-python-client generate --path "$CONTRACT" \
            --config config.yaml --meta none --output-path payment_service_client --overwrite
    """,
    # No settings of anybody who lies above.
    compile=".venv/bin/mypy --strict --config-file= payment_service_client journey.py",
    journey=".venv/bin/python journey.py",
    frame=("lines.py", "LINES"),
    lines=".venv/bin/mypy --strict --config-file= lines.py >&2 && .venv/bin/python lines.py",
)
TYPESCRIPT = Language(
    name="typescript",
    tools=("node", "npm"),
    install="npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=4",
    generate="""
        npx openapi-typescript "$CONTRACT" --output payments.ts \
            --root-types --root-types-no-schema-prefix --root-types-keep-casing
    """,
    compile="npx tsc",
    journey="node built/journey.js",
    frame=("lines.ts", "LINES"),
    lines="npx tsc && node built/lines.js",
)
GO = Language(
    name="go",
    tools=("go",),
    install="""
        go mod download
        go build -o .tools/ github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen
    """,
    generate='mkdir -p payments && .tools/oapi-codegen -config config.yaml "$CONTRACT"',
    compile="""
        test -z "$(gofmt -l .)"
        go vet ./...
        go build -o built/journey .
    """,
    journey="built/journey",
    frame=(
        "lines/main.go",
        """package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"payments.example/client/payments"
)

func run(ctx context.Context, url, token string) error {
LINES
	return nil
}

func main() {
	ctx, url, token := context.Background(), os.Getenv("PAYMENTS_URL"), os.Getenv("PAYMENTS_TOKEN")
	if err := run(ctx, url, token); err != nil {
		panic(err)
	}
}
""",
    ),
    lines="go vet ./lines && go run ./lines",
)
JAVA = Language(
    name="java",
    tools=("java", "javac", "mvn"),
    # -C: a package whose checksum is not the registry's is refused.
    install="""
        mvn --quiet --batch-mode --strict-checksums dependency:build-classpath \
            -Dmdep.outputFile=classpath.txt
        mvn --quiet --batch-mode --strict-checksums openapi-generator:help
    """,
    generate="""
        mvn --quiet --batch-mode --offline openapi-generator:generate "-Dcontract=$CONTRACT"
    """,
    # Off is what the generator's own supporting classes do.
    compile="""
        find client/src/main/java Journey.java -name '*.java' > sources.txt
        rm -rf built
        javac -Xlint:all,-serial,-deprecation -Werror -proc:none -d built \
            -cp "$(cat classpath.txt)" @sources.txt
    """,
    journey='java -cp "built:$(cat classpath.txt)" Journey',
    frame=(
        "Lines.java",
        """import example.payments.*;
import example.payments.api.*;
import example.payments.model.*;
import java.net.http.HttpClient;

public final class Lines {
  public static void main(String[] arguments) throws Exception {
    var url = System.getenv("PAYMENTS_URL");
    var token = System.getenv("PAYMENTS_TOKEN");
LINES
  }
}
""",
    ),
    lines="""
        javac -Xlint:all -Werror -proc:none -d built -cp "built:$(cat classpath.txt)" Lines.java
        java -cp "built:$(cat classpath.txt)" Lines
    """,
)
LANGUAGES = (PYTHON, TYPESCRIPT, GO, JAVA)
