"""Contracts other than today's, and stubs made of them.

baseline: the last that was released, protos/baseline.json; what an old caller or server has.
next: today's with what a later v1 may add: fields, an event, values of enums, a method.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.protobuf.json_format import Parse
from turnout.v1 import (
    chat_service_pb2,
    embed_service_pb2,
    errors_pb2,
    model_service_pb2,
    usage_service_pb2,
)

ROOT = Path(__file__).resolve().parents[2]
BASELINE = ROOT / "protos" / "baseline.json"
TODAY = (
    chat_service_pb2,
    embed_service_pb2,
    errors_pb2,
    model_service_pb2,
    usage_service_pb2,
)
NEW_FIELD = 900
NEW_VALUE = 90


def baseline() -> FileDescriptorSet:
    return Parse(BASELINE.read_text("utf-8"), FileDescriptorSet(), ignore_unknown_fields=True)


def today() -> FileDescriptorSet:
    """What the stubs of this tree are made of."""
    found: dict[str, FileDescriptorProto] = {}

    def add(file: object) -> None:
        for imported in file.dependencies:  # type: ignore[attr-defined]
            add(imported)
        described = FileDescriptorProto()
        file.CopyToProto(described)  # type: ignore[attr-defined]
        found[described.name] = described

    for module in TODAY:
        add(module.DESCRIPTOR)
    return FileDescriptorSet(file=found.values())


def next_contract() -> FileDescriptorSet:
    contract = today()
    files = {Path(file.name).stem: file for file in contract.file}
    chat, errors = files["chat_service"], files["errors"]
    messages = {message.name: message for message in chat.message_type}
    _add_field(messages["ChatRequest"], "added_later")
    _add_field(messages["Finish"], "added_later")
    response = messages["ChatResponse"]
    _add_field(response, "event_added_later").oneof_index = 0
    # protoc wants the fields of a oneof side by side.
    response.field.sort(key=lambda field: not field.HasField("oneof_index"))
    for file, name in ((chat, "FinishReason"), (errors, "ErrorReason")):
        (enum,) = (one for one in file.enum_type if one.name == name)
        prefix = enum.value[0].name.removesuffix("UNSPECIFIED")
        enum.value.add(name=f"{prefix}ADDED_LATER", number=NEW_VALUE)
    chat.service[0].method.add(
        name="AddedLater",
        input_type=".turnout.v1.ChatRequest",
        output_type=".turnout.v1.CompleteChatResponse",
    )
    return contract


CONTRACTS: dict[str, Callable[[], FileDescriptorSet]] = {
    "baseline": baseline,
    "next": next_contract,
}


def make_stubs(contract: FileDescriptorSet, folder: Path) -> Path:
    """Make Python stubs with the generator that `make gen` uses; returns their source root."""
    image, root = folder / "contract.binpb", folder / "stubs"
    image.write_bytes(contract.SerializeToString())
    root.mkdir()
    tools = _generate().python_tools()
    files = [file.name for file in contract.file if file.name.startswith("turnout/v1/")]
    subprocess.run(
        [tools / "python", "-m", "grpc_tools.protoc", f"--descriptor_set_in={image}",
         f"--python_out={root}", f"--grpc_python_out={root}", *files],
        check=True,
    )  # fmt: skip
    return root


def _add_field(message: DescriptorProto, name: str) -> FieldDescriptorProto:
    return message.field.add(
        name=name,
        number=NEW_FIELD,
        type=FieldDescriptorProto.TYPE_STRING,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
        json_name=name,
    )


def _generate() -> ModuleType:
    """protos/generate.py, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "protos" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
