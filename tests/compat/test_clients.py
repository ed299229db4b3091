"""Today's clients, and their smoke cases, on a server that has the stubs last released."""

import sys
from pathlib import Path

import pytest

from tests.compat.contracts import ROOT, baseline, make_stubs

RUN = ROOT / "clients" / "smoke"
sys.path.insert(0, str(RUN))

from run import run  # noqa: E402

from clients import CLIENTS  # noqa: E402


@pytest.mark.timeout(180)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_smoke_case_passes_on_a_server_with_released_stubs(
    client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a newer server may send besides is among the cases: an event that no client knows.
    monkeypatch.setenv("SMOKE_STUBS", str(make_stubs(baseline(), tmp_path)))

    passed = run(CLIENTS[client], "server")

    assert [case for case, well in passed.items() if not well] == []
