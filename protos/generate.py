"""Makes every stub in generated/ from the contract in protos/.

    python protos/generate.py                  makes the stubs of every language
    python protos/generate.py --lang python    makes only those
    python protos/generate.py --lint           checks the contract alone
    python protos/generate.py --check          checks the contract and that the stubs fit it
    python protos/generate.py --compile        compiles the Go and Java stubs
    python protos/generate.py --baseline       takes the contract as released

Generators are pinned and fetched into .tools/ on first use. Expected on the machine: Python with
pip for Python, Go for Go, Maven and a JDK for Java, and buf (installed by `make setup`).
"""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
ROOT = PROTOS.parent
GENERATED = ROOT / "generated"
TOOLS = ROOT / ".tools"
BASELINE = PROTOS / "baseline.json"

# What callers get. turnout/internal and turnout/testing are the server's and the tests' own: they
# are made for Python alone and may change at any time.
SHIPPED = ("turnout/v1", "turnout/admin/v1")
UNSHIPPED = ("turnout/internal/v1", "turnout/testing/v1")

# grpcio-tools 1.81.1 is the newest whose stubs import under protobuf 6 as well as 7.
PYTHON_TOOLS_LOCK = PROTOS / "python-tools.lock"
GO_MODULE = "github.com/turnout-dev/turnout/generated/go"
GO_PLUGINS = {
    "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11",
    "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.1",
}
# grpc-java still brings protobuf-java 3.25; stubs of that line run under 4.x as well.
JAVA_PROTOC = ("com.google.protobuf", "protoc", "3.25.9")
JAVA_PLUGIN = ("io.grpc", "protoc-gen-grpc-java", "1.81.0")
MAVEN = ("--quiet", "--batch-mode", "-Dstyle.color=never")
MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


class GenerateError(Exception):
    """Something is missing, fails or differs; the message says what and what to do."""


# ------------------------------------------------------------------------------ tools


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    """Run a program and let it speak for itself; GenerateError when it fails."""
    environment = os.environ | env if env else None
    finished = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, check=False
    )
    if finished.returncode:
        raise GenerateError(f"{Path(command[0]).name} failed with status {finished.returncode}")


