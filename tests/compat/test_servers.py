"""Callers with the stubs of another contract, served by today's server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compat.contracts import CONTRACTS, make_stubs
from tests.mesh.gateways import gateway


@pytest.mark.parametrize("contract", CONTRACTS)
def test_callers_of_another_contract_are_served(contract: str, tmp_path: Path) -> None:
    stubs = make_stubs(CONTRACTS[contract](), tmp_path)
    caller = Path(__file__).with_name("caller.py")
    with gateway() as today:
        ran = subprocess.run(
            [sys.executable, caller, stubs, today.address], stdout=subprocess.PIPE, check=True
        )

    assert json.loads(ran.stdout) == {
        "stream": {
            "text": "one two",
            "tools": ["add"],
            "finish": "FINISH_REASON_TOOL_CALLS",
            "provider": "scripted",
            "tokens": 3,
        },
        "once": "hello",
        "failure": ["NOT_FOUND", "ERROR_REASON_MODEL_NOT_FOUND"],
        "embed": [4],
        "embed_stream": [[0, 4], [1, 4], [2, 4]],
        "providers": ["scripted"],
        "added_method": "UNIMPLEMENTED" if contract == "next" else None,
    }
