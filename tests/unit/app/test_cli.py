"""The commands as an operator meets them: exit status, stdout, and one line on stderr."""

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from turnout.v1 import chat_service_pb2 as chat_pb
from turnout.v1 import (
    chat_service_pb2_grpc,
    embed_service_pb2_grpc,
    model_service_pb2_grpc,
    usage_service_pb2_grpc,
)
from turnout.v1 import embed_service_pb2 as embed_pb
from turnout.v1 import errors_pb2 as errors_pb
from turnout.v1 import model_service_pb2 as model_pb
from turnout.v1 import usage_service_pb2 as usage_pb

from turnout_server.app.cli.main import main

FILES = Path(__file__).parents[2] / "config"


class Upstairs(
    chat_service_pb2_grpc.ChatServiceServicer,
    embed_service_pb2_grpc.EmbedServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
    usage_service_pb2_grpc.UsageServiceServicer,
):
    """A real gRPC server that says what each model's name asks for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.metadata: dict[str, str] = {}

    def Chat(self, request: Any, context: Any) -> Iterator[chat_pb.ChatResponse]:
        self.asked.append(request)
        self.metadata = dict(context.invocation_metadata())
        yield chat_pb.ChatResponse(text_delta="Rayleigh ")
        if request.model == "broken":
            fail(context)
        yield chat_pb.ChatResponse(text_delta="scattering.")
        finish = chat_pb.Finish(reason=chat_pb.FINISH_REASON_STOP)
        if request.model == "short":
            finish.reason = chat_pb.FINISH_REASON_MAX_TOKENS
            finish.warnings.add(kind=chat_pb.Warning.KIND_DROPPED, field="seed", message="not here")
        yield chat_pb.ChatResponse(finish=finish)

    def Embed(self, request: Any, context: Any) -> embed_pb.EmbedResponse:
        del context
        vectors = [[1.0, 0.0], [0.0, 2.0]]
        embeddings = [embed_pb.Embedding(values=vectors[i % 2]) for i in range(len(request.texts))]
        response = embed_pb.EmbedResponse(embeddings=embeddings, dimensions=2)
        response.route.provider, response.route.model = "local", "small"
        return response

    def ListModels(self, request: Any, context: Any) -> model_pb.ListModelsResponse:
        del context
        if not request.page_token:
            model = model_pb.Model(name="chat", capabilities=[model_pb.CAPABILITY_CHAT])
            model.targets.add(provider="local", model="small")
            return model_pb.ListModelsResponse(models=[model], next_page_token="2")
        return model_pb.ListModelsResponse(models=[model_pb.Model(name="embed")])

    def ListProviders(self, request: Any, context: Any) -> model_pb.ListProvidersResponse:
        del request, context
        status = model_pb.ProviderStatus(
            provider="openai",
            state=model_pb.CIRCUIT_STATE_OPEN,
            error_rate=0.5,
            p50_time_to_first_output=Duration(nanos=250_000_000),
            last_failure=errors_pb.ERROR_REASON_PROVIDER_OVERLOADED,
        )
        return model_pb.ListProvidersResponse(providers=[status])

    def QueryUsage(self, request: Any, context: Any) -> usage_pb.QueryUsageResponse:
        del context
        self.asked.append(request)
        row = usage_pb.UsageRow(requests=3, dimension_values=["chat"])
        row.usage.input_tokens = 120
        return usage_pb.QueryUsageResponse(rows=[row])


def fail(context: Any) -> None:
    detail = errors_pb.ErrorDetail(
        reason=errors_pb.ERROR_REASON_STREAM_INTERRUPTED, request_id="0192-abc", output_started=True
    )
    detail.attempts.add(
        provider="openai",
        model="gpt-5.5",
        reason=errors_pb.ERROR_REASON_PROVIDER_OVERLOADED,
        http_status=529,
    )
    packed = AnyMessage()
    packed.Pack(detail)
    status = Status(code=grpc.StatusCode.ABORTED.value[0], message="cut off", details=[packed])
    context.abort_with_status(rpc_status.to_status(status))


@pytest.fixture
def upstairs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstairs]:
    server, service = grpc.server(ThreadPoolExecutor(2)), Upstairs()
    chat_service_pb2_grpc.add_ChatServiceServicer_to_server(service, server)
    embed_service_pb2_grpc.add_EmbedServiceServicer_to_server(service, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    usage_service_pb2_grpc.add_UsageServiceServicer_to_server(service, server)
    monkeypatch.setenv("TURNOUT_ADDRESS", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    yield service
    server.stop(None).wait()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "turnout_server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_chat_prints_the_text_as_it_comes(
    upstairs: Upstairs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "smart", "Why is the sky blue?", "--system", "Be brief."]) == 0
    assert capsys.readouterr() == ("Rayleigh scattering.\n", "")
    request = upstairs.asked[0]
    assert [message.text for message in request.messages] == ["Be brief.", "Why is the sky blue?"]
    assert not request.HasField("max_output_tokens")


def test_chat_reads_its_question_from_stdin(
    upstairs: Upstairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("from a pipe"))
    assert main(["chat", "smart"]) == 0
    assert upstairs.asked[0].messages[0].text == "from a pipe"


def test_chat_as_json_is_one_event_a_line(
    upstairs: Upstairs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "smart", "hi", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [next(iter(event)) for event in events] == ["text_delta", "text_delta", "finish"]
    assert upstairs.asked


@pytest.mark.usefixtures("upstairs")
def test_chat_says_what_the_text_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "short", "hi"]) == 0
    said = capsys.readouterr()
    assert said.out == "Rayleigh scattering.\n"
    assert said.err.splitlines() == [
        "turnout: seed was dropped: not here",
        "turnout: the answer ended by MAX_TOKENS",
    ]


@pytest.mark.usefixtures("upstairs")
def test_failed_call_exits_1_with_reason_attempts_and_request_id(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["chat", "broken", "hi"]) == 1
    assert capsys.readouterr() == (
        "Rayleigh \n",
        (
            "turnout: STREAM_INTERRUPTED (ABORTED): cut off; "
            "tried openai/gpt-5.5 PROVIDER_OVERLOADED 529; request 0192-abc\n"
        ),
    )


def test_key_of_the_environment_is_sent_as_a_bearer(
    upstairs: Upstairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNOUT_API_KEY", "tk-1")
    assert main(["chat", "smart", "hi"]) == 0
    assert upstairs.metadata["authorization"] == "Bearer tk-1"


@pytest.mark.usefixtures("upstairs")
def test_embed_shows_how_alike_the_texts_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", "embed", "a cat", "an invoice"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "      1     2  text",
        "1  1.00  0.00  a cat",
        "2  0.00  1.00  an invoice",
        "",
        "2 × 2 from local/small",
    ]


@pytest.mark.usefixtures("upstairs")
def test_embed_as_json_is_one_vector_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", "embed", "a cat", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"text": "a cat", "values": [1.0, 0.0]}


@pytest.mark.usefixtures("upstairs")
def test_models_lists_every_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["model", "chat", "embed"]
    assert "local/small" in lines[1]


@pytest.mark.usefixtures("upstairs")
def test_providers_shows_their_state(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["providers"]) == 0
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row == ["openai", "open", "0", "50.0", "250", "-", "PROVIDER_OVERLOADED"]


def test_usage_is_broken_down_as_asked(
    upstairs: Upstairs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["usage", "--by", "time", "--by", "model", "--since", "2h", "--bucket", "10m"]) == 0
    assert upstairs.asked[0].bucket.seconds == 600
    assert capsys.readouterr().out.splitlines()[1].split()[1:5] == ["chat", "3", "0", "0"]


def test_no_server_is_told_with_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--address", "127.0.0.1:1"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("turnout: UNAVAILABLE: ")
    assert said.endswith("is a server listening on 127.0.0.1:1? start one: turnout serve\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["srve"], "no command 'srve'; did you mean 'serve'?"),
        (["chat"], "the following arguments are required: MODEL"),
        (["models", "--timeout", "5"], "must be a number with a unit"),
        (["usage", "--by", "modell"], "no value 'modell'; did you mean 'model'?"),
    ],
)
def test_bad_usage_exits_2_with_one_line(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert hint in said
    assert said.startswith("turnout: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", [["check-config"], ["serve", "--config"]])
def test_broken_configuration_exits_2_with_file_line_key_and_remedy(command: list[str]) -> None:
    file = FILES / "bad" / "unknown_key.yaml"
    ended = run(*command, str(file))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"turnout: {file}:2: server.lisen: unknown key; did you mean 'listen'?\n"


def test_good_configuration_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    file = FILES / "good" / "smallest.yaml"
    assert main(["check-config", "--without-secrets", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: ok: 1 providers, 2 aliases\n"


def test_printed_schema_is_the_committed_one() -> None:
    ended = run("config-schema")
    assert ended.returncode == 0
    assert ended.stdout == (FILES.parents[1] / "docs" / "config.schema.json").read_text()


def test_interrupt_ends_a_stream_without_a_traceback() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    chat_service_pb2_grpc.add_ChatServiceServicer_to_server(Endless(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    command = [sys.executable, "-m", "turnout_server", "chat", "smart", "hi"]
    with subprocess.Popen(
        [*command, "--address", f"127.0.0.1:{port}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as asking:
        assert asking.stdout is not None
        assert asking.stdout.read(3) == b"on "
        asking.send_signal(signal.SIGINT)
        _, said = asking.communicate(timeout=30)
    server.stop(None).wait()
    assert (asking.returncode, said) == (130, b"")


class Endless(chat_service_pb2_grpc.ChatServiceServicer):
    """Goes on until its caller leaves."""

    def Chat(self, request: Any, context: Any) -> Iterator[chat_pb.ChatResponse]:
        del request
        while context.is_active():
            yield chat_pb.ChatResponse(text_delta="on ")
