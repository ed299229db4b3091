"""What the client's README tells to write is run, as it stands there, against a real gateway."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mesh.gateways import gateway

README = Path(__file__).resolve().parents[2] / "clients" / "python" / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
ALIASES = {"chat": "say:hello", "smart": "say:hello", "embed": "vectors"}
LOCAL = {', api_key="…", tenant="…", tls=True': ""}
"""What only a gateway elsewhere wants."""


def run(block: str, folder: Path) -> str:
    (folder / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "lines.txt").write_text("one\ntwo\n")
    for there, here in LOCAL.items():
        block = block.replace(there, here)
    with gateway(ALIASES) as server:
        done = subprocess.run(
            [sys.executable, "-c", block.replace("localhost:50051", server.address)],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_quick_start_prints_the_answer(tmp_path: Path) -> None:
    first = BLOCKS[0]

    assert run(first, tmp_path) == "hello"
    assert len(first.strip().splitlines()) <= 10


@pytest.mark.parametrize("block", BLOCKS[1:], ids=range(1, len(BLOCKS)))
def test_a_block_runs(block: str, tmp_path: Path) -> None:
    # It goes on where the quick start has imported and, maybe, connected.
    connected = "" if "Client(" in block else 'client = Client("localhost:50051")'
    run(f"from turnout_client import Client\n{connected}\n{block}", tmp_path)
