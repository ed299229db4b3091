"""Which contract a running server has, asked by reflection."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from tests.compat.contracts import BASELINE, baseline
from tests.mesh.gateways import gateway

PACKAGE = "turnout.v1."
# A running server's descriptors have no JSON names, which the stricter categories ask for.
WIRE = '{"version": "v2", "breaking": {"use": ["WIRE"]}}'


def ask(address: str, *asked: ServerReflectionRequest) -> Iterator[ServerReflectionResponse]:
    with grpc.insecure_channel(address) as channel:
        yield from ServerReflectionStub(channel).ServerReflectionInfo(iter(asked))


def services(address: str) -> list[str]:
    (told,) = ask(address, ServerReflectionRequest(list_services=""))
    return [service.name for service in told.list_services_response.service]


def contract_of(address: str) -> FileDescriptorSet:
    """Every file that the server's services of turnout.v1 are made of."""
    names = [name for name in services(address) if name.startswith(PACKAGE)]
    asked = (ServerReflectionRequest(file_containing_symbol=name) for name in names)
    files = {}
    for told in ask(address, *asked):
        for raw in told.file_descriptor_response.file_descriptor_proto:
            file = FileDescriptorProto.FromString(raw)
            files[file.name] = file
    return FileDescriptorSet(file=files.values())


def test_the_version_is_in_the_services_names() -> None:
    with gateway() as today:
        told = services(today.address)

    released = {
        f"{file.package}.{service.name}"
        for file in baseline().file
        for service in file.service
        if file.package == PACKAGE.rstrip(".")
    }
    assert released <= set(told)


def test_a_running_servers_contract_breaks_no_released_caller(tmp_path: Path) -> None:
    with gateway() as today:
        served = contract_of(today.address)
    image = tmp_path / "served.binpb"
    image.write_bytes(served.SerializeToString())
    buf = Path(sys.executable).with_name("buf")

    checked = subprocess.run(
        [buf, "breaking", image, "--against", BASELINE, "--path", "turnout/v1",
         "--config", WIRE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
