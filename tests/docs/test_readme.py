"""What README.md tells to run is run, against a server on a port of its own."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import REPOSITORY, Block, blocks

ADDRESS = "127.0.0.1:50051"
MODELS = {"chat": "s/say:Because of the air.", "embed": "s/vectors"}
CONFIG = """
providers: {{s: {{row: scripted, keys: []}}}}
models:
  chat: {{targets: [{{target: "{chat}"}}]}}
  embed: {{targets: [{{target: "{embed}"}}]}}
"""
ALL = blocks(REPOSITORY / "README.md")
COMMANDS = [
    command
    for block in ALL
    if not block.language
    for command in block.text.replace("\\\n", "").splitlines()
    if command.startswith(".venv/bin/") and "turnout.yaml" not in command
]
PYTHON = [block for block in ALL if block.language == "python"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose aliases say what a script says."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "turnout.yaml").write_text(CONFIG.format(**MODELS))
    command = [sys.executable, "-m", "turnout_server", "serve", "--config", "turnout.yaml"]
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "TURNOUT_SERVER__LISTEN": "127.0.0.1:0"},
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        while b'"serving"' not in (line := server.stdout.readline()):
            assert line, "the server did not start"
        yield f"127.0.0.1:{json.loads(line)['port']}"
        server.send_signal(signal.SIGINT)


def run(arguments: list[str], address: str) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        arguments,
        cwd=REPOSITORY,
        env={**os.environ, "TURNOUT_ADDRESS": address},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_command_answers(command: str, address: str) -> None:
    program, *arguments = shlex.split(command.replace(ADDRESS, address))
    # The environment of these tests, wherever it lies.
    beside = Path(sys.executable).parent / Path(program).name
    assert run([str(beside), *arguments], address).strip()


@pytest.mark.parametrize("block", PYTHON, ids=range(len(PYTHON)))
def test_python_prints_the_answer(block: Block, address: str) -> None:
    assert len(block.text.splitlines()) <= 10
    assert run([sys.executable, "-c", block.text.replace(ADDRESS, address)], address) == (
        "Because of the air."
    )


def test_readme_has_what_it_is_tested_for() -> None:
    assert len(COMMANDS) == 3
    assert len(PYTHON) == 2


def test_other_languages_say_what_their_readmes_say() -> None:
    """Those are compiled and run by the clients' own tests."""
    for language, client in (("go", "go"), ("java", "java"), ("ts", "node")):
        (here,) = [block for block in ALL if block.language == language]
        page = REPOSITORY / "clients" / client / "README.md"
        there = next(block for block in blocks(page) if block.language == language)
        assert _flat(here.text).replace(ADDRESS, "localhost:50051") in _flat(there.text)


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
