"""The same small program in every client's language, built: ADDRESS MODEL STREAMS AT_ONCE.

Each prints `{"ended": {REASON: count}, "characters": count}`, where the reason of success is OK.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
Command = list[str]
MAVEN = ("mvn", "--quiet", "--batch-mode", "-DskipTests", "-Dstyle.color=never")
CLASS_PATH = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"


def python(_: Path) -> Command:
    return [sys.executable, str(HERE / "python" / "streams.py")]


def go(folder: Path) -> Command:
    program = folder / "streams"
    _run("go", "build", "-o", str(program), ".", cwd=HERE / "go")
    return [str(program)]


def java(folder: Path) -> Command:
    found = folder / "classpath"
    _run(*MAVEN, "package", CLASS_PATH, "--projects", "client", "--also-make",
         "-DincludeScope=runtime", f"-Dmdep.outputFile={found}",
         cwd=ROOT / "clients" / "java")  # fmt: skip
    client = ROOT / "clients" / "java" / "client" / "target" / "classes"
    class_path = f"{client}:{found.read_text().strip()}"
    _run("javac", "-d", str(folder), "-cp", class_path, "Streams.java", cwd=HERE / "java")
    return ["java", "-cp", f"{folder}:{class_path}", "Streams"]


def node(_: Path) -> Command:
    client = ROOT / "clients" / "node"
    if not (client / "node_modules").exists():
        _run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=client)
    _run("npm", "run", "--silent", "build", cwd=client)
    return ["node", str(HERE / "node" / "streams.mjs")]


BUILDERS: dict[str, Callable[[Path], Command]] = {
    "python": python,
    "go": go,
    "java": java,
    "node": node,
}


def told(output: str) -> dict[str, Any]:
    """What a program printed."""
    read: dict[str, Any] = json.loads(output)
    return read


def _run(*command: str, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True)