def find_program(name: str, how_to_get: str) -> Path:
    """Find a program beside this interpreter or on the PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise GenerateError(f"{name} is missing: {how_to_get}")
    return Path(found)


def buf(*arguments: str | Path) -> None:
    """Run buf in protos/."""
    run(find_program("buf", "run `make setup`, or pip install buf-bin"), *arguments, cwd=PROTOS)


def python_tools() -> Path:
    """Get the folder of programs of grpcio-tools and mypy-protobuf."""
    digest = hashlib.sha256(PYTHON_TOOLS_LOCK.read_bytes()).hexdigest()[:12]
    home = TOOLS / f"python-{digest}"
    if not (home / "complete").exists():
        run(sys.executable, "-m", "venv", "--clear", home)
        run(home / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--only-binary", ":all:", "--require-hashes", "-r", PYTHON_TOOLS_LOCK)  # fmt: skip
        (home / "complete").touch()
    return home / "bin"


def go_plugin(name: str) -> Path:
    """Get a generator for Go."""
    package = GO_PLUGINS[name]
    home = TOOLS / f"{name}-{package.rpartition('@')[2]}"
    if not (home / name).exists():
        go = find_program("go", "install Go 1.25 or newer")
        run(go, "install", package, env={"GOBIN": str(home)})
    return home / name


def java_program(group: str, artifact: str, version: str) -> Path:
    """Get a program that Maven's repository keeps for this kind of machine."""
    system = {"Darwin": "osx"}.get(platform.system(), platform.system().lower())
    machine = {"arm64": "aarch_64", "aarch64": "aarch_64", "amd64": "x86_64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    program = TOOLS / f"{artifact}-{version}-{system}-{machine}.exe"
    if not program.exists():
        coordinates = f"{group}:{artifact}:{version}:exe:{system}-{machine}"
        mvn = find_program("mvn", "install Maven and a JDK of 17 or newer")
        run(mvn, *MAVEN, MAVEN_COPY, f"-Dartifact={coordinates}",
            f"-DoutputDirectory={TOOLS}")  # fmt: skip
        program.chmod(0o755)
    return program


# ------------------------------------------------------------------------------ languages


def proto_files(folders: Iterable[str]) -> list[str]:
    """List the files of some packages as protoc wants them, relative to protos/."""
    return [
        str(path.relative_to(PROTOS))
        for folder in folders
        for path in sorted((PROTOS / folder).glob("*.proto"))
    ]


def make_python(out: Path) -> None:
    """Make modules, service modules where there is a service, and their types."""
    tools = python_tools()
    protoc = (tools / "python", "-m", "grpc_tools.protoc", f"-I{PROTOS}")
    files = proto_files(SHIPPED + UNSHIPPED)
    services = [file for file in files if file.endswith("_service.proto")]
    run(*protoc, f"--plugin={tools / 'protoc-gen-mypy'}", f"--python_out={out}",
        f"--mypy_out=quiet:{out}", *files)  # fmt: skip
    run(*protoc, f"--plugin={tools / 'protoc-gen-mypy_grpc'}", f"--grpc_python_out={out}",
        f"--mypy_grpc_out=quiet:{out}", *services)  # fmt: skip
    (out / "turnout" / "py.typed").touch()


def make_go(out: Path) -> None:
    """Make the packages of the Go module."""
    plugins = [f"--plugin={go_plugin(name)}" for name in GO_PLUGINS]
    run(python_tools() / "python", "-m", "grpc_tools.protoc", f"-I{PROTOS}", *plugins,
        f"--go_out={out}", f"--go_opt=module={GO_MODULE}",
        f"--go-grpc_out={out}", f"--go-grpc_opt=module={GO_MODULE}",
        *proto_files(SHIPPED))  # fmt: skip


def make_java(out: Path) -> None:
    """Make the classes of the Java artifact."""
    plugin = java_program(*JAVA_PLUGIN)
    files = proto_files(SHIPPED)
    with tempfile.TemporaryDirectory() as folder:
        # Maven's protoc stands alone, without the files of google/protobuf that ours import.
        described = Path(folder) / "contract.binpb"
        run(python_tools() / "python", "-m", "grpc_tools.protoc", f"-I{PROTOS}",
            "--include_imports", "--include_source_info",
            f"--descriptor_set_out={described}", *files)  # fmt: skip
        run(java_program(*JAVA_PROTOC), f"--descriptor_set_in={described}",
            f"--plugin=protoc-gen-grpc-java={plugin}", f"--java_out={out}",
            f"--grpc-java_out=@generated=omit:{out}", *files)  # fmt: skip


# Language: how its stubs are made, their source root in generated/, and what of that root is
# theirs alone; the rest (go.mod, pom.xml) is kept by hand.
LANGUAGES: dict[str, tuple[Callable[[Path], None], Path, str]] = {
    "python": (make_python, GENERATED / "python", "turnout"),
    "go": (make_go, GENERATED / "go", "turnout"),
    "java": (make_java, GENERATED / "java/src/main/java", "dev"),
}


def make(language: str, root: Path) -> None:
    """Make one language's stubs under a source root, in place of those that are there."""
    maker, _, top = LANGUAGES[language]
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        maker(fresh)
        shutil.rmtree(root / top, ignore_errors=True)
        root.mkdir(parents=True, exist_ok=True)
        shutil.copytree(fresh / top, root / top)


# ------------------------------------------------------------------------------ checks


def lint() -> None:
    """Check the contract's style, its form and that it breaks no released caller."""
    buf("lint")
    buf("format", "--diff", "--exit-code")
    buf("breaking", "--against", BASELINE)


def find_differences(made: Path, kept: Path) -> list[str]:
    """List the files that are missing, left over or different in `kept`."""
    paths = {
        path.relative_to(root)
        for root in (made, kept)
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return [
        os.path.relpath(kept / path, ROOT)
        for path in sorted(paths)
        if not ((made / path).exists() and (kept / path).exists())
        or not filecmp.cmp(made / path, kept / path, shallow=False)
    ]


def check_stubs(languages: Sequence[str]) -> None:
    """Check that the stubs kept are those that the contract makes."""
    differences: list[str] = []
    for language in languages:
        _, root, top = LANGUAGES[language]
        with tempfile.TemporaryDirectory() as folder:
            make(language, Path(folder))
            differences += find_differences(Path(folder) / top, root / top)
    if differences:
        listed = "\n  ".join(differences)
        raise GenerateError(f"not what the contract makes (run `make gen`):\n  {listed}")


def compile_stubs(languages: Sequence[str]) -> None:
    """Compile the stubs of the languages that have a compiler."""
    if "go" in languages:
        go = find_program("go", "install Go 1.25 or newer")
        run(go, "build", "./...", cwd=GENERATED / "go")
        run(go, "vet", "./...", cwd=GENERATED / "go")
    if "java" in languages:
        mvn = find_program("mvn", "install Maven and a JDK of 17 or newer")
        run(mvn, *MAVEN, "compile", cwd=GENERATED / "java")


def write_baseline() -> None:
    """Take the contract as released: from now on nothing of it may break."""
    shipped = [word for folder in SHIPPED for word in ("--path", folder)]
    buf("build", "--exclude-source-info", *shipped, "--output", BASELINE)


# ------------------------------------------------------------------------------ command line


def main() -> int:
    """Do what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lang", action="append", choices=LANGUAGES, help="only this language")
    action = parser.add_mutually_exclusive_group()
    for name in ("lint", "check", "compile", "baseline"):
        action.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    languages = options.lang or list(LANGUAGES)
    try:
        if options.compile:
            compile_stubs(languages)
        elif options.baseline:
            write_baseline()
        elif options.lint:
            lint()
        elif options.check:
            lint()
            check_stubs(languages)
        else:
            for language in languages:
                make(language, LANGUAGES[language][1])
    except GenerateError as error:
        print(f"generate.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
