"""Builds the clients' packages into dist/ as they would be published, and publishes nothing.

python clients/dist.py

Python's wheels and archives are built by `make dist` itself. Of Go nothing is built, since a tag is
the release: the modules are taken as their tags would give them, and a program is built on these.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
GO = "github.com/turnout-dev/turnout"
GO_MODULES = ("generated/go", "clients/go")
STATED = {
    "pyproject.toml": r'^version = "(.+)"',
    "clients/python/pyproject.toml": r'^version = "(.+)"',
    "clients/node/package.json": r'^  "version": "(.+)"',
    "clients/java/pom.xml": r"^  <version>(.+)</version>",
    "clients/java/client/pom.xml": r"^  <version>(.+)</version>",
    "generated/java/pom.xml": r"^  <version>(.+)</version>",
    "clients/go/go.mod": rf"^\t{GO}/generated/go v(.+)",
}
"""Where the version stands; a release changes all of these."""
PROGRAM = f"""package main

import (
	"fmt"

	turnout "{GO}/clients/go"
)

func main() {{ fmt.Println(turnout.Ask("chat", "hello").GetModel()) }}
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a program that must succeed; returns what it printed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"dist: {command[0]} failed\n{done.stdout}{done.stderr}")
    return done.stdout


def version() -> str:
    """The one version of everything; SystemExit when files disagree."""
    found = {}
    for name, pattern in STATED.items():
        match = re.search(pattern, (ROOT / name).read_text("utf-8"), re.MULTILINE)
        found[name] = match.group(1) if match else "none"
    if len(set(found.values())) != 1:
        sys.exit("dist: versions differ: " + ", ".join(f"{n} has {v}" for n, v in found.items()))
    return found["pyproject.toml"]


def node() -> None:
    """The archive that npm would publish."""
    client = ROOT / "clients" / "node"
    if not (client / "node_modules").exists():
        run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=client)
    run("npm", "pack", "--silent", "--pack-destination", DIST, cwd=client)


def java(release: str) -> None:
    """The jars of the stubs and of the client, with sources, and the client's with its pages."""
    client = ROOT / "clients" / "java"
    run("mvn", "--quiet", "--batch-mode", "-DskipTests", "-Pjavadoc", "package", cwd=client)
    for folder, artifact in (
        ("clients/java/client", "turnout-client"),
        ("generated/java", "turnout-stubs"),
    ):
        shutil.copy(ROOT / folder / "pom.xml", DIST / f"{artifact}-{release}.pom")
        for jar in (ROOT / folder / "target").glob(f"{artifact}-{release}*.jar"):
            shutil.copy(jar, DIST)


def go(release: str) -> None:
    """Build a program that requires the modules at this version, without the repository."""
    with tempfile.TemporaryDirectory() as name:
        proxy, program = Path(name) / "proxy", Path(name) / "program"
        for folder in GO_MODULES:
            _add_module(proxy, folder, f"v{release}")
        program.mkdir()
        (program / "main.go").write_text(PROGRAM)
        network = run("go", "env", "GOPROXY", cwd=program).strip()
        environment = {
            "GOPROXY": f"file://{proxy},{network}",
            "GONOSUMDB": f"{GO}/*",
            "GOMODCACHE": f"{name}/cache",
            "GOFLAGS": "-mod=mod -modcacherw",
        }
        run("go", "mod", "init", "example.org/program", cwd=program, **environment)
        run("go", "get", f"{GO}/clients/go@v{release}", cwd=program, **environment)
        said = run("go", "run", ".", cwd=program, **environment)
        assert said == "chat\n", said


def _add_module(proxy: Path, folder: str, release: str) -> None:
    """Lay a module out as a proxy would serve it (go.dev/ref/mod, "Module proxies")."""
    module = f"{GO}/{folder}"
    versions = proxy / module / "@v"
    versions.mkdir(parents=True)
    tracked = run("git", "ls-files", "--", folder, cwd=ROOT).splitlines()
    (versions / f"{release}.info").write_text(
        f'{{"Version": "{release}", "Time": "2026-01-01T00:00:00Z"}}'
    )
    shutil.copy(ROOT / folder / "go.mod", versions / f"{release}.mod")
    with zipfile.ZipFile(versions / f"{release}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(ROOT / "LICENSE", f"{module}@{release}/LICENSE")
        for path in tracked:
            archive.write(ROOT / path, f"{module}@{release}/{Path(path).relative_to(folder)}")


def main() -> None:
    """Build everything and list it."""
    release = version()
    DIST.mkdir(exist_ok=True)
    node()
    java(release)
    go(release)
    for file in sorted(DIST.iterdir()):
        print(f"{file.stat().st_size:>9} {file.name}")
    for folder in GO_MODULES:
        print(f"   a tag  {folder}/v{release}")


if __name__ == "__main__":
    main()
