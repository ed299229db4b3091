"""The committed stubs: importable by what their consumers have, and made from this contract."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON_STUBS = ROOT / "generated" / "python"
MODULES = sorted(
    ".".join(path.relative_to(PYTHON_STUBS).with_suffix("").parts)
    for path in PYTHON_STUBS.rglob("*.py")
)


def test_contract_keeps_the_rules_and_breaks_no_released_caller() -> None:
    done = subprocess.run(
        [sys.executable, "protos/generate.py", "--lint"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_rule_is_waived_beyond_the_request_that_two_methods_share() -> None:
    waived = re.findall(
        r"^ {4}([A-Z_]+):\n((?: {6}- .*\n)+)", (ROOT / "protos/buf.yaml").read_text(), re.MULTILINE
    )
    assert [(rule, files.split("- ")[1:]) for rule, files in waived] == [
        ("RPC_REQUEST_RESPONSE_UNIQUE", ["turnout/v1/chat_service.proto\n"]),
        ("RPC_REQUEST_STANDARD_NAME", ["turnout/v1/chat_service.proto\n"]),
    ]


@pytest.mark.parametrize("module", MODULES)
def test_stub_imports(module: str) -> None:
    importlib.import_module(module)


@pytest.mark.parametrize("module", [name for name in MODULES if name.endswith("_pb2")])
def test_messages_ask_for_no_newer_protobuf_than_stated(module: str) -> None:
    text = (PYTHON_STUBS / module.replace(".", "/")).with_suffix(".py").read_text()
    assert "# Protobuf Python Version: 6.33.5" in text


@pytest.mark.parametrize("module", [name for name in MODULES if name.endswith("_pb2_grpc")])
def test_services_ask_for_no_newer_grpcio_than_stated(module: str) -> None:
    assert importlib.import_module(module).GRPC_GENERATED_VERSION == "1.81.1"


def test_stubs_are_a_typed_namespace_package() -> None:
    assert (PYTHON_STUBS / "turnout" / "py.typed").exists()
    assert not list(PYTHON_STUBS.rglob("__init__.py"))


@pytest.mark.parametrize("tree", ["go", "java"])
def test_what_is_not_the_contract_is_not_shipped(tree: str) -> None:
    sources = [
        path for path in (ROOT / "generated" / tree).rglob("*") if path.suffix in {".go", ".java"}
    ]
    assert sources
    assert not [path for path in sources if {"internal", "testing"} & set(path.parts)]
